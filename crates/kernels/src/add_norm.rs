//! Dropout, residual and LayerNorm in one pass over the rows.

use burn_flex::FlexTensor;

use crate::Dropout;
use crate::add::dropped;
use crate::fused::{Forward, dims, elements};
use crate::norm::{Affine, Kind, Normalised, add_row, drop_row, wanted_vectors};

/// `[x, residual, gamma, beta]` to `LayerNorm(dropout(x) + residual)`, in place of `x` when nobody else holds it; there
/// may be no beta.
pub(crate) fn forward(inputs: Vec<FlexTensor>, eps: f64, dropout: Option<Dropout>, track: bool) -> Forward {
    let [_, width] = dims(&inputs[0]);
    let mut inputs = inputs.into_iter();
    let mut next = || inputs.next().expect("this is a bug: add_norm takes x and a residual");
    let (mut output, residual) = (next(), next());
    let vectors: Vec<FlexTensor> = inputs.collect();
    let sampler = dropout.map(|dropout| dropout.sampler());
    let affine = Affine::new(Kind::Layer, &vectors, eps);
    let residual_rows = elements(&residual);
    let norm_row = |at: usize, row: &mut [f32], normalised: Option<&mut [f32]>| {
        drop_row(row, sampler, (at * width) as u64);
        add_row(row, &residual_rows[at * width..(at + 1) * width]);
        affine.apply(row, normalised)
    };
    let saved = Normalised::of(output.storage_mut(), width, track, norm_row);
    let gradient = track.then(|| {
        let backward = move |mut gradient: FlexTensor, wanted: &[bool]| {
            let sums = saved.backward(gradient.storage_mut(), Kind::Layer, elements(&vectors[0]), None);
            // The normalised rows have served: their buffer takes the second gradient.
            let dx = wanted[0].then(|| dropped(&gradient, sampler, || saved.rows));
            let mut gradients = vec![dx, wanted[1].then_some(gradient)];
            gradients.extend(wanted_vectors(sums, &wanted[2..]));
            gradients
        };
        Box::new(backward) as _
    });
    Forward { output, gradient }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use proptest::prelude::*;

    use crate::testing::{assert_agree, assert_same_bytes, assert_spares, matrix, vector};
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
        check_with(&matrices, &vectors, dropout);
        check_with(&matrices, &vectors[..1], dropout);
    }

    /// With gamma alone, or with gamma and beta.
    fn check_with(matrices: &[TensorData], vectors: &[TensorData], dropout: Option<Dropout>) {
        assert_agree(
            &|x, v| add_norm(x[0].clone(), x[1].clone(), v[0].clone(), v.get(1).cloned(), 1e-5, dropout),
            &|x, v| {
                plain::add_norm(x[0].clone(), x[1].clone(), v[0].clone(), v.get(1).cloned(), 1e-5, dropout)
            },
            matrices,
            vectors,
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
        let (matrices, vectors) = inputs(9, 12);
        let r = Tensor::<2>::from_data(matrices[1].clone(), &Device::flex());
        let [g, b] = [0, 1].map(|i| Tensor::<1>::from_data(vectors[i].clone(), &Device::flex()));
        assert_spares(
            |x| add_norm(x, r.clone(), g.clone(), Some(b.clone()), 1e-12, DROPOUT),
            matrices[0].clone(),
        );
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        let (matrices, vectors) = inputs(1003, 384);
        assert_same_bytes(
            &|x, v| add_norm(x[0].clone(), x[1].clone(), v[0].clone(), v.get(1).cloned(), 1e-12, DROPOUT),
            &matrices,
            &vectors,
        );
    }

    #[test]
    fn no_tokens_is_no_work() {
        let device = Device::flex();
        let (x, v) = (Tensor::<2>::zeros([0, 4], &device), Tensor::<1>::ones([4], &device));
        assert_eq!(add_norm(x.clone(), x, v.clone(), Some(v), 1e-12, None).dims(), [0, 4]);
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
