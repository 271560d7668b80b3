//! Gated activations: of two halves of a row, one is activated and multiplied with the other.
//!
//! While a gradient is wanted, the input's buffer takes what the output's gradient is to be multiplied with, so that
//! the backward pass computes no erf or exp again.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::fused::{Forward, dims, elements, tensor, writable};
use crate::gemm::Tiles;
use crate::linear::{activate, activate_and_differentiate};
use crate::norm::multiply_by;
use crate::rows::CHUNK;
use crate::simd::vectorised;
use crate::{Activation, Gate};

/// `[x]` to the product of its halves, one of them activated.
pub(crate) fn forward(
    mut inputs: Vec<FlexTensor>,
    activation: Activation,
    gate: Gate,
    track: bool,
) -> Forward {
    let mut input = inputs.swap_remove(0);
    let [tokens, joined] = dims(&input);
    let width = joined / 2;
    let mut output: Vec<f32> = Vec::with_capacity(tokens * width);
    let outputs = Tiles::spare(&mut output, width);
    writable(&mut input).par_chunks_mut(CHUNK * joined).enumerate().for_each(|(chunk, rows)| {
        // SAFETY: no other task has this chunk of rows.
        let mut outputs = unsafe { outputs.tile([chunk * CHUNK, 0], rows.len() / joined, width) };
        for (i, row) in rows.chunks_exact_mut(joined).enumerate() {
            let (first, second) = row.split_at_mut(width);
            let (activated, other) = match gate {
                Gate::First => (first, second),
                Gate::Second => (second, first),
            };
            let output = outputs.row(i);
            if track {
                activate_and_differentiate(activation, activated, output);
                multiply_and_differentiate(activated, other, output);
            } else {
                activate(activation, activated);
                output.copy_from_slice(activated);
                multiply_by(output, other);
            }
        }
    });
    // SAFETY: the chunks cover the output, and each of their rows was written.
    unsafe { output.set_len(tokens * width) };
    let gradient = track.then(|| {
        let backward = move |gradient: FlexTensor, wanted: &[bool]| {
            let rows = writable(&mut input).par_chunks_mut(CHUNK * joined);
            rows.zip(elements(&gradient).par_chunks(CHUNK * width)).for_each(|(rows, gradient)| {
                for (row, gradient) in rows.chunks_exact_mut(joined).zip(gradient.chunks_exact(width)) {
                    row.chunks_exact_mut(width).for_each(|half| multiply_by(half, gradient));
                }
            });
            vec![wanted[0].then_some(input)]
        };
        Box::new(backward) as _
    });
    Forward { output: tensor(output, [tokens, width]), gradient }
}

vectorised! {
    /// From the activated half, the other, and the activation's derivative in `output`: the product, and in place of
    /// each half the product's derivative by it.
    fn multiply_and_differentiate(activated: &mut [f32], other: &mut [f32], output: &mut [f32]) {
        for ((a, b), output) in activated.iter_mut().zip(other).zip(output) {
            let (value, factor, derivative) = (*a, *b, *output);
            *output = value * factor;
            *a = derivative * factor;
            *b = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};
    use proptest::prelude::*;

    use crate::linear::tests::ALL;
    use crate::testing::{assert_agree, assert_same_bytes, assert_spares, matrix, values};
    use crate::{Activation, Gate, gated, plain};

    const GATES: [Gate; 2] = [Gate::First, Gate::Second];

    fn check(tokens: usize, width: usize, activation: Activation, gate: Gate) {
        assert_agree(
            &|x, _| gated(x[0].clone(), activation, gate),
            &|x, _| plain::gated(x[0].clone(), activation, gate),
            &[matrix(tokens, 2 * width, 1)],
            &[],
        );
    }

    #[test]
    fn the_gate_names_the_activated_half() {
        let x = || Tensor::<2>::from_floats([[-2.0, 3.0, 5.0, -7.0]], &Device::flex());
        assert_eq!(values(gated(x(), Activation::Relu, Gate::First)), [0.0, -21.0]);
        assert_eq!(values(gated(x(), Activation::Relu, Gate::Second)), [-10.0, 0.0]);
    }

    #[test]
    fn matches_plain_for_every_activation() {
        for (activation, gate) in ALL.into_iter().flat_map(|a| GATES.map(|gate| (a, gate))) {
            check(130, 50, activation, gate);
        }
    }

    #[test]
    fn works_in_place_without_touching_what_others_hold() {
        assert_spares(|x| gated(x, Activation::Silu, Gate::First), matrix(9, 12, 1));
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        assert_same_bytes(
            &|x, _| gated(x[0].clone(), Activation::Gelu, Gate::First),
            &[matrix(1003, 384, 1)],
            &[],
        );
    }

    #[test]
    fn no_tokens_is_no_work() {
        let x = Tensor::<2>::zeros([0, 4], &Device::flex());
        assert_eq!(gated(x, Activation::Gelu, Gate::Second).dims(), [0, 2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn matches_plain(tokens in 1usize..200, width in 1usize..70, kind in 0usize..6, second: bool) {
            check(tokens, width, ALL[kind], GATES[usize::from(second)]);
        }
    }
}
