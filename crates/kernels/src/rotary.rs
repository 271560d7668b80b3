//! Rotary positions (RoPE, Su et al. 2021): each pair of a head's dimensions is turned by an angle that grows with the
//! token's position.

use std::sync::Arc;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::fused::{Forward, dims, writable};
use crate::math;
use crate::rows::CHUNK;
use crate::simd::vectorised;

/// How the tokens of a batch are turned: made once a forward pass, for all its layers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rotary(Arc<Angles>);

#[derive(Debug)]
struct Angles {
    positions: Vec<u32>,
    frequencies: usize,
    /// `[longest, frequencies]`
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotary {
    /// Turns the pair `f` of the token at `positions[t]` by `positions[t] * inverse_frequencies[f]`, and multiplies it
    /// by `scaling`: transformers' `attention_scaling`, 1 for most.
    ///
    /// The angle is an f32 product, as in transformers, because it is large enough for its rounding to show.
    pub fn new(inverse_frequencies: &[f32], scaling: f32, positions: &[u32]) -> Self {
        let longest = positions.iter().max().map_or(0, |last| last + 1);
        let (cos, sin) = (0..longest)
            .flat_map(|position| inverse_frequencies.iter().map(move |inverse| position as f32 * inverse))
            .map(|angle| f64::from(angle).sin_cos())
            .map(|(sin, cos)| (cos as f32 * scaling, sin as f32 * scaling))
            .unzip();
        let positions = positions.to_vec();
        Self(Arc::new(Angles { positions, frequencies: inverse_frequencies.len(), cos, sin }))
    }

    /// The position of each token.
    pub(crate) fn positions(&self) -> &[u32] {
        &self.0.positions
    }

    /// Pairs of dimensions that are turned.
    pub(crate) fn frequencies(&self) -> usize {
        self.0.frequencies
    }

    /// The cosines and sines by position, `[longest, frequencies]` each.
    pub(crate) fn tables(&self) -> [&[f32]; 2] {
        [&self.0.cos, &self.0.sin]
    }

    /// Turns the first `heads` heads of each row in place, forth (1) or back (-1).
    fn turn(&self, x: &mut FlexTensor, heads: usize, head_dim: usize, direction: f32) {
        let [_, width] = dims(x);
        let rows = writable(x).par_chunks_mut(CHUNK * width).zip(self.positions().par_chunks(CHUNK));
        rows.for_each(|(rows, positions)| {
            for (row, position) in rows.chunks_exact_mut(width).zip(positions) {
                let first = *position as usize * self.frequencies();
                let [cos, sin] = self.tables().map(|table| &table[first..first + self.frequencies()]);
                turn_heads(&mut row[..heads * head_dim], head_dim, cos, sin, direction);
            }
        });
    }
}

/// `[qkv]` with its first `heads` heads turned, in place when nobody else holds it.
pub(crate) fn forward(
    mut inputs: Vec<FlexTensor>,
    rotary: Rotary,
    heads: usize,
    head_dim: usize,
    track: bool,
) -> Forward {
    let mut output = inputs.swap_remove(0);
    rotary.turn(&mut output, heads, head_dim, 1.0);
    let gradient = track.then(|| {
        let backward = move |mut gradient: FlexTensor, wanted: &[bool]| {
            rotary.turn(&mut gradient, heads, head_dim, -1.0);
            vec![wanted[0].then_some(gradient)]
        };
        Box::new(backward) as _
    });
    Forward { output, gradient }
}

vectorised! {
    fn turn_heads(heads: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32], direction: f32) {
        for head in heads.chunks_exact_mut(head_dim) {
            let (first, second) = head.split_at_mut(cos.len());
            for (((x, y), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                let sin = direction * sin;
                let turned = math::fma::<FMA>(*x, *cos, -(*y * sin));
                *y = math::fma::<FMA>(*y, *cos, *x * sin);
                *x = turned;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use proptest::prelude::*;

    use crate::testing::{assert_agree, assert_close, assert_same_bytes, assert_spares, matrix, values};
    use crate::{Rotary, plain, rotary};

    /// Of `tokens` tokens in sequences of at most 40.
    fn angles(tokens: usize, frequencies: usize) -> Rotary {
        let inverse: Vec<f32> = (0..frequencies).map(|f| 10f32.powf(-(f as f32) / 3.0)).collect();
        let positions: Vec<u32> = (0..tokens as u32).map(|token| token % 40).collect();
        Rotary::new(&inverse, 1.2, &positions)
    }

    fn check(tokens: usize, heads: [usize; 2], head_dim: usize, frequencies: usize) {
        let angles = angles(tokens, frequencies);
        assert_agree(
            &|x, _| rotary(x[0].clone(), &angles, heads[0], head_dim),
            &|x, _| plain::rotary(x[0].clone(), &angles, heads[0], head_dim),
            &[matrix(tokens, (heads[0] + heads[1]) * head_dim, 1)],
            &[],
        );
    }

    #[test]
    fn by_hand() {
        let quarter = std::f32::consts::FRAC_PI_2;
        let angles = Rotary::new(&[quarter, 2.0 * quarter], 1.0, &[1, 0]);
        let row = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
        let x = TensorData::new([row, row].concat(), [2, 10]);
        let turned = values(rotary(Tensor::from_data(x, &Device::flex()), &angles, 1, 5));
        assert_close(&turned[..10], &[-3.0, -2.0, 1.0, -4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], "position 1");
        assert_eq!(turned[10..], row, "position 0");
    }

    #[test]
    fn works_in_place_without_touching_what_others_hold() {
        assert_spares(|x| rotary(x, &angles(9, 2), 2, 4), matrix(9, 12, 1));
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        let angles = angles(1003, 16);
        assert_same_bytes(&|x, _| rotary(x[0].clone(), &angles, 8, 32), &[matrix(1003, 384, 1)], &[]);
    }

    #[test]
    fn no_tokens_is_no_work() {
        let x = Tensor::<2>::zeros([0, 12], &Device::flex());
        assert_eq!(rotary(x, &angles(0, 2), 2, 4).dims(), [0, 12]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn matches_plain(
            tokens in 1usize..150,
            heads in [1usize..4, 0usize..3],
            frequencies in 1usize..20,
            rest in 0usize..5,
        ) {
            check(tokens, heads, 2 * frequencies + rest, frequencies);
        }
    }
}
