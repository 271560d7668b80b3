//! Dropout, and a residual where no norm follows.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::Dropout;
use crate::dropout::Sampler;
use crate::fused::{Forward, dims, elements, tensor, writable};
use crate::norm::{add_row, drop_row};

/// Elements of one task; where rows begin does not matter.
const PART: usize = 1 << 14;

/// `[x, residual]` to `dropout(x) + residual`, or `[x]` to `dropout(x)`, in place of `x` when nobody else holds it.
pub(crate) fn forward(inputs: Vec<FlexTensor>, dropout: Option<Dropout>, track: bool) -> Forward {
    let mut inputs = inputs.into_iter();
    let mut output = inputs.next().expect("this is a bug: nothing to add to");
    let residual = inputs.next();
    let sampler = dropout.map(|dropout| dropout.sampler());
    writable(&mut output).par_chunks_mut(PART).enumerate().for_each(|(part, x)| {
        let first = part * PART;
        drop_row(x, sampler, first as u64);
        if let Some(residual) = &residual {
            add_row(x, &elements(residual)[first..first + x.len()]);
        }
    });
    let gradient = track.then(|| {
        let backward = move |gradient: FlexTensor, wanted: &[bool]| {
            let buffer = || vec![0.0; elements(&gradient).len()];
            let dx = wanted[0].then(|| dropped(&gradient, sampler, buffer));
            match wanted.get(1) {
                Some(residual) => vec![dx, residual.then_some(gradient)],
                None => vec![dx],
            }
        };
        Box::new(backward) as _
    });
    Forward { output, gradient }
}

/// The gradient of what dropout acted on. It shares the elements of `gradient` without dropout, and else fills as many
/// of a buffer.
pub(crate) fn dropped(
    gradient: &FlexTensor,
    sampler: Option<Sampler>,
    buffer: impl FnOnce() -> Vec<f32>,
) -> FlexTensor {
    if sampler.is_none() {
        return gradient.clone();
    }
    let mut rows = buffer();
    let parts = rows.par_chunks_mut(PART).zip(elements(gradient).par_chunks(PART));
    parts.enumerate().for_each(|(part, (dx, gradient))| {
        dx.copy_from_slice(gradient);
        drop_row(dx, sampler, (part * PART) as u64);
    });
    tensor(rows, dims(gradient))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};
    use proptest::prelude::*;

    use crate::testing::{assert_agree, assert_same_bytes, assert_spares, matrix};
    use crate::{Dropout, add, drop, plain};

    const DROPOUT: Option<Dropout> = Some(Dropout { probability: 0.1, key: 5 });

    #[test]
    fn dropout_alone_matches_plain() {
        let dropout = Dropout { probability: 0.3, key: 5 };
        assert_agree(
            &|x, _| drop(x[0].clone(), dropout),
            &|x, _| plain::drop(x[0].clone(), Some(dropout)),
            &[matrix(70, 300, 1)],
            &[],
        );
    }

    fn check(tokens: usize, width: usize, dropout: Option<Dropout>) {
        assert_agree(
            &|x, _| add(x[0].clone(), x[1].clone(), dropout),
            &|x, _| plain::add(x[0].clone(), x[1].clone(), dropout),
            &[matrix(tokens, width, 1), matrix(tokens, width, 2)],
            &[],
        );
    }

    #[test]
    fn works_in_place_without_touching_what_others_hold() {
        let residual = Tensor::<2>::from_data(matrix(9, 12, 2), &Device::flex());
        assert_spares(|x| add(x, residual.clone(), DROPOUT), matrix(9, 12, 1));
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        let matrices = [matrix(1003, 384, 1), matrix(1003, 384, 2)];
        assert_same_bytes(&|x, _| add(x[0].clone(), x[1].clone(), DROPOUT), &matrices, &[]);
    }

    #[test]
    fn no_tokens_is_no_work() {
        let x = Tensor::<2>::zeros([0, 4], &Device::flex());
        assert_eq!(add(x.clone(), x, DROPOUT).dims(), [0, 4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn matches_plain(tokens in 1usize..300, width in 1usize..100, drops: bool) {
            check(tokens, width, if drops { DROPOUT } else { None });
        }
    }
}
