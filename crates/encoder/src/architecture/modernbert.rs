//! ModernBERT (Warner et al., 2024): pre-norm blocks with rotary positions and gated feed-forward, where most layers
//! see a window only.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde_json::Value;
use temper_kernels::{
    Activation, Attend, Gate, LinearPrecision, Reach, Rotary, add, attention, embed, gated, rotary,
};

use super::Shape;
use super::fields::Fields;
use super::layers::{LayerNorm, Linear, Table};
use super::rope::Rope;
use crate::Error;
use crate::packed::PackedBatch;
use crate::pass::Pass;

/// The fields of `config.json` that shape the graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModernBertConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(serialize_with = "crate::contract::activation_name")]
    hidden_activation: Activation,
    norm_eps: f64,
    norm_bias: bool,
    attention_bias: bool,
    mlp_bias: bool,
    /// Which layers see every token.
    global_layers: Vec<bool>,
    /// How far the others see to either side.
    window: usize,
    global_rope: Rope,
    local_rope: Rope,
    attention_dropout: f64,
    embedding_dropout: f64,
    mlp_dropout: f64,
}

impl ModernBertConfig {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        fields.only("quantization_config", Value::Null)?;
        fields.harmless(&[
            "classifier_activation",
            "classifier_bias",
            "classifier_pooling",
            "decoder_bias",
            "deterministic_flash_attn",
            "initializer_cutoff_factor",
            "layer_norm_eps",
            "position_embedding_type",
            "reference_compile",
            "repad_logits_with_grad",
            "sparse_pred_ignore_index",
            "sparse_prediction",
        ]);
        let (hidden_size, heads) = (fields.count("hidden_size")?, fields.count("num_attention_heads")?);
        let layers = fields.count("num_hidden_layers")?;
        let head_dim = fields.head_dim(hidden_size, heads)?;
        let every = fields.optional_count("global_attn_every_n_layers")?.unwrap_or(3);
        let global_layers =
            fields.layer_types(layers)?.unwrap_or_else(|| (0..layers).map(|i| i % every == 0).collect());
        Ok(Self {
            vocab_size: fields.count("vocab_size")?,
            hidden_size,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            intermediate_size: fields.count("intermediate_size")?,
            max_position_embeddings: fields.optional_count("max_position_embeddings")?.unwrap_or(8192),
            hidden_activation: fields.activation("hidden_activation", "gelu")?,
            norm_eps: fields.number("norm_eps", 1e-5)?,
            norm_bias: fields.flag("norm_bias", false)?,
            attention_bias: fields.flag("attention_bias", false)?,
            mlp_bias: fields.flag("mlp_bias", false)?,
            global_layers,
            window: fields.optional_count("local_attention")?.unwrap_or(128) / 2,
            global_rope: Rope::read(
                fields,
                head_dim,
                Some("full_attention"),
                ("global_rope_theta", 160_000.0),
            )?,
            local_rope: Rope::read(
                fields,
                head_dim,
                Some("sliding_attention"),
                ("local_rope_theta", 10_000.0),
            )?,
            attention_dropout: fields.number("attention_dropout", 0.0)?,
            embedding_dropout: fields.number("embedding_dropout", 0.0)?,
            mlp_dropout: fields.number("mlp_dropout", 0.0)?,
        })
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            name: "ModernBERT",
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            intermediate_size: self.intermediate_size,
            max_tokens: self.max_position_embeddings,
        }
    }

    fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

/// The encoder.
#[derive(Module, Debug)]
pub struct ModernBert {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    final_norm: LayerNorm,
    #[module(skip)]
    config: ModernBertConfig,
}

#[derive(Module, Debug)]
struct Embeddings {
    tok_embeddings: Table,
    norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Layer {
    /// The first layer has none: the embeddings were normalised already.
    attn_norm: Option<LayerNorm>,
    attn: Attention,
    mlp_norm: LayerNorm,
    mlp: FeedForward,
}

#[derive(Module, Debug)]
struct Attention {
    Wqkv: Linear,
    Wo: Linear,
}

#[derive(Module, Debug)]
struct FeedForward {
    Wi: Linear,
    Wo: Linear,
}

impl ModernBert {
    pub(super) fn empty(config: &ModernBertConfig, device: &Device) -> Self {
        let (dim, wide) = (config.hidden_size, config.intermediate_size);
        let norm = || LayerNorm::empty(dim, config.norm_bias, device);
        let layer = |index| Layer {
            attn_norm: (index > 0).then(norm),
            attn: Attention {
                Wqkv: Linear::empty(dim, 3 * dim, config.attention_bias, device),
                Wo: Linear::empty(dim, dim, config.attention_bias, device),
            },
            mlp_norm: norm(),
            mlp: FeedForward {
                Wi: Linear::empty(dim, 2 * wide, config.mlp_bias, device),
                Wo: Linear::empty(wide, dim, config.mlp_bias, device),
            },
        };
        Self {
            embeddings: Embeddings {
                tok_embeddings: Table::empty(config.vocab_size, dim, device),
                norm: norm(),
            },
            layers: (0..config.num_hidden_layers).map(layer).collect(),
            final_norm: norm(),
            config: config.clone(),
        }
    }

    pub(super) fn pack(&mut self, precision: LinearPrecision) {
        for Layer { attn, mlp, .. } in &mut self.layers {
            attn.Wqkv.pack(precision);
            attn.Wo.pack(precision);
            mlp.Wi.pack(precision);
            mlp.Wo.pack(precision);
        }
    }

    pub(super) fn word_table(&self) -> &Param<Tensor<2>> {
        &self.embeddings.tok_embeddings.weight
    }

    pub(super) fn forward(&self, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        let config = &self.config;
        let full = Attend::new(config.num_attention_heads, config.num_attention_heads, config.head_dim());
        let global = (full, config.global_rope.of(batch));
        let local = (Attend { reach: Reach::local(config.window), ..full }, config.local_rope.of(batch));
        let words = embed(self.word_table().val(), &batch.input.ids, pass.word_rows.clone());
        let mut hidden = self.embeddings.norm.of(words, config.norm_eps);
        hidden = pass.dropout.apply(hidden, config.embedding_dropout);
        for (layer, is_global) in self.layers.iter().zip(&config.global_layers) {
            let (attend, rope) = if *is_global { &global } else { &local };
            pass.taps.offer(&hidden);
            hidden = layer.forward(hidden, attend, rope, config, batch, pass);
        }
        self.final_norm.of(hidden, config.norm_eps)
    }
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<2>,
        attend: &Attend,
        rope: &Rotary,
        config: &ModernBertConfig,
        batch: &PackedBatch,
        pass: &Pass,
    ) -> Tensor<2> {
        let (eps, dropout) = (config.norm_eps, &pass.dropout);
        let normed = self.attn_norm.as_ref().map_or_else(|| x.clone(), |norm| norm.of(x.clone(), eps));
        let qkv = self.attn.Wqkv.forward(normed, Activation::Identity);
        let qkv = rotary(qkv, rope, 2 * attend.heads, config.head_dim());
        let context = attention(qkv, None, &batch.offsets, attend, dropout.next(config.attention_dropout));
        let context = self.attn.Wo.forward(context, Activation::Identity);
        let x = add(context, x, dropout.next(config.attention_dropout));
        let wide = self.mlp.Wi.forward(self.mlp_norm.of(x.clone(), eps), Activation::Identity);
        let wide = dropout.apply(gated(wide, config.hidden_activation, Gate::First), config.mlp_dropout);
        add(self.mlp.Wo.forward(wide, Activation::Identity), x, None)
    }
}
