//! Rows scaled to length one.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::fused::{Forward, dims, elements};
use crate::math;
use crate::rows::CHUNK;
use crate::simd::vectorised;

/// The smallest norm divided by, as in `torch.nn.functional.normalize`.
const FLOOR: f32 = 1e-12;

/// `[x]` to `x / max(norm, 1e-12)`, in place when nobody else holds it.
pub(crate) fn forward(mut inputs: Vec<FlexTensor>, track: bool) -> Forward {
    let mut output = inputs.swap_remove(0);
    let [rows, width] = dims(&output);
    let mut norms = vec![0.0; rows];
    let values: &mut [f32] = output.storage_mut();
    values.par_chunks_mut(CHUNK * width).zip(norms.par_chunks_mut(CHUNK)).for_each(|(values, norms)| {
        for (row, norm) in values.chunks_exact_mut(width).zip(norms) {
            *norm = scale_to_one(row);
        }
    });
    let gradient = track.then(|| {
        let normalised = output.clone();
        let backward = move |mut gradient: FlexTensor, wanted: &[bool]| {
            let values: &mut [f32] = gradient.storage_mut();
            let rows = values.par_chunks_exact_mut(width).zip(elements(&normalised).par_chunks_exact(width));
            rows.zip(&norms).for_each(|((gradient, row), norm)| scale_to_one_backward(gradient, row, *norm));
            vec![wanted[0].then_some(gradient)]
        };
        Box::new(backward) as _
    });
    Forward { output, gradient }
}

/// The divisor of a row; NaN stays NaN, which `f32::max` would hide.
#[inline(always)]
fn floored(norm: f32) -> f32 {
    if norm < FLOOR { FLOOR } else { norm }
}

vectorised! {
    fn scale_to_one(row: &mut [f32]) -> f32 {
        let norm = math::dot::<FMA>(row, row).sqrt();
        let divisor = floored(norm);
        for x in row.iter_mut() {
            *x /= divisor;
        }
        norm
    }
}

vectorised! {
    /// Below the floor the divisor is a constant, so nothing is projected out.
    fn scale_to_one_backward(gradient: &mut [f32], row: &[f32], norm: f32) {
        let along = if norm < FLOOR { 0.0 } else { math::dot::<FMA>(gradient, row) };
        let divisor = floored(norm);
        for (g, x) in gradient.iter_mut().zip(row) {
            *g = (*g - along * *x) / divisor;
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use crate::testing::{assert_agree, assert_same_bytes, matrix, values};
    use crate::{normalize, plain};

    #[test]
    fn matches_plain() {
        for (rows, width) in [(1, 1), (70, 37), (33, 384)] {
            let matrices = [matrix(rows, width, 1)];
            assert_agree(
                &|x, _| normalize(x[0].clone()),
                &|x, _| plain::normalize(x[0].clone()),
                &matrices,
                &[],
            );
        }
    }

    #[test]
    fn a_zero_row_stays_zero() {
        let x = TensorData::new(vec![0.0f32, 0.0, 3.0, 4.0], [2, 2]);
        let y = normalize(Tensor::<2>::from_data(x, &Device::flex()));
        assert_eq!(values(y), [0.0, 0.0, 0.6, 0.8]);
        assert_eq!(normalize(Tensor::zeros([0, 4], &Device::flex())).dims(), [0, 4]);
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        assert_same_bytes(&|x, _| normalize(x[0].clone()), &[matrix(300, 384, 1)], &[]);
    }
}
