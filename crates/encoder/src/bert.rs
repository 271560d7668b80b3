//! BERT (Devlin et al., 2019): post-norm blocks with absolute positions and token types, on packed sequences.
//!
//! Field names follow the tensor names that transformers writes, so that a weight file maps onto the module
//! by name (`parameters.rs` holds the two exceptions).

use burn::module::{Module, ParamId};
use burn::tensor::{Device, Tensor};
use temper_kernels::{Activation, Attend, LinearPrecision, add_norm, attention, embed_norm};

use crate::bert_config::BertConfig;
use crate::dropout::DropoutSites;
use crate::layers::{LayerNorm, Linear, Packed, Table};
use crate::packed::PackedBatch;
use crate::pass::Pass;

/// The encoder.
#[derive(Module, Debug)]
pub struct Bert {
    embeddings: Embeddings,
    encoder: Layers,
}

// Named as the tensors are.
#[allow(clippy::struct_field_names)]
#[derive(Module, Debug)]
struct Embeddings {
    word_embeddings: Table,
    position_embeddings: Table,
    token_type_embeddings: Table,
    layer_norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Layers {
    layer: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Layer {
    attention: Attention,
    intermediate: Intermediate,
    output: Output,
}

#[derive(Module, Debug)]
struct Attention {
    self_attention: SelfAttention,
    output: Output,
}

#[derive(Module, Debug)]
struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    #[module(skip)]
    packed: Packed,
}

#[derive(Module, Debug)]
struct Intermediate {
    dense: Linear,
}

#[derive(Module, Debug)]
struct Output {
    dense: Linear,
    layer_norm: LayerNorm,
}

impl Bert {
    /// A module of the right shapes whose values are loaded afterwards.
    pub fn empty(config: &BertConfig, device: &Device) -> Self {
        let (dim, wide) = (config.hidden_size, config.intermediate_size);
        let output = |inputs| Output {
            dense: Linear::empty(inputs, dim, true, device),
            layer_norm: LayerNorm::empty(dim, device),
        };
        let square = || Linear::empty(dim, dim, true, device);
        let layer = |_| Layer {
            attention: Attention {
                self_attention: SelfAttention {
                    query: square(),
                    key: square(),
                    value: square(),
                    packed: Packed::default(),
                },
                output: output(dim),
            },
            intermediate: Intermediate { dense: Linear::empty(dim, wide, true, device) },
            output: output(wide),
        };
        Self {
            embeddings: Embeddings {
                word_embeddings: Table::empty(config.vocab_size, dim, device),
                position_embeddings: Table::empty(config.max_position_embeddings, dim, device),
                token_type_embeddings: Table::empty(config.type_vocab_size, dim, device),
                layer_norm: LayerNorm::empty(dim, device),
            },
            encoder: Layers { layer: (0..config.num_hidden_layers).map(layer).collect() },
        }
    }

    /// Packs the linear layers for inference.
    pub(crate) fn pack(&mut self, precision: LinearPrecision) {
        for layer in &mut self.encoder.layer {
            let this = &mut layer.attention.self_attention;
            this.packed = Packed::new([&this.query, &this.key, &this.value], precision);
            layer.attention.output.dense.pack(precision);
            layer.intermediate.dense.pack(precision);
            layer.output.dense.pack(precision);
        }
    }

    /// Where the parameters live.
    pub(crate) fn device(&self) -> Device {
        self.embeddings.layer_norm.weight.val().device()
    }

    /// The parameter whose gradient [`Pass::word_rows`] takes.
    pub fn word_table(&self) -> ParamId {
        self.embeddings.word_embeddings.weight.id
    }

    /// Token vectors of a packed batch.
    ///
    /// # Shapes
    /// - output: `[tokens, hidden_size]`, sequences end to end
    pub fn forward(&self, config: &BertConfig, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        let (e, dropout) = (&self.embeddings, &pass.dropout);
        let mut hidden = embed_norm(
            e.word_embeddings.weight.val(),
            Some(e.position_embeddings.weight.val()),
            Some(e.token_type_embeddings.weight.val()),
            &batch.input,
            e.layer_norm.weight.val(),
            Some(e.layer_norm.bias.val()),
            config.layer_norm_eps,
            dropout.next(config.hidden_dropout_prob),
            pass.word_rows.clone(),
        );
        for layer in &self.encoder.layer {
            hidden = layer.forward(hidden, config, batch, dropout);
        }
        hidden
    }
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<2>,
        config: &BertConfig,
        batch: &PackedBatch,
        dropout: &DropoutSites,
    ) -> Tensor<2> {
        let this = &self.attention.self_attention;
        let heads = config.num_attention_heads;
        let context = attention(
            Linear::forward_joined([&this.query, &this.key, &this.value], &this.packed, x.clone()),
            None,
            &batch.offsets,
            &Attend::new(heads, heads, config.hidden_size / heads),
            dropout.next(config.attention_probs_dropout_prob),
        );
        let x = self.attention.output.forward(context, x, config, dropout);
        let wide = self.intermediate.dense.forward(x.clone(), config.hidden_act);
        self.output.forward(wide, x, config, dropout)
    }
}

impl Output {
    fn forward(
        &self,
        x: Tensor<2>,
        residual: Tensor<2>,
        config: &BertConfig,
        dropout: &DropoutSites,
    ) -> Tensor<2> {
        add_norm(
            self.dense.forward(x, Activation::Identity),
            residual,
            self.layer_norm.weight.val(),
            Some(self.layer_norm.bias.val()),
            config.layer_norm_eps,
            dropout.next(config.hidden_dropout_prob),
        )
    }
}
