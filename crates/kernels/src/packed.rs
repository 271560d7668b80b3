//! Linear layers for inference: weights packed once, in f32 or in int8.

use burn::backend::Flex;
use burn::tensor::Tensor;

use crate::Activation;
use crate::adamw::primitive;
use crate::fused::{elements, fits, tensor};
use crate::gemm::{Panels, View, product};
use crate::int8::Quantized;
use crate::linear::{activate, add};

/// What the weights of linear layers are held in while embedding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinearPrecision {
    /// 32-bit floats: what was trained.
    #[default]
    F32,
    /// Bytes: a scale for every output channel, and for every token one that is found when it comes. Several times as
    /// fast, a little less exact.
    Int8,
}

/// One or several linear layers on the same input, whose weights were packed for this CPU.
#[derive(Debug)]
pub struct PackedLinear(Weight);

#[derive(Debug)]
enum Weight {
    F32(Panels),
    Int8 {
        weight: Quantized,
        /// Empty if there is none.
        bias: Vec<f32>,
    },
}

impl PackedLinear {
    /// Packs layers as [`crate::joined_linear`] takes them; none if they are not f32 on the CPU.
    pub fn new(weights: Vec<Tensor<2>>, biases: Vec<Tensor<1>>, precision: LinearPrecision) -> Option<Self> {
        if !(weights.iter().all(fits) && biases.iter().all(fits)) {
            return None;
        }
        let depth = weights.first()?.dims()[1];
        let joined = primitive(Tensor::cat(weights, 0).inner());
        let bias = if biases.is_empty() {
            Vec::new()
        } else {
            elements(&primitive(Tensor::cat(biases, 0).inner())).to_vec()
        };
        Some(Self(match precision {
            LinearPrecision::F32 => {
                let weight = View::new(elements(&joined), elements(&joined).len() / depth, depth, depth);
                Weight::F32(Panels::pack(weight.t()).with_bias(&bias))
            }
            LinearPrecision::Int8 => Weight::Int8 { weight: Quantized::new(elements(&joined), depth), bias },
        }))
    }

    /// `activation(x weight^T + bias)`, without a gradient; x must be f32 on the CPU.
    ///
    /// # Shapes
    /// - x: `[tokens, in]`
    /// - output: `[tokens, sum of out]`
    pub fn forward(&self, x: Tensor<2>, activation: Activation) -> Tensor<2> {
        let [tokens, depth] = x.dims();
        let x = primitive(x.inner());
        let (output, width) = match &self.0 {
            Weight::F32(panels) => {
                let finish = |_: usize, _: usize, out: &mut [f32]| activate(activation, out);
                (product(View::new(elements(&x), tokens, depth, depth), panels, finish), panels.columns)
            }
            Weight::Int8 { weight, bias } => {
                assert_eq!(weight.depth(), depth, "this is a bug: product shapes");
                let finish = |_: usize, column: usize, out: &mut [f32]| {
                    add(out, bias.get(column..).unwrap_or_default());
                    activate(activation, out);
                };
                (weight.product(elements(&x), finish), weight.channels())
            }
        };
        Tensor::from_primitive::<Flex>(tensor(output, [tokens, width]))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::joined_linear;
    use crate::testing::{matrix, values, vector};

    fn layers(tokens: usize) -> (Tensor<2>, Vec<Tensor<2>>, Vec<Tensor<1>>) {
        let device = Device::flex();
        let x = Tensor::from_data(matrix(tokens, 64, 1), &device);
        let weights = [30, 70].map(|width| Tensor::from_data(matrix(width, 64, width as u64), &device));
        let biases = [30, 70].map(|width| Tensor::from_data(vector(width, 0.1, width as u64), &device));
        (x, weights.into(), biases.into())
    }

    #[test]
    fn f32_gives_the_bytes_of_the_unpacked_layers() {
        for (tokens, activation) in
            [(1, Activation::Gelu), (100, Activation::Identity), (0, Activation::Tanh)]
        {
            let (x, weights, biases) = layers(tokens);
            let packed = PackedLinear::new(weights.clone(), biases.clone(), LinearPrecision::F32).unwrap();
            let expected = joined_linear(x.clone(), weights, biases, activation);
            assert_eq!(values(packed.forward(x, activation)), values(expected));
        }
    }

    #[test]
    fn int8_is_close() {
        let (x, weights, biases) = layers(100);
        let packed = PackedLinear::new(weights.clone(), biases.clone(), LinearPrecision::Int8).unwrap();
        let found = values(packed.forward(x.clone(), Activation::Identity));
        let expected = values(joined_linear(x, weights, biases, Activation::Identity));
        let (mut error, mut size) = (0.0, 0.0);
        for (x, y) in found.iter().zip(&expected) {
            error += (x - y).powi(2);
            size += y.powi(2);
        }
        assert!((error / size).sqrt() < 0.02, "relative error {}", (error / size).sqrt());
    }
}
