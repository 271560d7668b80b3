//! Dropout, residual and LayerNorm in one pass over the rows.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::Dropout;
use crate::fused::{Forward, dims, elements, tensor};
use crate::norm::{Affine, Normalised, add_row, drop_row, wanted_vectors};
use crate::rows::CHUNK;

/// `[x, residual, gamma, beta]` to `LayerNorm(dropout(x) + residual)`, in place of `x` when nobody else holds it.
pub(crate) fn forward(inputs: Vec<FlexTensor>, eps: f64, dropout: Option<Dropout>, track: bool) -> Forward {
    let [tokens, width] = dims(&inputs[0]);
    let [mut output, residual, gamma, beta] =
        <[FlexTensor; 4]>::try_from(inputs).expect("this is a bug: add_norm takes four tensors");
    let sampler = dropout.map(|dropout| dropout.sampler());
    let affine = Affine::new(&gamma, &beta, eps);
    let residual_rows = elements(&residual);
    let norm_row = |at: usize, row: &mut [f32], normalised: Option<&mut [f32]>| {
        drop_row(row, sampler, (at * width) as u64);
        add_row(row, &residual_rows[at * width..(at + 1) * width]);
        affine.apply(row, normalised)
    };
    let rows: &mut [f32] = output.storage_mut();
    let mut saved = Normalised::new(if track { tokens } else { 0 }, width);
    if track {
        let chunks = rows.par_chunks_mut(CHUNK * width).zip(saved.rows.par_chunks_mut(CHUNK * width));
        chunks.zip(saved.inverse.par_chunks_mut(CHUNK)).enumerate().for_each(
            |(chunk, ((rows, normalised), inverse))| {
                let rows = rows.chunks_exact_mut(width).zip(normalised.chunks_exact_mut(width));
                for (i, ((row, normalised), inverse)) in rows.zip(inverse).enumerate() {
                    *inverse = norm_row(chunk * CHUNK + i, row, Some(normalised));
                }
            },
        );
    } else {
        rows.par_chunks_mut(CHUNK * width).enumerate().for_each(|(chunk, rows)| {
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                norm_row(chunk * CHUNK + i, row, None);
            }
        });
    }
    let gradient = track.then(|| {
        let backward = move |mut gradient: FlexTensor, wanted: &[bool]| {
            let sums = saved.backward(gradient.storage_mut(), elements(&gamma), None);
            let dx = wanted[0].then(|| match sampler {
                None => gradient.clone(),
                Some(sampler) => {
                    // The normalised rows have served: their buffer takes the second gradient.
                    let mut rows = saved.rows;
                    let source = elements(&gradient);
                    rows.par_chunks_mut(CHUNK * width).enumerate().for_each(|(chunk, rows)| {
                        let first = chunk * CHUNK * width;
                        rows.copy_from_slice(&source[first..first + rows.len()]);
                        drop_row(rows, Some(sampler), first as u64);
                    });
                    tensor(rows, [tokens, width])
                }
            });
            let [d_gamma, d_beta] = wanted_vectors(sums, &wanted[2..]);
            vec![dx, wanted[1].then_some(gradient), d_gamma, d_beta]
        };
        Box::new(backward) as _
    });
    Forward { output, gradient }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use proptest::prelude::*;

    use crate::testing::{assert_agree, assert_same_bytes, matrix, vector};
    use crate::{Dropout, add_norm, plain};

    const DROPOUT: Option<Dropout> = Some(Dropout { probability: 0.1, key: 5 });

    fn inputs(tokens: usize, width: usize) -> (Vec<TensorData>, Vec<TensorData>) {
        (
            vec![matrix(tokens, width, 1), matrix(tokens, width, 2)],
            vec![vector(width, 1.0, 3), vector(width, 0.0, 4)],
        )
    }

    fn check(tokens: usize, width: usize, dropout: Option<Dropout>) {
        let (matrices, vectors) = inputs(tokens, width);
        assert_agree(
            &|x, v| add_norm(x[0].clone(), x[1].clone(), v[0].clone(), v[1].clone(), 1e-5, dropout),
            &|x, v| plain::add_norm(x[0].clone(), x[1].clone(), v[0].clone(), v[1].clone(), 1e-5, dropout),
            &matrices,
            &vectors,
        );
    }

    #[test]
    fn matches_plain() {
        for (tokens, width) in [(1, 384), (200, 37), (65, 8)] {
            check(tokens, width, None);
            check(tokens, width, DROPOUT);
        }
    }

    #[test]
    fn works_in_place_without_touching_what_others_hold() {
        let device = Device::flex();
        let (matrices, vectors) = inputs(9, 12);
        let [x, r] = [0, 1].map(|i| Tensor::<2>::from_data(matrices[i].clone(), &device));
        let [g, b] = [0, 1].map(|i| Tensor::<1>::from_data(vectors[i].clone(), &device));
        let shared = add_norm(x.clone(), r.clone(), g.clone(), b.clone(), 1e-12, DROPOUT);
        assert_eq!(x.to_data(), matrices[0]);
        let owned = add_norm(x, r, g, b, 1e-12, DROPOUT);
        assert_eq!(shared.into_data(), owned.into_data());
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        let (matrices, vectors) = inputs(1003, 384);
        assert_same_bytes(
            &|x, v| add_norm(x[0].clone(), x[1].clone(), v[0].clone(), v[1].clone(), 1e-12, DROPOUT),
            &matrices,
            &vectors,
        );
    }

    #[test]
    fn no_tokens_is_no_work() {
        let device = Device::flex();
        let (x, v) = (Tensor::<2>::zeros([0, 4], &device), Tensor::<1>::ones([4], &device));
        assert_eq!(add_norm(x.clone(), x, v.clone(), v, 1e-12, None).dims(), [0, 4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        // From width 3, as in embed_norm.rs.
        #[test]
        fn matches_plain_at_any_size(tokens in 1usize..150, width in 3usize..100, drops: bool) {
            check(tokens, width, if drops { DROPOUT } else { None });
        }
    }
}
