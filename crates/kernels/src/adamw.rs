//! PyTorch's AdamW over one parameter, one pass over memory.

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::AdamW;
use crate::fused::{contiguous, elements};
use crate::math;
use crate::simd::vectorised;

/// Elements per task. The pass is element-wise, so this does not show in the result.
const CHUNK: usize = 1 << 14;

/// One step; in place for each tensor that nobody else holds.
pub(crate) fn step<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    m: Tensor<D>,
    v: Tensor<D>,
    step: &AdamW,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    let [mut parameter, gradient, mut m, mut v] = [parameter, gradient, m, v].map(primitive);
    let factors = Factors::new(step);
    let parameters = parameter.storage_mut::<f32>().par_chunks_mut(CHUNK);
    let moments =
        m.storage_mut::<f32>().par_chunks_mut(CHUNK).zip(v.storage_mut::<f32>().par_chunks_mut(CHUNK));
    parameters.zip(moments).zip(elements(&gradient).par_chunks(CHUNK)).for_each(
        |((parameters, (m, v)), gradients)| {
            update(parameters, gradients, m, v, factors);
        },
    );
    let tensor = |primitive| Tensor::from_primitive::<Flex>(primitive);
    (tensor(parameter), tensor(m), tensor(v))
}

/// The contiguous CPU tensor inside.
pub(crate) fn primitive<const D: usize>(x: Tensor<D>) -> FlexTensor {
    contiguous(x.try_into_primitive::<Flex>().expect("this is a bug: the device was checked"))
}

/// A step's constants, worked out in f64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors {
    gradient: f32,
    pub(crate) decay: f32,
    /// `1 - beta1`
    first: f32,
    beta2: f32,
    /// `1 - beta2`
    second: f32,
    step_size: f32,
    root_bias2: f32,
    eps: f32,
}

impl Factors {
    pub(crate) fn new(step: &AdamW) -> Self {
        let (step_size, root_bias2) = step.corrections();
        Self {
            gradient: step.gradient_scale,
            decay: (1.0 - step.learning_rate * step.weight_decay) as f32,
            first: (1.0 - step.beta1) as f32,
            beta2: step.beta2 as f32,
            second: (1.0 - step.beta2) as f32,
            step_size: step_size as f32,
            root_bias2: root_bias2 as f32,
            eps: step.eps as f32,
        }
    }
}

vectorised! {
    /// One step of each element.
    pub(crate) fn update(
        parameters: &mut [f32],
        gradients: &[f32],
        m: &mut [f32],
        v: &mut [f32],
        factors: Factors,
    ) {
        for (((p, g), m), v) in parameters.iter_mut().zip(gradients).zip(m).zip(v) {
            element::<FMA>(p, *g, m, v, &factors);
        }
    }
}

/// One step of one element: the only place that says what a step does.
#[inline(always)]
pub(crate) fn element<const FMA: bool>(p: &mut f32, g: f32, m: &mut f32, v: &mut f32, factors: &Factors) {
    let g = g * factors.gradient;
    *m = math::fma::<FMA>(g - *m, factors.first, *m);
    *v = math::fma::<FMA>(factors.second * g, g, factors.beta2 * *v);
    let denominator = v.sqrt() / factors.root_bias2 + factors.eps;
    *p = *p * factors.decay - factors.step_size * (*m / denominator);
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use crate::testing::{assert_close, matrix, values, with_threads};
    use crate::{AdamW, adamw, plain};

    const STEP: AdamW = AdamW {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.1,
        step: 1,
        gradient_scale: 0.5,
    };

    fn inputs(rows: usize) -> [Tensor<2>; 4] {
        let device = Device::flex();
        let [p, g, m] = [1, 2, 3].map(|seed| Tensor::from_data(matrix(rows, 129, seed), &device));
        let v = Tensor::<2>::from_data(matrix(rows, 129, 4), &device).square();
        [p, g, m, v]
    }

    #[test]
    fn matches_plain_over_steps() {
        let [p, g, m, v] = inputs(300);
        let (mut fused, mut reference) = ((p, m, v), inputs(300));
        for step in 1..4 {
            let step = AdamW { step, ..STEP };
            fused = adamw(fused.0, g.clone(), fused.1, fused.2, &step);
            let [p, g, m, v] = reference;
            let (p, m, v) = plain::adamw(p, g.clone(), m, v, &step);
            reference = [p, g, m, v];
            assert_close(&values(fused.0.clone()), &values(reference[0].clone()), "parameter");
            assert_close(&values(fused.1.clone()), &values(reference[2].clone()), "m");
            assert_close(&values(fused.2.clone()), &values(reference[3].clone()), "v");
        }
    }

    #[test]
    fn first_step_by_hand() {
        // m = 0.1 g, v = 0.001 g^2, both corrected to g and g^2: the update is lr * sign(g) after the decay.
        let device = Device::flex();
        let of = |x: [f32; 2]| Tensor::<1>::from_floats(x, &device);
        let step = AdamW { gradient_scale: 1.0, ..STEP };
        let (p, m, v) = adamw(of([1.0, -2.0]), of([3.0, -0.5]), of([0.0; 2]), of([0.0; 2]), &step);
        let near = |x: Tensor<1>, y: [f32; 2]| assert_close(&values(x), &y, "x");
        near(p, [0.999 - 0.01, -2.0 * 0.999 + 0.01]);
        near(m, [0.3, -0.05]);
        near(v, [0.009, 0.000_25]);
    }

    #[test]
    fn updates_in_place_unless_shared() {
        let [p, g, m, v] = inputs(3);
        let kept = p.clone();
        let before = values(kept.clone());
        adamw(p, g, m, v, &STEP);
        assert_eq!(values(kept), before);
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        let run = |threads| {
            with_threads(threads, || {
                let [p, g, m, v] = inputs(1000);
                let (p, m, v) = adamw(p, g, m, v, &STEP);
                [values(p), values(m), values(v)]
            })
        };
        let one = run(1);
        assert!([2, 3, 5].iter().all(|&threads| run(threads) == one));
    }
}
