//! RMSNorm of every head of queries and keys, before they meet (Henry et al. 2020, Query-Key Normalization).

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::fused::{Forward, dims, elements, writable};
use crate::norm::{Affine, Kind, normalise, normalise_backward, wanted_vectors};
use crate::rows::{CHUNK, add_in_order};

/// The op's arguments beside its tensors.
pub(crate) struct HeadNorm {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) eps: f64,
}

/// Of a token's heads.
const QUERIES: usize = 0;
const KEYS: usize = 1;

impl HeadNorm {
    /// Which gamma each head of queries and keys has.
    fn gammas(&self) -> impl Iterator<Item = usize> {
        std::iter::repeat_n(QUERIES, self.heads).chain(std::iter::repeat_n(KEYS, self.kv_heads))
    }

    /// `[qkv, gamma of queries, gamma of keys]` to qkv with queries and keys normed, in place when nobody else holds it
    /// and no gradient is wanted.
    pub(crate) fn forward(self, mut inputs: Vec<FlexTensor>, track: bool) -> Forward {
        let input = inputs.remove(0);
        let [_, width] = dims(&input);
        let affines = [QUERIES, KEYS].map(|which| Affine::new(Kind::Rms, &inputs[which..=which], self.eps));
        let head_dim = elements(&inputs[QUERIES]).len();
        let saved = track.then(|| input.clone());
        let mut output = input;
        writable(&mut output).par_chunks_mut(CHUNK * width).for_each(|rows| {
            for row in rows.chunks_exact_mut(width) {
                for (head, which) in row.chunks_exact_mut(head_dim).zip(self.gammas()) {
                    affines[which].apply(head, None);
                }
            }
        });
        let gradient = saved.map(|input| {
            let backward = move |mut gradient: FlexTensor, wanted: &[bool]| {
                let sums = self.backward(writable(&mut gradient), &input, &inputs);
                let vectors = wanted_vectors(sums, &wanted[1..]);
                std::iter::once(wanted[0].then_some(gradient)).chain(vectors).collect()
            };
            Box::new(backward) as _
        });
        Forward { output, gradient }
    }

    /// Turns the output's gradient, in place, into the input's; returns those of the two gammas.
    fn backward(&self, gradient: &mut [f32], input: &FlexTensor, gammas: &[FlexTensor]) -> [Vec<f32>; 2] {
        let [_, width] = dims(input);
        let gammas = [QUERIES, KEYS].map(|which| elements(&gammas[which]));
        let head_dim = gammas[QUERIES].len();
        let zeros = || vec![0.0; head_dim];
        let rows = gradient.par_chunks_mut(CHUNK * width).zip(elements(input).par_chunks(CHUNK * width));
        let chunks = rows.map(|(rows, inputs)| {
            let (mut sums, mut normalised, mut shift) = ([zeros(), zeros()], zeros(), zeros());
            for (row, input) in rows.chunks_exact_mut(width).zip(inputs.chunks_exact(width)) {
                let heads = row.chunks_exact_mut(head_dim).zip(input.chunks_exact(head_dim));
                for ((gradient, input), which) in heads.zip(self.gammas()) {
                    normalised.copy_from_slice(input);
                    let inverse = normalise(&mut normalised, Kind::Rms, self.eps as f32);
                    let (gamma, sum) = (gammas[which], &mut sums[which]);
                    normalise_backward(gradient, Kind::Rms, &normalised, inverse, gamma, sum, &mut shift);
                }
            }
            sums
        });
        let chunks: Vec<_> = chunks.collect();
        let (queries, keys): (Vec<_>, Vec<_>) = chunks.into_iter().map(|[q, k]| (q, k)).unzip();
        [add_in_order(&queries, head_dim), add_in_order(&keys, head_dim)]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};
    use proptest::prelude::*;

    use crate::testing::{
        assert_agree, assert_close, assert_same_bytes, assert_spares, matrix, values, vector,
    };
    use crate::{head_norm, plain};

    fn check(tokens: usize, heads: usize, kv_heads: usize, head_dim: usize) {
        assert_agree(
            &|x, v| head_norm(x[0].clone(), v[0].clone(), v[1].clone(), heads, kv_heads, 1e-6),
            &|x, v| plain::head_norm(x[0].clone(), v[0].clone(), v[1].clone(), heads, kv_heads, 1e-6),
            &[matrix(tokens, (heads + 2 * kv_heads) * head_dim, 1)],
            &[vector(head_dim, 1.0, 2), vector(head_dim, 1.0, 3)],
        );
    }

    #[test]
    fn by_hand() {
        let device = Device::flex();
        let qkv = Tensor::<2>::from_floats([[2.0, 0.0, 5.0, -5.0, 7.0, 8.0]], &device);
        let [q, k] = [[1.0, 2.0], [3.0, 4.0]].map(|gamma| Tensor::<1>::from_floats(gamma, &device));
        let normed = values(head_norm(qkv, q, k, 1, 1, 0.0));
        assert_close(&normed, &[2f32.sqrt(), 0.0, 3.0, -4.0, 7.0, 8.0], "query, key, value");
    }

    #[test]
    fn works_in_place_without_touching_what_others_hold() {
        let gamma = Tensor::<1>::from_data(vector(3, 1.0, 3), &Device::flex());
        assert_spares(|x| head_norm(x, gamma.clone(), gamma.clone(), 2, 1, 1e-6), matrix(9, 12, 1));
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        assert_same_bytes(
            &|x, v| head_norm(x[0].clone(), v[0].clone(), v[1].clone(), 8, 2, 1e-6),
            &[matrix(503, 384, 1)],
            &[vector(32, 1.0, 2), vector(32, 1.0, 3)],
        );
    }

    #[test]
    fn no_tokens_is_no_work() {
        let device = Device::flex();
        let (qkv, gamma) = (Tensor::<2>::zeros([0, 12], &device), Tensor::<1>::ones([3], &device));
        assert_eq!(head_norm(qkv, gamma.clone(), gamma, 2, 1, 1e-6).dims(), [0, 12]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        // From three dimensions, as in embed_norm.rs.
        #[test]
        fn matches_plain(tokens in 1usize..150, kv_heads in 1usize..4, group in 1usize..4, head_dim in 3usize..40) {
            check(tokens, kv_heads * group, kv_heads, head_dim);
        }
    }
}
