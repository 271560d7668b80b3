//! Alibaba's NewModel (mGTE: Zhang et al., 2024; gte-*-en-v1.5, snowflake-arctic-embed-m-v2): post-norm blocks with
//! rotary positions and gated feed-forward. `model_type` is `new`, or `gte` in transformers; tensors have the same names.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde_json::Value;
use temper_kernels::{Activation, Attend, Gate, LinearPrecision, Rotary, attention, gated, rotary};

use super::Shape;
use super::fields::Fields;
use super::layers::{Embeddings, LayerNorm, Linear};
use super::rope::Rope;
use crate::Error;
use crate::packed::PackedBatch;
use crate::pass::Pass;

/// The fields of `config.json` that shape the graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GteConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    /// None in the English models.
    type_vocab_size: Option<usize>,
    #[serde(serialize_with = "crate::contract::activation_name")]
    hidden_act: Activation,
    layer_norm_eps: f64,
    rope: Rope,
    hidden_dropout_prob: f64,
    attention_probs_dropout_prob: f64,
}

impl GteConfig {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        fields.only("position_embedding_type", "rope")?;
        fields.only("layer_norm_type", "layer_norm")?;
        fields.only("pack_qkv", true)?;
        fields.only("logn_attention_scale", false)?;
        fields.only("logn_attention_clip1", false)?;
        fields.only("quantization_config", Value::Null)?;
        fields.harmless(&["unpad_inputs", "use_memory_efficient_attention"]);
        let (hidden_size, heads) = (fields.count("hidden_size")?, fields.count("num_attention_heads")?);
        let head_dim = fields.head_dim(hidden_size, heads)?;
        let no_types = fields.get("type_vocab_size").is_some_and(|types| *types == 0);
        Ok(Self {
            vocab_size: fields.count("vocab_size")?,
            hidden_size,
            num_hidden_layers: fields.count("num_hidden_layers")?,
            num_attention_heads: heads,
            intermediate_size: fields.count("intermediate_size")?,
            max_position_embeddings: fields.optional_count("max_position_embeddings")?.unwrap_or(8192),
            type_vocab_size: if no_types {
                None
            } else {
                Some(fields.optional_count("type_vocab_size")?.unwrap_or(1))
            },
            hidden_act: fields.activation("hidden_act", "gelu")?,
            layer_norm_eps: fields.number("layer_norm_eps", 1e-12)?,
            rope: Rope::read(fields, head_dim, None, ("rope_theta", 10_000.0))?,
            hidden_dropout_prob: fields.number("hidden_dropout_prob", 0.1)?,
            attention_probs_dropout_prob: fields.number("attention_probs_dropout_prob", 0.0)?,
        })
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            name: "GTE",
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            intermediate_size: self.intermediate_size,
            max_tokens: self.max_position_embeddings,
        }
    }
}

/// The encoder.
#[derive(Module, Debug)]
pub struct Gte {
    embeddings: Embeddings,
    encoder: Layers,
    #[module(skip)]
    config: GteConfig,
}

#[derive(Module, Debug)]
struct Layers {
    layer: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Layer {
    attention: Attention,
    attn_ln: LayerNorm,
    mlp: FeedForward,
    mlp_ln: LayerNorm,
}

#[derive(Module, Debug)]
struct Attention {
    qkv_proj: Linear,
    o_proj: Linear,
}

#[derive(Module, Debug)]
struct FeedForward {
    up_gate_proj: Linear,
    down_proj: Linear,
}

impl Gte {
    pub(super) fn empty(config: &GteConfig, device: &Device) -> Self {
        let (dim, wide) = (config.hidden_size, config.intermediate_size);
        let norm = || LayerNorm::empty(dim, true, device);
        let layer = |_| Layer {
            attention: Attention {
                qkv_proj: Linear::empty(dim, 3 * dim, true, device),
                o_proj: Linear::empty(dim, dim, true, device),
            },
            attn_ln: norm(),
            mlp: FeedForward {
                up_gate_proj: Linear::empty(dim, 2 * wide, false, device),
                down_proj: Linear::empty(wide, dim, true, device),
            },
            mlp_ln: norm(),
        };
        Self {
            embeddings: Embeddings::empty(config.vocab_size, None, config.type_vocab_size, dim, device),
            encoder: Layers { layer: (0..config.num_hidden_layers).map(layer).collect() },
            config: config.clone(),
        }
    }

    pub(super) fn pack(&mut self, precision: LinearPrecision) {
        for Layer { attention, mlp, .. } in &mut self.encoder.layer {
            attention.qkv_proj.pack(precision);
            attention.o_proj.pack(precision);
            mlp.up_gate_proj.pack(precision);
            mlp.down_proj.pack(precision);
        }
    }

    pub(super) fn word_table(&self) -> &Param<Tensor<2>> {
        &self.embeddings.word_embeddings.weight
    }

    pub(super) fn forward(&self, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        let config = &self.config;
        let rope = config.rope.of(batch);
        let (eps, dropout) = (config.layer_norm_eps, config.hidden_dropout_prob);
        let mut hidden = self.embeddings.forward(&batch.input, eps, dropout, pass);
        for layer in &self.encoder.layer {
            pass.taps.offer(&hidden);
            hidden = layer.forward(hidden, &rope, config, batch, pass);
        }
        hidden
    }
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<2>,
        rope: &Rotary,
        config: &GteConfig,
        batch: &PackedBatch,
        pass: &Pass,
    ) -> Tensor<2> {
        let (eps, dropout) = (config.layer_norm_eps, &pass.dropout);
        let (heads, head_dim) = (config.num_attention_heads, config.hidden_size / config.num_attention_heads);
        let qkv = self.attention.qkv_proj.forward(x.clone(), Activation::Identity);
        let qkv = rotary(qkv, rope, 2 * heads, head_dim);
        let attend = Attend::new(heads, heads, head_dim);
        let context =
            attention(qkv, None, &batch.offsets, &attend, dropout.next(config.attention_probs_dropout_prob));
        let context = self.attention.o_proj.forward(context, Activation::Identity);
        let x = self.attn_ln.of_sum(context, x, eps, dropout.next(config.hidden_dropout_prob));
        let wide = self.mlp.up_gate_proj.forward(x.clone(), Activation::Identity);
        let wide = dropout.apply(gated(wide, config.hidden_act, Gate::Second), config.hidden_dropout_prob);
        let narrow = self.mlp.down_proj.forward(wide, Activation::Identity);
        self.mlp_ln.of_sum(narrow, x, eps, dropout.next(config.hidden_dropout_prob))
    }
}
