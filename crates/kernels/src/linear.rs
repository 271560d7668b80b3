//! Linear layers on the same input as one product, with bias and activation done while its rows are in the cache.
//!
//! While a gradient is wanted, the pass also leaves the activation's derivative behind, so that the backward pass
//! computes no erf or exp again.

use std::borrow::Cow;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::Activation;
use crate::fused::{Forward, contiguous, dims, elements, tensor};
use crate::gemm::{Panels, Tiles, View, product};
use crate::math;
use crate::norm::multiply_by;
use crate::rows::{CHUNK, add_in_order};
use crate::simd::vectorised;

/// `[x, weights.., biases..]` to `activation(x weight^T + bias)` of each layer, side by side. There is a bias for
/// every weight or for none.
pub(crate) fn forward(
    inputs: Vec<FlexTensor>,
    layers: usize,
    activation: Activation,
    track: bool,
) -> Forward {
    let layers = Layers { inputs, count: layers };
    let (tokens, depth) = (dims(&layers.inputs[0])[0], dims(&layers.inputs[0])[1]);
    let width = layers.widths().sum::<usize>();
    let x = View::new(elements(&layers.inputs[0]), tokens, depth, depth);
    let panels = Panels::pack(View::new(&layers.weight(), width, depth, depth).t()).with_bias(&layers.bias());
    let differentiate = track && activation != Activation::Identity;
    let mut derivative: Vec<f32> = Vec::with_capacity(if differentiate { tokens * width } else { 0 });
    let derivatives = Tiles::spare(&mut derivative, width);
    let output = product(x, &panels, |row, column, out| {
        if differentiate {
            // SAFETY: the product finishes each part of a row once.
            let mut derivative = unsafe { derivatives.tile([row, column], 1, out.len()) };
            activate_and_differentiate(activation, out, derivative.row(0));
        } else {
            activate(activation, out);
        }
    });
    if differentiate {
        // SAFETY: every part of every row was finished, and so its derivative written.
        unsafe { derivative.set_len(tokens * width) };
    }
    let gradient = track.then(|| {
        let backward = move |gradient, wanted: &[bool]| layers.backward(&derivative, gradient, wanted);
        Box::new(backward) as _
    });
    Forward { output: tensor(output, [tokens, width]), gradient }
}

/// A product's inputs: x, then the weights, then the biases.
struct Layers {
    inputs: Vec<FlexTensor>,
    count: usize,
}

impl Layers {
    fn weights(&self) -> &[FlexTensor] {
        &self.inputs[1..=self.count]
    }

    fn biases(&self) -> &[FlexTensor] {
        &self.inputs[1 + self.count..]
    }

    fn widths(&self) -> impl Iterator<Item = usize> + '_ {
        self.weights().iter().map(|weight| dims(weight)[0])
    }

    /// The weights, one below the other.
    fn weight(&self) -> Cow<'_, [f32]> {
        join(self.weights())
    }

    /// The biases, one after the other; empty if there are none.
    fn bias(&self) -> Cow<'_, [f32]> {
        join(self.biases())
    }

    fn backward(&self, derivative: &[f32], gradient: FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        let [tokens, depth] = dims(&self.inputs[0]);
        let [_, width] = dims(&gradient);
        let (wanted_weights, wanted_biases) = wanted[1..].split_at(self.count);
        let mut gradient = contiguous(gradient);
        let wants_bias = wanted_biases.contains(&true);
        let mut bias = Vec::new();
        if wants_bias || !derivative.is_empty() {
            // In place when nobody else holds the output's gradient.
            let gradient: &mut [f32] = gradient.storage_mut();
            let sums = gradient.par_chunks_mut(CHUNK * width).enumerate().map(|(chunk, rows)| {
                if !derivative.is_empty() {
                    let first = chunk * CHUNK * width;
                    multiply_by(rows, &derivative[first..first + rows.len()]);
                }
                let mut sums = vec![0.0; if wants_bias { width } else { 0 }];
                if wants_bias {
                    rows.chunks_exact(width).for_each(|row| add(&mut sums, row));
                }
                sums
            });
            bias = add_in_order(&sums.collect::<Vec<_>>(), width);
        }
        let dy = View::new(elements(&gradient), tokens, width, width);
        let finish = |_: usize, _: usize, _: &mut [f32]| ();
        let mut gradients = Vec::with_capacity(self.inputs.len());
        gradients.push(wanted[0].then(|| {
            let weight = Panels::pack(View::new(&self.weight(), width, depth, depth));
            tensor(product(dy, &weight, finish), [tokens, depth])
        }));
        let weights = if wanted_weights.contains(&true) {
            let x = Panels::pack(View::new(elements(&self.inputs[0]), tokens, depth, depth));
            product(dy.t(), &x, finish)
        } else {
            Vec::new()
        };
        gradients.extend(split(weights, self.weights(), wanted_weights));
        gradients.extend(split(bias, self.biases(), wanted_biases));
        gradients
    }
}

