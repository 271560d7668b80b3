//! Products of dynamically quantised rows with int8 weights.
//!
//! A weight's every output channel has a scale of its own, symmetric around 0; every row of the left operand gets
//! its own scale and zero point when it comes (as `quantize_dynamic` of onnxruntime does it for a whole batch, so that
//! there a text's vector depends on its neighbours). Sums of bytes are exact, so bytes do not depend on threads or
//! tiles; they do depend on whether the CPU allows the full range of weights ([`tile::Kernels::largest_weight`]).

mod tile;

use std::ops::Range;

use rayon::prelude::*;

use crate::gemm::{Blocks, Tile, Tiles};
use crate::math;
use crate::rows::CHUNK;
use crate::simd::vectorised;
use tile::{GROUP, Job, Kernels, MAX_TILE};

/// Rows that one thread quantises sooner than two.
const SERIAL_ROWS: usize = 48;

/// An `[out, in]` weight in int8, in panels of output channels.
#[derive(Debug)]
pub(crate) struct Quantized {
    /// For each panel and group of depths, [`GROUP`] weights of each channel; zeros beyond the shape.
    data: Vec<i8>,
    /// What one step of a channel's weights stands for.
    scales: Vec<f32>,
    /// The sum of each channel's weights, in steps.
    sums: Vec<i32>,
    depth: usize,
    kernels: Kernels,
}

impl Quantized {
    /// Quantises row-major weights of `depth` inputs.
    pub(crate) fn new(weight: &[f32], depth: usize) -> Self {
        Self::for_kernels(Kernels::best(), weight, depth)
    }

    fn for_kernels(kernels: Kernels, weight: &[f32], depth: usize) -> Self {
        let channels = weight.len() / depth;
        let panel = depth.next_multiple_of(GROUP) * kernels.columns;
        let mut data = vec![0i8; channels.div_ceil(kernels.columns) * panel];
        let (mut scales, mut sums) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
        for (channel, row) in weight.chunks_exact(depth).enumerate() {
            let largest =
                row.iter().fold(0.0, |max, x| if x.abs() > max || x.is_nan() { x.abs() } else { max });
            let steps = if largest > 0.0 { kernels.largest_weight / largest } else { 0.0 };
            let out = &mut data[channel / kernels.columns * panel..];
            let mut sum = 0;
            for (k, x) in row.iter().enumerate() {
                let quantized = (x * steps).round() as i8;
                out[(k / GROUP * kernels.columns + channel % kernels.columns) * GROUP + k % GROUP] =
                    quantized;
                sum += i32::from(quantized);
            }
            scales.push(largest / kernels.largest_weight);
            sums.push(sum);
        }
        Self { data, scales, sums, depth, kernels }
    }

    /// Number of inputs.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Number of output channels.
    pub(crate) fn channels(&self) -> usize {
        self.scales.len()
    }

    /// `x weight^T`, as [`crate::gemm::product`] does it in f32.
    pub(crate) fn product(&self, x: &[f32], finish: impl Fn(usize, usize, &mut [f32]) + Sync) -> Vec<f32> {
        let (tokens, channels, width) = (x.len() / self.depth, self.channels(), self.kernels.columns);
        let rows = Rows::quantize(x, self.depth);
        let mut data: Vec<f32> = Vec::with_capacity(tokens * channels);
        let tiles = Tiles::spare(&mut data, channels);
        let task = |(block, panels): (Range<usize>, Range<usize>)| {
            let columns = panels.start * width..(panels.end * width).min(channels);
            // SAFETY: `Blocks::tasks` splits the output without overlap.
            let mut tile = unsafe { tiles.tile([block.start, columns.start], block.len(), columns.len()) };
            for panel in panels {
                self.fill(&mut tile, &rows, &block, panel, columns.start);
            }
            for (i, row) in block.enumerate() {
                finish(row, columns.start, tile.row(i));
            }
        };
        let serial = tokens * channels * self.depth < self.kernels.serial;
        let threads = if serial { 1 } else { rayon::current_num_threads() };
        let tasks =
            Blocks::best().tasks(tokens, channels.div_ceil(width), [self.kernels.height(), width], threads);
        if serial {
            tasks.into_iter().for_each(task);
        } else {
            tasks.into_par_iter().for_each(task);
        }
        // SAFETY: the tasks cover the output, and `fill` wrote every element of each.
        unsafe { data.set_len(tokens * channels) };
        data
    }

