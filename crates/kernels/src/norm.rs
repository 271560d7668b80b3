//! LayerNorm and RMSNorm of rows, alone and shared by the ops that end in one.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::dropout::Sampler;
use crate::fused::{Forward, dims, elements, tensor, writable};
use crate::math;
use crate::rows::{CHUNK, add_in_order};
use crate::simd::vectorised;

/// `[x, gamma, beta]` to the norm of x, in place when nobody else holds it; there may be no beta.
pub(crate) fn forward(mut inputs: Vec<FlexTensor>, kind: Kind, eps: f64, track: bool) -> Forward {
    let mut output = inputs.remove(0);
    let [_, width] = dims(&output);
    let affine = Affine::new(kind, &inputs, eps);
    let saved = Normalised::of(writable(&mut output), width, track, |_, row, saved| affine.apply(row, saved));
    let gradient = track.then(|| {
        let backward = move |mut gradient: FlexTensor, wanted: &[bool]| {
            let sums = saved.backward(writable(&mut gradient), kind, elements(&inputs[0]), None);
            let vectors = wanted_vectors(sums, &wanted[1..]);
            std::iter::once(wanted[0].then_some(gradient)).chain(vectors).collect()
        };
        Box::new(backward) as _
    });
    Forward { output, gradient }
}

/// What a row is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// LayerNorm: the standard deviation, after the mean was subtracted.
    Layer,
    /// RMSNorm: the root of the mean square.
    Rms,
}

/// What the backward pass of a norm needs.
pub(crate) struct Normalised {
    /// Rows as they were divided, before gamma and beta.
    pub(crate) rows: Vec<f32>,
    /// For each row, one over its divisor.
    inverse: Vec<f32>,
}

impl Normalised {
    /// Has `norm_row` fill and norm every row, on all threads. It is given the row's number, the row, and, where
    /// `track` wants a backward pass, the place for the normalised row; it returns one over the divisor.
    pub(crate) fn of(
        rows: &mut [f32],
        width: usize,
        track: bool,
        norm_row: impl Fn(usize, &mut [f32], Option<&mut [f32]>) -> f32 + Sync,
    ) -> Self {
        if !track {
            rows.par_chunks_mut(CHUNK * width).enumerate().for_each(|(chunk, rows)| {
                for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                    norm_row(chunk * CHUNK + i, row, None);
                }
            });
            return Self { rows: Vec::new(), inverse: Vec::new() };
        }
        let mut saved = Self { rows: vec![0.0; rows.len()], inverse: vec![0.0; rows.len() / width] };
        let chunks = rows.par_chunks_mut(CHUNK * width).zip(saved.rows.par_chunks_mut(CHUNK * width));
        chunks.zip(saved.inverse.par_chunks_mut(CHUNK)).enumerate().for_each(
            |(chunk, ((rows, normalised), inverse))| {
                let rows = rows.chunks_exact_mut(width).zip(normalised.chunks_exact_mut(width));
                for (i, ((row, normalised), inverse)) in rows.zip(inverse).enumerate() {
                    *inverse = norm_row(chunk * CHUNK + i, row, Some(normalised));
                }
            },
        );
        saved
    }

    /// Turns the output's gradient, in place, into that of the rows that were normalised; returns those of gamma and
    /// beta. `dropout` acted on the output.
    pub(crate) fn backward(
        &self,
        gradient: &mut [f32],
        kind: Kind,
        gamma: &[f32],
        dropout: Option<Sampler>,
    ) -> [Vec<f32>; 2] {
        let width = gamma.len();
        let chunks = gradient.par_chunks_mut(CHUNK * width).enumerate().map(|(chunk, rows)| {
            let mut sums = [vec![0.0; width], vec![0.0; width]];
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                let at = chunk * CHUNK + i;
                drop_row(row, dropout, (at * width) as u64);
                let normalised = &self.rows[at * width..(at + 1) * width];
                let [d_gamma, d_beta] = &mut sums;
                normalise_backward(row, kind, normalised, self.inverse[at], gamma, d_gamma, d_beta);
            }
            sums
        });
        let chunks: Vec<_> = chunks.collect();
        let (gammas, betas): (Vec<_>, Vec<_>) = chunks.into_iter().map(|[gamma, beta]| (gamma, beta)).unzip();
        [add_in_order(&gammas, width), add_in_order(&betas, width)]
    }
}