/// All elements in order, copied only if there are several tensors.
fn join(tensors: &[FlexTensor]) -> Cow<'_, [f32]> {
    match tensors {
        [one] => Cow::Borrowed(elements(one)),
        several => Cow::Owned(several.iter().map(elements).collect::<Vec<_>>().concat()),
    }
}

/// The reverse of [`join`]: each tensor's own part as a tensor of its shape, where wanted.
fn split(joined: Vec<f32>, like: &[FlexTensor], wanted: &[bool]) -> Vec<Option<FlexTensor>> {
    let shape = |x: &FlexTensor| x.layout().shape().clone();
    if let ([one], [true]) = (like, wanted) {
        return vec![Some(tensor(joined, shape(one)))];
    }
    let mut rest = joined.as_slice();
    let mut take = |x: &FlexTensor| {
        let (part, after) = rest.split_at(shape(x).num_elements());
        rest = after;
        tensor(part.to_vec(), shape(x))
    };
    let any = wanted.contains(&true);
    like.iter().zip(wanted).map(|(x, wanted)| any.then(|| take(x)).filter(|_| *wanted)).collect()
}

vectorised! {
    /// `row += other`, as far as both go.
    pub(crate) fn add(row: &mut [f32], other: &[f32]) {
        for (x, y) in row.iter_mut().zip(other) {
            *x += y;
        }
    }
}

/// An activation's value and derivative at one point.
type Point = (f32, f32);

#[inline(always)]
fn gelu<const FMA: bool>(x: f32) -> Point {
    /// `1 / sqrt(2 pi)`.
    const DENSITY: f32 = 0.398_942_3;
    let phi = 0.5 + 0.5 * math::erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2);
    (x * phi, phi + x * DENSITY * math::exp::<FMA>(-0.5 * x * x))
}

#[inline(always)]
fn gelu_tanh<const FMA: bool>(x: f32) -> Point {
    /// `sqrt(2 / pi)`.
    const ROOT: f32 = 0.797_884_6;
    const CUBE: f32 = 0.044_715;
    let square = x * x;
    let t = math::tanh::<FMA>(ROOT * x * (1.0 + CUBE * square));
    let slope = ROOT * (1.0 + 3.0 * CUBE * square);
    (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope)
}

#[inline(always)]
fn silu<const FMA: bool>(x: f32) -> Point {
    let s = math::sigmoid::<FMA>(x);
    (x * s, s * (1.0 + x * (1.0 - s)))
}

#[inline(always)]
fn tanh<const FMA: bool>(x: f32) -> Point {
    let t = math::tanh::<FMA>(x);
    (t, 1.0 - t * t)
}

#[inline(always)]
fn relu(x: f32) -> Point {
    // NaN stays NaN.
    (if x < 0.0 { 0.0 } else { x }, if x > 0.0 { 1.0 } else { 0.0 })
}

vectorised! {
    pub(crate) fn activate(activation: Activation, row: &mut [f32]) {
        match activation {
            Activation::Identity => {}
            Activation::Gelu => row.iter_mut().for_each(|x| *x = gelu::<FMA>(*x).0),
            Activation::GeluTanh => row.iter_mut().for_each(|x| *x = gelu_tanh::<FMA>(*x).0),
            Activation::Relu => row.iter_mut().for_each(|x| *x = relu(*x).0),
            Activation::Silu => row.iter_mut().for_each(|x| *x = silu::<FMA>(*x).0),
            Activation::Tanh => row.iter_mut().for_each(|x| *x = tanh::<FMA>(*x).0),
        }
    }
}