    /// One panel of a block of rows; the tile begins at `first_column`.
    fn fill(&self, out: &mut Tile<'_>, rows: &Rows, block: &Range<usize>, panel: usize, first_column: usize) {
        let (width, groups) = (self.kernels.columns, rows.stride / GROUP);
        let column = panel * width;
        let columns = width.min(self.channels() - column);
        let weights = &self.data[panel * groups * GROUP * width..(panel + 1) * groups * GROUP * width];
        let mut sums = [0i32; MAX_TILE];
        for first in block.clone().step_by(self.kernels.height()) {
            let height = self.kernels.height().min(block.end - first);
            let bytes = &rows.bytes[first * rows.stride..(first + height) * rows.stride];
            let job = Job {
                lhs: bytes.as_ptr(),
                lhs_stride: rows.stride,
                panel: weights.as_ptr(),
                groups,
                out: sums.as_mut_ptr(),
            };
            // SAFETY: `bytes` holds `height` rows of `groups` groups, `weights` as many of every column, and `sums` the
            // largest tile.
            unsafe { self.kernels.get(height)(&job) };
            let at = [first - block.start, column - first_column];
            let (scales, weights) =
                (&self.scales[column..column + columns], &self.sums[column..column + columns]);
            dequantize(out, at, &sums, width, &rows.ranges[first..first + height], scales, weights);
        }
    }
}

/// How a row's bytes are read: `x = step * (byte - zero)`.
#[derive(Clone, Copy, Debug, Default)]
struct Range8 {
    step: f32,
    zero: i32,
}

/// Rows in unsigned bytes, each with its own range.
struct Rows {
    bytes: Vec<u8>,
    /// Bytes a row: the depth, filled up to a whole [`GROUP`].
    stride: usize,
    ranges: Vec<Range8>,
}

impl Rows {
    fn quantize(x: &[f32], depth: usize) -> Self {
        let (tokens, stride) = (x.len() / depth, depth.next_multiple_of(GROUP));
        let (mut bytes, mut ranges) = (vec![0; tokens * stride], vec![Range8::default(); tokens]);
        let chunk = |((x, bytes), ranges): ((&[f32], &mut [u8]), &mut [Range8])| {
            for ((x, bytes), range) in x.chunks_exact(depth).zip(bytes.chunks_exact_mut(stride)).zip(ranges) {
                *range = quantize(x, bytes);
            }
        };
        if tokens <= SERIAL_ROWS {
            chunk(((x, &mut bytes), &mut ranges));
        } else {
            let chunks = x.par_chunks(CHUNK * depth).zip(bytes.par_chunks_mut(CHUNK * stride));
            chunks.zip(ranges.par_chunks_mut(CHUNK)).for_each(chunk);
        }
        Self { bytes, stride, ranges }
    }
}

vectorised! {
    /// Spreads a row over 0 to 255, zero included. NaN and infinities make the step NaN, and so the outputs.
    fn quantize(x: &[f32], bytes: &mut [u8]) -> Range8 {
        let (low, high) = (-math::max_or_nan(x, |x| -x), math::max_or_nan(x, |x| x));
        let (low, high) = (if low > 0.0 { 0.0 } else { low }, if high < 0.0 { 0.0 } else { high });
        let span = high - low;
        if !span.is_finite() {
            return Range8 { step: f32::NAN, zero: 0 };
        }
        let steps = if span > 0.0 { 255.0 / span } else { 0.0 };
        let zero = (-low * steps).round();
        for (byte, x) in bytes.iter_mut().zip(x) {
            let place = math::fma::<FMA>(*x, steps, zero).clamp(0.0, 255.0);
            *byte = (place + math::ROUND).to_bits() as u8;
        }
        Range8 { step: span / 255.0, zero: zero as i32 }
    }
}

