//! DistilBERT (Sanh et al., 2019): BERT without token types, in names of its own.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde_json::Value;
use temper_kernels::{Activation, Attend, LinearPrecision, attention};

use super::Shape;
use super::fields::Fields;
use super::layers::{Embeddings, LayerNorm, Linear, Packed};
use crate::Error;
use crate::packed::PackedBatch;
use crate::pass::Pass;

/// The same in every DistilBERT.
const EPS: f64 = 1e-12;

/// The fields of `config.json` that shape the graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DistilBertConfig {
    vocab_size: usize,
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    max_position_embeddings: usize,
    #[serde(serialize_with = "crate::contract::activation_name")]
    activation: Activation,
    dropout: f64,
    attention_dropout: f64,
}

impl DistilBertConfig {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        fields.only("quantization_config", Value::Null)?;
        fields.only("pruned_heads", serde_json::json!({}))?;
        // The sinusoidal table is in the weights, too.
        fields.harmless(&["sinusoidal_pos_embds", "qa_dropout", "seq_classif_dropout", "tie_weights_"]);
        let config = Self {
            vocab_size: fields.count("vocab_size")?,
            dim: fields.count("dim")?,
            n_layers: fields.count("n_layers")?,
            n_heads: fields.count("n_heads")?,
            hidden_dim: fields.count("hidden_dim")?,
            max_position_embeddings: fields.optional_count("max_position_embeddings")?.unwrap_or(512),
            activation: fields.activation("activation", "gelu")?,
            dropout: fields.number("dropout", 0.1)?,
            attention_dropout: fields.number("attention_dropout", 0.1)?,
        };
        fields.head_dim(config.dim, config.n_heads)?;
        Ok(config)
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            name: "DistilBERT",
            vocab_size: self.vocab_size,
            hidden_size: self.dim,
            num_hidden_layers: self.n_layers,
            intermediate_size: self.hidden_dim,
            max_tokens: self.max_position_embeddings,
        }
    }
}

/// The encoder.
#[derive(Module, Debug)]
pub struct DistilBert {
    embeddings: Embeddings,
    transformer: Layers,
    #[module(skip)]
    config: DistilBertConfig,
}

#[derive(Module, Debug)]
struct Layers {
    layer: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Layer {
    attention: Attention,
    sa_layer_norm: LayerNorm,
    ffn: FeedForward,
    output_layer_norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Attention {
    q_lin: Linear,
    k_lin: Linear,
    v_lin: Linear,
    out_lin: Linear,
    #[module(skip)]
    packed: Packed,
}

#[derive(Module, Debug)]
struct FeedForward {
    lin1: Linear,
    lin2: Linear,
}

impl DistilBert {
    pub(super) fn empty(config: &DistilBertConfig, device: &Device) -> Self {
        let (dim, wide) = (config.dim, config.hidden_dim);
        let linear = |inputs, outputs| Linear::empty(inputs, outputs, true, device);
        let norm = || LayerNorm::empty(dim, true, device);
        let layer = |_| Layer {
            attention: Attention {
                q_lin: linear(dim, dim),
                k_lin: linear(dim, dim),
                v_lin: linear(dim, dim),
                out_lin: linear(dim, dim),
                packed: Packed::default(),
            },
            sa_layer_norm: norm(),
            ffn: FeedForward { lin1: linear(dim, wide), lin2: linear(wide, dim) },
            output_layer_norm: norm(),
        };
        Self {
            embeddings: Embeddings::empty(
                config.vocab_size,
                Some(config.max_position_embeddings),
                None,
                dim,
                device,
            ),
            transformer: Layers { layer: (0..config.n_layers).map(layer).collect() },
            config: config.clone(),
        }
    }

    pub(super) fn pack(&mut self, precision: LinearPrecision) {
        for Layer { attention, ffn, .. } in &mut self.transformer.layer {
            attention.packed = Packed::new([&attention.q_lin, &attention.k_lin, &attention.v_lin], precision);
            attention.out_lin.pack(precision);
            ffn.lin1.pack(precision);
            ffn.lin2.pack(precision);
        }
    }

    pub(super) fn word_table(&self) -> &Param<Tensor<2>> {
        &self.embeddings.word_embeddings.weight
    }

    pub(super) fn forward(&self, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        let config = &self.config;
        let mut hidden = self.embeddings.forward(&batch.input, EPS, config.dropout, pass);
        for layer in &self.transformer.layer {
            pass.taps.offer(&hidden);
            hidden = layer.forward(hidden, config, batch, pass);
        }
        hidden
    }
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<2>,
        config: &DistilBertConfig,
        batch: &PackedBatch,
        pass: &Pass,
    ) -> Tensor<2> {
        let Attention { q_lin, k_lin, v_lin, out_lin, packed } = &self.attention;
        let context = attention(
            Linear::forward_joined([q_lin, k_lin, v_lin], packed, x.clone()),
            None,
            &batch.offsets,
            &Attend::new(config.n_heads, config.n_heads, config.dim / config.n_heads),
            pass.dropout.next(config.attention_dropout),
        );
        let x = self.sa_layer_norm.of_sum(out_lin.forward(context, Activation::Identity), x, EPS, None);
        let wide = self.ffn.lin1.forward(x.clone(), config.activation);
        let narrow = self.ffn.lin2.forward(wide, Activation::Identity);
        self.output_layer_norm.of_sum(narrow, x, EPS, pass.dropout.next(config.dropout))
    }
}
