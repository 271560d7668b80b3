//! The parameters that every architecture is made of, shaped and named as weight files hold them.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use temper_kernels::{Activation, joined_linear, linear};

/// A lookup table, `[rows, dim]`.
#[derive(Module, Debug)]
pub(crate) struct Table {
    pub(crate) weight: Param<Tensor<2>>,
}

/// Scale and shift of a `LayerNorm`.
#[derive(Module, Debug)]
pub(crate) struct LayerNorm {
    pub(crate) weight: Param<Tensor<1>>,
    pub(crate) bias: Param<Tensor<1>>,
}

/// A linear layer; the weight is `[out, in]`, as weight files hold it.
#[derive(Module, Debug)]
pub(crate) struct Linear {
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Zeros of the right shape, to be replaced by `parameters::load`.
    pub(crate) fn empty(inputs: usize, outputs: usize, bias: bool, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::zeros([outputs, inputs], device)),
            bias: bias.then(|| Param::from_tensor(Tensor::zeros([outputs], device))),
        }
    }

    /// `[rows, in]` to `[rows, out]`.
    pub(crate) fn forward(&self, x: Tensor<2>, activation: Activation) -> Tensor<2> {
        linear(x, self.weight.val(), self.bias.as_ref().map(Param::val), activation)
    }
}

impl Linear {
    /// `[rows, in]` to `[rows, sum of out]`: several layers side by side, as one product.
    pub(crate) fn forward_joined(layers: [&Self; 3], x: Tensor<2>) -> Tensor<2> {
        let weights = layers.iter().map(|layer| layer.weight.val()).collect();
        let biases = layers.iter().filter_map(|layer| layer.bias.as_ref().map(Param::val)).collect();
        joined_linear(x, weights, biases, Activation::Identity)
    }
}

impl Table {
    pub(crate) fn empty(rows: usize, dim: usize, device: &Device) -> Self {
        Self { weight: Param::from_tensor(Tensor::zeros([rows, dim], device)) }
    }
}

impl LayerNorm {
    pub(crate) fn empty(dim: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([dim], device)),
            bias: Param::from_tensor(Tensor::zeros([dim], device)),
        }
    }
}