/// The gradients of gamma, and of beta if there is one, as tensors where wanted.
pub(crate) fn wanted_vectors(
    sums: [Vec<f32>; 2],
    wanted: &[bool],
) -> impl Iterator<Item = Option<FlexTensor>> {
    let tensor = |sum: Vec<f32>| {
        let width = sum.len();
        tensor(sum, [width])
    };
    sums.into_iter().zip(wanted).map(move |(sum, wanted)| wanted.then(|| tensor(sum)))
}

/// A norm with its scale and shift.
#[derive(Clone, Copy)]
pub(crate) struct Affine<'a> {
    kind: Kind,
    gamma: &'a [f32],
    beta: Option<&'a [f32]>,
    eps: f32,
}

impl<'a> Affine<'a> {
    /// `vectors` are gamma, and perhaps beta.
    pub(crate) fn new(kind: Kind, vectors: &'a [FlexTensor], eps: f64) -> Self {
        Self { kind, gamma: elements(&vectors[0]), beta: vectors.get(1).map(elements), eps: eps as f32 }
    }

    /// Norms one row in place; returns one over its divisor, and the normalised row if asked.
    pub(crate) fn apply(self, row: &mut [f32], normalised: Option<&mut [f32]>) -> f32 {
        let inverse = normalise(row, self.kind, self.eps);
        if let Some(normalised) = normalised {
            normalised.copy_from_slice(row);
        }
        match self.beta {
            Some(beta) => scale_and_shift(row, self.gamma, beta),
            None => multiply_by(row, self.gamma),
        }
        inverse
    }
}

vectorised! {
    /// Divides a row; returns one over the divisor.
    pub(crate) fn normalise(row: &mut [f32], kind: Kind, eps: f32) -> f32 {
        let count = row.len() as f32;
        if kind == Kind::Layer {
            let mean = math::sum::<FMA>(row) / count;
            for x in row.iter_mut() {
                *x -= mean;
            }
        }
        let inverse = 1.0 / (math::dot::<FMA>(row, row) / count + eps).sqrt();
        for x in row.iter_mut() {
            *x *= inverse;
        }
        inverse
    }
}

vectorised! {
    fn scale_and_shift(row: &mut [f32], gamma: &[f32], beta: &[f32]) {
        for ((x, gamma), beta) in row.iter_mut().zip(gamma).zip(beta) {
            *x = math::fma::<FMA>(*x, *gamma, *beta);
        }
    }
}

vectorised! {
    pub(crate) fn normalise_backward(
        gradient: &mut [f32],
        kind: Kind,
        normalised: &[f32],
        inverse: f32,
        gamma: &[f32],
        d_gamma: &mut [f32],
        d_beta: &mut [f32],
    ) {
        for ((((g, x), gamma), d_gamma), d_beta) in
            gradient.iter_mut().zip(normalised).zip(gamma).zip(d_gamma).zip(d_beta)
        {
            *d_gamma = math::fma::<FMA>(*g, *x, *d_gamma);
            *d_beta += *g;
            *g *= gamma;
        }
        let count = gradient.len() as f32;
        let mean = if kind == Kind::Layer { math::sum::<FMA>(gradient) / count } else { 0.0 };
        let slope = math::dot::<FMA>(gradient, normalised) / count;
        for (g, x) in gradient.iter_mut().zip(normalised) {
            *g = (*g - mean - *x * slope) * inverse;
        }
    }
}