vectorised! {
    /// Integer sums, `width` a row, to what they stand for, in the output's rows and columns from `at` on.
    fn dequantize(
        out: &mut Tile<'_>,
        at: [usize; 2],
        sums: &[i32],
        width: usize,
        ranges: &[Range8],
        scales: &[f32],
        weights: &[i32],
    ) {
        for (i, (row, sums)) in ranges.iter().zip(sums.chunks_exact(width)).enumerate() {
            let out = &mut out.row(at[0] + i)[at[1]..];
            for (((out, sum), scale), weights) in out.iter_mut().zip(sums).zip(scales).zip(weights) {
                *out = (sum - row.zero * weights) as f32 * (row.step * scale);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{random, with_threads};

    fn unfinished(_: usize, _: usize, _: &mut [f32]) {}

    fn every_set() -> Vec<Kernels> {
        let mut sets = vec![Kernels::portable(), Kernels::best()];
        #[cfg(target_arch = "x86_64")]
        if crate::simd::level() != crate::simd::Level::Baseline {
            sets.push(Kernels::avx2());
        }
        sets
    }

    /// Against the sum of what the bytes stand for, which must match but for rounding in f32.
    fn check(tokens: usize, channels: usize, depth: usize) {
        let (x, weight) = (random(tokens * depth, 1), random(channels * depth, 2));
        let rows = Rows::quantize(&x, depth);
        for kernels in every_set() {
            let quantized = Quantized::for_kernels(kernels, &weight, depth);
            let found = quantized.product(&x, unfinished);
            for (i, found) in found.iter().enumerate() {
                let (row, channel) = (i / channels, i % channels);
                let range = rows.ranges[row];
                let expected: f64 = (0..depth)
                    .map(|k| {
                        let byte = i32::from(rows.bytes[row * rows.stride + k]) - range.zero;
                        let weight = weight[channel * depth + k] / quantized.scales[channel];
                        f64::from(byte)
                            * f64::from(range.step)
                            * f64::from(weight.round() * quantized.scales[channel])
                    })
                    .sum();
                let close = (f64::from(*found) - expected).abs() < 1e-4 * (depth as f64).sqrt();
                assert!(close, "{tokens} {channels} {depth} {kernels:?}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn sums_are_those_of_the_bytes() {
        for (tokens, channels, depth) in [(1, 1, 1), (13, 33, 5), (100, 70, 384), (3, 16, 4), (0, 4, 4)] {
            check(tokens, channels, depth);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn sums_are_those_of_the_bytes_at_any_size(tokens in 1usize..60, channels in 1usize..70, depth in 1usize..50) {
            check(tokens, channels, depth);
        }
    }

    /// 255 and the largest weight everywhere: what would overflow if anything did.
    #[test]
    fn the_largest_sums_are_exact() {
        let depth = 4096;
        for sign in [1.0, -1.0] {
            for kernels in every_set() {
                let quantized = Quantized::for_kernels(kernels, &vec![sign; 16 * depth], depth);
                let found = quantized.product(&vec![1.0; depth], unfinished);
                assert!(found.iter().all(|x| (x - sign * 4096.0).abs() < 1.0), "{kernels:?}: {found:?}");
            }
        }
    }

    #[test]
    fn a_byte_is_within_half_a_step() {
        for x in [random(383, 5), vec![0.0; 9], vec![2.5; 5], vec![-3.0, -1.0, -2.0]] {
            let mut bytes = vec![0; x.len()];
            let range = quantize(&x, &mut bytes);
            for (x, byte) in x.iter().zip(bytes) {
                let back = range.step * (i32::from(byte) - range.zero) as f32;
                assert!((back - x).abs() <= 1.01 * range.step, "{back} for {x}");
            }
        }
    }

    #[test]
    fn what_is_not_a_number_shows() {
        let quantized = Quantized::new(&random(8 * 6, 1), 6);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = random(12, 2);
            x[3] = bad;
            let found = quantized.product(&x, unfinished);
            assert!(
                found[..8].iter().all(|x| x.is_nan()) && found[8..].iter().all(|x| x.is_finite()),
                "{bad}"
            );
        }
        let mut weight = random(8 * 6, 1);
        weight[7] = f32::NAN;
        assert!(Quantized::new(&weight, 6).product(&random(6, 2), unfinished)[1].is_nan());
    }

    #[test]
    fn same_bytes_whatever_the_threads_and_the_neighbours() {
        let (x, weight) = (random(300 * 384, 1), random(1000 * 384, 2));
        let quantized = Quantized::new(&weight, 384);
        let run = |threads| with_threads(threads, || quantized.product(&x, unfinished));
        let one = run(1);
        assert!([2, 3, 5].iter().all(|threads| run(*threads) == one));
        assert_eq!(quantized.product(&x[77 * 384..78 * 384], unfinished), one[77 * 1000..78 * 1000]);
    }
}
