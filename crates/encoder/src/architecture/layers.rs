//! The parameters that every architecture is made of, shaped and named as weight files hold them.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use temper_kernels::{
    Activation, Dropout, EmbedInput, LinearPrecision, PackedLinear, add_norm, embed_norm, joined_linear,
    layer_norm, linear,
};

use crate::pass::Pass;

/// A lookup table, `[rows, dim]`.
#[derive(Module, Debug)]
pub(crate) struct Table {
    pub(crate) weight: Param<Tensor<2>>,
}

/// Scale and shift of a `LayerNorm`; some have no shift.
#[derive(Module, Debug)]
pub(crate) struct LayerNorm {
    pub(crate) weight: Param<Tensor<1>>,
    bias: Option<Param<Tensor<1>>>,
}

/// Scale of an `RMSNorm`.
#[derive(Module, Debug)]
pub(crate) struct RmsNorm {
    pub(crate) weight: Param<Tensor<1>>,
}

/// A linear layer; the weight is `[out, in]`, as weight files hold it.
#[derive(Module, Debug)]
pub(crate) struct Linear {
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    packed: Packed,
}

/// Weights packed for inference, beside the parameters they were made of. Only [`crate::Encoder::for_inference`] makes
/// them, for a network that is not trained any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packed(Option<Arc<PackedLinear>>);

/// Tables whose rows are added and normed, in the names that BERT gave them.
#[derive(Module, Debug)]
pub(crate) struct Embeddings {
    pub(crate) word_embeddings: Table,
    position_embeddings: Option<Table>,
    token_type_embeddings: Option<Table>,
    layer_norm: LayerNorm,
}

/// What attention compares and takes, as BERT names it.
#[derive(Module, Debug)]
pub(crate) struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    #[module(skip)]
    packed: Packed,
}

/// The end of half a block, as BERT names it: back to the block's width, added to what went in, normed.
#[derive(Module, Debug)]
pub(crate) struct Output {
    pub(crate) dense: Linear,
    layer_norm: LayerNorm,
}

impl Embeddings {
    /// With a table of positions and one of token types where their rows are given.
    pub(crate) fn empty(
        words: usize,
        positions: Option<usize>,
        token_types: Option<usize>,
        dim: usize,
        device: &Device,
    ) -> Self {
        let table = |rows| Table::empty(rows, dim, device);
        Self {
            word_embeddings: table(words),
            position_embeddings: positions.map(table),
            token_type_embeddings: token_types.map(table),
            layer_norm: LayerNorm::empty(dim, true, device),
        }
    }

    /// `[tokens, dim]`
    pub(crate) fn forward(&self, input: &EmbedInput, eps: f64, dropout: f64, pass: &Pass) -> Tensor<2> {
        let rows = |table: &Option<Table>| table.as_ref().map(|table| table.weight.val());
        embed_norm(
            self.word_embeddings.weight.val(),
            rows(&self.position_embeddings),
            rows(&self.token_type_embeddings),
            input,
            self.layer_norm.weight.val(),
            self.layer_norm.shift(),
            eps,
            pass.dropout.next(dropout),
            pass.word_rows.clone(),
        )
    }
}

impl SelfAttention {
    pub(crate) fn empty(dim: usize, device: &Device) -> Self {
        let square = || Linear::empty(dim, dim, true, device);
        Self { query: square(), key: square(), value: square(), packed: Packed::default() }
    }

    pub(crate) fn pack(&mut self, precision: LinearPrecision) {
        self.packed = Packed::new([&self.query, &self.key, &self.value], precision);
    }

    /// Queries, keys and values side by side.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        Linear::forward_joined([&self.query, &self.key, &self.value], &self.packed, x)
    }
}

impl Output {
    pub(crate) fn empty(inputs: usize, dim: usize, device: &Device) -> Self {
        Self {
            dense: Linear::empty(inputs, dim, true, device),
            layer_norm: LayerNorm::empty(dim, true, device),
        }
    }

    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        residual: Tensor<2>,
        eps: f64,
        dropout: Option<Dropout>,
    ) -> Tensor<2> {
        self.layer_norm.of_sum(self.dense.forward(x, Activation::Identity), residual, eps, dropout)
    }
}

impl Linear {
    /// Zeros of the right shape, to be replaced by `parameters::load`.
    pub(crate) fn empty(inputs: usize, outputs: usize, bias: bool, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::zeros([outputs, inputs], device)),
            bias: bias.then(|| Param::from_tensor(Tensor::zeros([outputs], device))),
            packed: Packed::default(),
        }
    }

    /// Packs the weights for inference.
    pub(crate) fn pack(&mut self, precision: LinearPrecision) {
        self.packed = Packed::new([&*self], precision);
    }

    /// `[rows, in]` to `[rows, out]`.
    pub(crate) fn forward(&self, x: Tensor<2>, activation: Activation) -> Tensor<2> {
        match &self.packed.0 {
            Some(packed) => packed.forward(x, activation),
            None => linear(x, self.weight.val(), self.bias.as_ref().map(Param::val), activation),
        }
    }

    /// `[rows, in]` to `[rows, sum of out]`: several layers side by side, as one product.
    pub(crate) fn forward_joined<const N: usize>(
        layers: [&Self; N],
        packed: &Packed,
        x: Tensor<2>,
    ) -> Tensor<2> {
        match &packed.0 {
            Some(packed) => packed.forward(x, Activation::Identity),
            None => joined_linear(x, weights(&layers), biases(&layers), Activation::Identity),
        }
    }
}

impl Packed {
    /// Packs layers that are computed side by side.
    pub(crate) fn new<const N: usize>(layers: [&Linear; N], precision: LinearPrecision) -> Self {
        Self(PackedLinear::new(weights(&layers), biases(&layers), precision).map(Arc::new))
    }
}

fn weights(layers: &[&Linear]) -> Vec<Tensor<2>> {
    layers.iter().map(|layer| layer.weight.val()).collect()
}

fn biases(layers: &[&Linear]) -> Vec<Tensor<1>> {
    layers.iter().filter_map(|layer| layer.bias.as_ref().map(Param::val)).collect()
}

impl Table {
    pub(crate) fn empty(rows: usize, dim: usize, device: &Device) -> Self {
        Self { weight: Param::from_tensor(Tensor::zeros([rows, dim], device)) }
    }
}

impl LayerNorm {
    pub(crate) fn empty(dim: usize, bias: bool, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([dim], device)),
            bias: bias.then(|| Param::from_tensor(Tensor::zeros([dim], device))),
        }
    }

    /// The shift.
    pub(crate) fn shift(&self) -> Option<Tensor<1>> {
        self.bias.as_ref().map(Param::val)
    }

    /// `LayerNorm(x)`.
    pub(crate) fn of(&self, x: Tensor<2>, eps: f64) -> Tensor<2> {
        layer_norm(x, self.weight.val(), self.shift(), eps)
    }

    /// `LayerNorm(dropout(x) + residual)`.
    pub(crate) fn of_sum(
        &self,
        x: Tensor<2>,
        residual: Tensor<2>,
        eps: f64,
        dropout: Option<Dropout>,
    ) -> Tensor<2> {
        add_norm(x, residual, self.weight.val(), self.shift(), eps, dropout)
    }
}

impl RmsNorm {
    pub(crate) fn empty(dim: usize, device: &Device) -> Self {
        Self { weight: Param::from_tensor(Tensor::ones([dim], device)) }
    }
}