vectorised! {
    /// Dropout of one row in place; `first` is the index of its first element.
    pub(crate) fn drop_row(row: &mut [f32], dropout: Option<Sampler>, first: u64) {
        if let Some(sampler) = dropout {
            sampler.apply(first, row);
        }
    }
}

vectorised! {
    /// `row += other`.
    pub(crate) fn add_row(row: &mut [f32], other: &[f32]) {
        for (x, y) in row.iter_mut().zip(other) {
            *x += y;
        }
    }
}

vectorised! {
    /// `row *= factors`.
    pub(crate) fn multiply_by(row: &mut [f32], factors: &[f32]) {
        for (x, y) in row.iter_mut().zip(factors) {
            *x *= y;
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use proptest::prelude::*;

    use crate::testing::{assert_agree, assert_same_bytes, assert_spares, matrix, vector};
    use crate::{layer_norm, plain, rms_norm};

    fn vectors(width: usize, count: usize) -> Vec<TensorData> {
        [vector(width, 1.0, 3), vector(width, 0.0, 4)].into_iter().take(count).collect()
    }

    fn check(tokens: usize, width: usize) {
        let matrices = [matrix(tokens, width, 1)];
        for count in [1, 2] {
            assert_agree(
                &|x, v| layer_norm(x[0].clone(), v[0].clone(), v.get(1).cloned(), 1e-5),
                &|x, v| plain::layer_norm(x[0].clone(), v[0].clone(), v.get(1).cloned(), 1e-5),
                &matrices,
                &vectors(width, count),
            );
        }
        assert_agree(
            &|x, v| rms_norm(x[0].clone(), v[0].clone(), 1e-6),
            &|x, v| plain::rms_norm(x[0].clone(), v[0].clone(), 1e-6),
            &matrices,
            &vectors(width, 1),
        );
    }

    #[test]
    fn matches_plain() {
        for (tokens, width) in [(1, 384), (200, 37), (65, 8)] {
            check(tokens, width);
        }
    }

    #[test]
    fn rms_norm_keeps_the_mean() {
        let device = Device::flex();
        let x = Tensor::<2>::from_floats([[3.0, 4.0], [5.0, 5.0]], &device);
        let y = rms_norm(x, Tensor::from_floats([1.0, 2.0], &device), 0.0);
        let root = 12.5f32.sqrt();
        crate::testing::assert_close(&crate::testing::values(y), &[3.0 / root, 8.0 / root, 1.0, 2.0], "rms");
    }

    #[test]
    fn works_in_place_without_touching_what_others_hold() {
        let gamma = Tensor::<1>::from_data(vector(12, 1.0, 3), &Device::flex());
        assert_spares(|x| layer_norm(x, gamma.clone(), None, 1e-12), matrix(9, 12, 1));
        assert_spares(|x| rms_norm(x, gamma.clone(), 1e-12), matrix(9, 12, 1));
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        let matrices = [matrix(1003, 384, 1)];
        let layer: crate::testing::TestOp<'_> =
            &|x, v| layer_norm(x[0].clone(), v[0].clone(), v.get(1).cloned(), 1e-12);
        assert_same_bytes(layer, &matrices, &vectors(384, 2));
        assert_same_bytes(&|x, v| rms_norm(x[0].clone(), v[0].clone(), 1e-6), &matrices, &vectors(384, 1));
    }

    #[test]
    fn no_tokens_is_no_work() {
        let device = Device::flex();
        let (x, gamma) = (Tensor::<2>::zeros([0, 4], &device), Tensor::<1>::ones([4], &device));
        assert_eq!(layer_norm(x.clone(), gamma.clone(), None, 1e-12).dims(), [0, 4]);
        assert_eq!(rms_norm(x, gamma, 1e-12).dims(), [0, 4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        // From width 3, as in embed_norm.rs.
        #[test]
        fn matches_plain_at_any_size(tokens in 1usize..150, width in 3usize..100) {
            check(tokens, width);
        }
    }
}