vectorised! {
    pub(crate) fn activate_and_differentiate(activation: Activation, row: &mut [f32], derivative: &mut [f32]) {
        let points = row.iter_mut().zip(derivative);
        match activation {
            Activation::Identity => points.for_each(|(_, d)| *d = 1.0),
            Activation::Gelu => points.for_each(|(x, d)| (*x, *d) = gelu::<FMA>(*x)),
            Activation::GeluTanh => points.for_each(|(x, d)| (*x, *d) = gelu_tanh::<FMA>(*x)),
            Activation::Relu => points.for_each(|(x, d)| (*x, *d) = relu(*x)),
            Activation::Silu => points.for_each(|(x, d)| (*x, *d) = silu::<FMA>(*x)),
            Activation::Tanh => points.for_each(|(x, d)| (*x, *d) = tanh::<FMA>(*x)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use burn::tensor::{Device, Tensor};
    use proptest::prelude::*;

    use crate::testing::{assert_agree, assert_close, assert_same_bytes, matrix, values, vector};
    use crate::{Activation, joined_linear, linear, plain};

    pub(crate) const ALL: [Activation; 6] = [
        Activation::Identity,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Relu,
        Activation::Silu,
        Activation::Tanh,
    ];

    fn check(tokens: usize, depth: usize, width: usize, activation: Activation, bias: bool) {
        let vectors = if bias { vec![vector(width, 0.1, 3)] } else { Vec::new() };
        assert_agree(
            &|x, b| linear(x[0].clone(), x[1].clone(), b.first().cloned(), activation),
            &|x, b| plain::linear(x[0].clone(), x[1].clone(), b.first().cloned(), activation),
            &[matrix(tokens, depth, 1), matrix(width, depth, 2)],
            &vectors,
        );
    }

    #[test]
    fn matches_plain_for_every_activation() {
        for activation in ALL {
            check(130, 36, 50, activation, true);
            check(7, 384, 130, activation, false);
        }
    }

    #[test]
    fn joined_layers_match_plain() {
        for (vectors, activation) in [(3, Activation::Identity), (0, Activation::Gelu)] {
            let biases: Vec<_> =
                [30, 7, 45].iter().map(|width| vector(*width, 0.1, 3)).take(vectors).collect();
            assert_agree(
                &|x, b| joined_linear(x[0].clone(), x[1..].to_vec(), b.to_vec(), activation),
                &|x, b| plain::joined_linear(x[0].clone(), x[1..].to_vec(), b.to_vec(), activation),
                &[matrix(70, 24, 1), matrix(30, 24, 2), matrix(7, 24, 3), matrix(45, 24, 4)],
                &biases,
            );
        }
    }

    #[test]
    fn inference_gives_the_training_forward() {
        let device = Device::flex();
        let [x, w] = [matrix(70, 40, 1), matrix(33, 40, 2)].map(|data| Tensor::<2>::from_data(data, &device));
        let b = Tensor::<1>::from_data(vector(33, 0.0, 3), &device);
        for activation in ALL {
            let inferred = linear(x.clone(), w.clone(), Some(b.clone()), activation);
            let tracked = linear(x.clone().autodiff().require_grad(), w.clone(), Some(b.clone()), activation);
            assert_close(&values(inferred), &values(tracked), "inference");
        }
    }

    #[test]
    fn a_frozen_weight_gets_no_gradient() {
        let device = Device::flex().autodiff();
        let x = Tensor::<2>::from_data(matrix(5, 4, 1), &device).require_grad();
        let w = Tensor::<2>::from_data(matrix(3, 4, 2), &device);
        let gradients = linear(x.clone(), w.clone(), None, Activation::Gelu).sum().backward();
        assert!(x.grad(&gradients).is_some() && w.grad(&gradients).is_none());
    }

    #[test]
    fn no_tokens_is_no_work() {
        let device = Device::flex();
        let x = Tensor::<2>::zeros([0, 4], &device);
        let w = Tensor::<2>::from_data(matrix(3, 4, 2), &device);
        assert_eq!(linear(x, w, None, Activation::Gelu).dims(), [0, 3]);
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        for (tokens, depth, width) in [(1003, 384, 1536), (517, 1536, 384), (333, 37, 50)] {
            assert_same_bytes(
                &|x, b| linear(x[0].clone(), x[1].clone(), Some(b[0].clone()), Activation::Gelu),
                &[matrix(tokens, depth, 1), matrix(width, depth, 2)],
                &[vector(width, 0.0, 3)],
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn matches_plain(tokens in 1usize..200, depth in 1usize..70, width in 1usize..70, kind in 0usize..6, bias: bool) {
            check(tokens, depth, width, ALL[kind], bias);
        }
    }
}
