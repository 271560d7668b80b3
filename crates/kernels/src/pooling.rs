//! Token vectors to one vector per sequence.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::fused::{Forward, dims, elements, tensor};
use crate::math;
use crate::simd::vectorised;
use crate::{Offsets, Pool};

/// `[hidden]` to `[batch, dim]`.
pub(crate) fn forward(inputs: Vec<FlexTensor>, offsets: Offsets, pool: Pool, track: bool) -> Forward {
    let ([tokens, width], batch) = (dims(&inputs[0]), offsets.batch());
    let hidden = elements(&inputs[0]);
    let mut output = vec![0.0; batch * width];
    // For `Max`, the token that each entry came from.
    let mut winners = vec![0u32; if pool == Pool::Max { output.len() } else { 0 }];
    if pool == Pool::Max {
        let rows = output.par_chunks_exact_mut(width).zip(winners.par_chunks_exact_mut(width));
        rows.enumerate().for_each(|(sequence, (row, winners))| {
            let range = offsets.range(sequence);
            // The first token is the standing winner.
            if !range.is_empty() {
                row.copy_from_slice(&hidden[range.start * width..(range.start + 1) * width]);
                winners.fill(range.start as u32);
            }
            for token in range.skip(1) {
                take_larger(row, winners, &hidden[token * width..(token + 1) * width], token as u32);
            }
        });
    } else {
        output.par_chunks_exact_mut(width).enumerate().for_each(|(sequence, row)| {
            let range = offsets.range(sequence);
            let length = range.len();
            for (i, token) in range.enumerate() {
                add_scaled(row, pool.weight(i, length), &hidden[token * width..(token + 1) * width]);
            }
        });
    }
    let gradient = track.then(|| {
        let backward = move |gradient: FlexTensor, wanted: &[bool]| {
            let hidden = || spread(elements(&gradient), [tokens, width], &offsets, pool, &winners);
            vec![wanted[0].then(hidden)]
        };
        Box::new(backward) as _
    });
    Forward { output: tensor(output, [batch, width]), gradient }
}

/// The gradient of the token vectors.
fn spread(gradient: &[f32], shape: [usize; 2], offsets: &Offsets, pool: Pool, winners: &[u32]) -> FlexTensor {
    let width = shape[1];
    let mut hidden = vec![0.0; shape[0] * width];
    for (sequence, range) in offsets.ranges().enumerate() {
        let entries = sequence * width..(sequence + 1) * width;
        let length = range.len();
        if pool == Pool::Max && length > 0 {
            for (column, entry) in entries.enumerate() {
                hidden[winners[entry] as usize * width + column] = gradient[entry];
            }
        } else {
            for (i, token) in range.enumerate() {
                let row = &mut hidden[token * width..(token + 1) * width];
                add_scaled(row, pool.weight(i, length), &gradient[entries.clone()]);
            }
        }
    }
    tensor(hidden, shape)
}

vectorised! {
    fn add_scaled(row: &mut [f32], factor: f32, other: &[f32]) {
        if factor != 0.0 {
            for (x, y) in row.iter_mut().zip(other) {
                *x = math::fma::<FMA>(factor, *y, *x);
            }
        }
    }
}

vectorised! {
    /// Keeps the larger of each pair, the first of equals, and where it came from. NaN wins, so that it shows.
    fn take_larger(row: &mut [f32], winners: &mut [u32], other: &[f32], token: u32) {
        for ((x, winner), y) in row.iter_mut().zip(winners).zip(other) {
            let larger = *y > *x || y.is_nan();
            *x = if larger { *y } else { *x };
            *winner = if larger { token } else { *winner };
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};
    use proptest::prelude::*;

    use crate::testing::{assert_agree, assert_same_bytes, matrix, values};
    use crate::{Offsets, Pool, plain, pool};

    const ALL: [Pool; 6] =
        [Pool::Cls, Pool::Mean, Pool::Max, Pool::MeanSqrtLen, Pool::WeightedMean, Pool::LastToken];

    fn check(lengths: &[usize], width: usize, kind: Pool) {
        let offsets = Offsets::from_lengths(lengths.iter().copied());
        assert_agree(
            &|x, _| pool(x[0].clone(), &offsets, kind),
            &|x, _| plain::pool(x[0].clone(), &offsets, kind),
            &[matrix(offsets.tokens(), width, 1)],
            &[],
        );
    }

    #[test]
    fn by_hand() {
        let hidden =
            Tensor::<2>::from_floats([[1.0, 8.0], [3.0, 2.0], [5.0, 5.0], [2.0, -7.0]], &Device::flex());
        let offsets = Offsets::from_lengths([3, 0, 1]);
        let pooled = |kind| values(pool(hidden.clone(), &offsets, kind));
        let root = 3f32.sqrt();
        assert_eq!(pooled(Pool::Cls), [1.0, 8.0, 0.0, 0.0, 2.0, -7.0]);
        assert_eq!(pooled(Pool::LastToken), [5.0, 5.0, 0.0, 0.0, 2.0, -7.0]);
        assert_eq!(pooled(Pool::Max), [5.0, 8.0, 0.0, 0.0, 2.0, -7.0]);
        let near = |kind, expected: &[f32]| crate::testing::assert_close(&pooled(kind), expected, "pooled");
        near(Pool::Mean, &[3.0, 5.0, 0.0, 0.0, 2.0, -7.0]);
        near(Pool::MeanSqrtLen, &[9.0 / root, 15.0 / root, 0.0, 0.0, 2.0, -7.0]);
        near(Pool::WeightedMean, &[22.0 / 6.0, 27.0 / 6.0, 0.0, 0.0, 2.0, -7.0]);
    }

    #[test]
    fn matches_plain_with_empty_sequences() {
        for kind in ALL {
            check(&[4, 0, 1, 70, 0], 19, kind);
        }
    }

    #[test]
    fn batches_without_tokens_are_zero() {
        for (lengths, batch) in [(vec![], 0), (vec![0, 0], 2)] {
            for kind in ALL {
                let hidden = Tensor::<2>::zeros([0, 3], &Device::flex());
                let pooled = pool(hidden, &Offsets::from_lengths(lengths.clone()), kind);
                assert_eq!(pooled.dims(), [batch, 3]);
                assert!(values(pooled).iter().all(|&x| x == 0.0));
            }
        }
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        let offsets = Offsets::from_lengths((0..40).map(|i| i * 7 % 61));
        for kind in ALL {
            let hidden = matrix(offsets.tokens(), 384, 1);
            assert_same_bytes(&|x, _| pool(x[0].clone(), &offsets, kind), &[hidden], &[]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn matches_plain(lengths in prop::collection::vec(0usize..30, 1..8), width in 1usize..40, kind in 0usize..6) {
            prop_assume!(lengths.iter().sum::<usize>() > 0);
            check(&lengths, width, ALL[kind]);
        }
    }
}
