//! The trainable part of an encoder: the transformer and the layers after it.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use temper_kernels::{LinearPrecision, Offsets, is_fused, normalize, pool};

use crate::architecture::Transformer;
use crate::architecture::layers::Linear;
use crate::contract::{Contract, DenseSpec, ModuleSpec, PoolingSpec};
use crate::packed::PackedBatch;
use crate::pass::Pass;

/// Where the ops are not fused, batches have a multiple of so many tokens: kernels are chosen and tuned by shape, and
/// few shapes should occur.
const TOKENS: usize = 128;

/// Every parameter of an encoder.
#[derive(Module, Debug)]
pub struct Network {
    /// Token ids to token vectors.
    pub transformer: Transformer,
    pub(crate) dense: Vec<Dense>,
}

/// A linear layer on the pooled vector; the field is named as sentence-transformers names its tensors.
#[derive(Module, Debug)]
pub struct Dense {
    linear: Linear,
}

impl Dense {
    pub(crate) fn empty(spec: &DenseSpec, device: &Device) -> Self {
        Self { linear: Linear::empty(spec.in_features, spec.out_features, spec.bias, device) }
    }
}

impl Network {
    /// A network of the contract's shapes whose values are loaded afterwards.
    pub(crate) fn empty(contract: &Contract, device: &Device) -> Self {
        Self {
            transformer: contract.transformer().empty(device),
            dense: contract.dense().map(|spec| Dense::empty(spec, device)).collect(),
        }
    }

    /// Packs the linear layers for inference. Those behind the pooling stay f32: they see a vector a text, not a
    /// token, so their share of the time is small and that of the error would not be.
    pub(crate) fn pack(&mut self, precision: LinearPrecision) {
        self.transformer.pack(precision);
        for dense in &mut self.dense {
            dense.linear.pack(LinearPrecision::F32);
        }
    }

    /// Token vectors, before pooling.
    ///
    /// # Shapes
    /// - output: `[tokens, hidden_size]`, sequences end to end; more rows behind them where the ops are not fused
    pub(crate) fn token_vectors(&self, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        if is_fused(&self.transformer.word_table().val().device()) {
            self.hidden_states(batch, pass)
        } else {
            self.hidden_states(&batch.rounded_up(TOKENS), pass)
        }
    }

    /// Token vectors of exactly the batch's tokens.
    ///
    /// # Shapes
    /// - output: `[tokens, hidden_size]`, sequences end to end
    pub fn hidden_states(&self, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        self.transformer.forward(batch, pass)
    }

    /// One vector a sequence, through the whole chain.
    ///
    /// # Shapes
    /// - output: `[batch, full_dim]`
    pub fn forward(&self, contract: &Contract, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        self.after(contract, self.token_vectors(batch, pass), &batch.offsets)
    }

    /// The same as [`Network::forward`], and behind it, for each layer that the pass taps, what the modules behind the
    /// transformer make of it.
    ///
    /// # Shapes
    /// - output: `[batch, full_dim]` each
    pub fn forward_with_layers(
        &self,
        contract: &Contract,
        batch: &PackedBatch,
        pass: &Pass,
    ) -> Vec<Tensor<2>> {
        let last = self.token_vectors(batch, pass);
        let all = std::iter::once(last).chain(pass.taps.take());
        all.map(|hidden| self.after(contract, hidden, &batch.offsets)).collect()
    }

    /// The modules behind the transformer.
    ///
    /// # Shapes
    /// - hidden: `[tokens or more, hidden_size]`
    /// - output: `[offsets.batch(), full_dim]`
    pub(crate) fn after(&self, contract: &Contract, hidden: Tensor<2>, offsets: &Offsets) -> Tensor<2> {
        let mut dense = self.dense.iter();
        contract.modules.iter().fold(hidden, |x, module| match module {
            ModuleSpec::Transformer(_) => x,
            ModuleSpec::Pooling(spec) => pooled(x, offsets, spec),
            ModuleSpec::Dense(spec) => {
                let layer = dense.next().expect("this is a bug: one layer for every Dense of the contract");
                layer.linear.forward(x, spec.activation)
            }
            ModuleSpec::Normalize => normalize(x),
        })
    }
}

fn pooled(hidden: Tensor<2>, offsets: &Offsets, spec: &PoolingSpec) -> Tensor<2> {
    let one = |p: &temper_kernels::Pool| pool(hidden.clone(), offsets, *p);
    match spec.pools.as_slice() {
        [only] => one(only),
        several => Tensor::cat(several.iter().map(one).collect(), 1),
    }
}
