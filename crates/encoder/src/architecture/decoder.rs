//! Blocks of the decoder kind: pre-norm by RMSNorm, rotary positions, grouped heads and gated feed-forward. Qwen3 (each
//! token sees those before it), EuroBERT (each sees all) and Gemma 3 (norms on both sides, most layers see a window).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde_json::Value;
use temper_kernels::{
    Activation, Attend, Gate, LinearPrecision, Reach, Rotary, add, attention, embed, gated, head_norm,
    rms_norm, rotary,
};

use super::Shape;
use super::fields::Fields;
use super::layers::{Linear, Packed, RmsNorm, Table};
use super::rope::Rope;
use crate::Error;
use crate::packed::PackedBatch;
use crate::pass::Pass;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Family {
    Qwen3,
    EuroBert,
    Gemma3,
}

/// The fields of `config.json` that shape the graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecoderConfig {
    family: Family,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(serialize_with = "crate::contract::activation_name")]
    hidden_act: Activation,
    rms_norm_eps: f64,
    attention_bias: bool,
    mlp_bias: bool,
    attention_dropout: f64,
    /// Scores are divided by the root of this.
    query_scalar: f64,
    /// Whether a token sees those behind it.
    bidirectional: bool,
    /// Which layers see every token.
    full_layers: Vec<bool>,
    /// How far the others see.
    window: usize,
    rope: Rope,
    local_rope: Rope,
}

impl DecoderConfig {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        let family = match fields.get("model_type").and_then(Value::as_str) {
            Some("eurobert") => Family::EuroBert,
            Some("gemma3_text") => Family::Gemma3,
            _ => Family::Qwen3,
        };
        fields.only("quantization_config", Value::Null)?;
        fields.only("attn_logit_softcapping", Value::Null)?;
        fields.harmless(&[
            "_sliding_window_pattern",
            "cache_implementation",
            "classifier_pooling",
            "clip_qkv",
            "final_logit_softcapping",
            "max_window_layers",
            "pretraining_tp",
        ]);
        let (hidden_size, layers) = (fields.count("hidden_size")?, fields.count("num_hidden_layers")?);
        let heads = fields.count("num_attention_heads")?;
        let kv_heads = fields.optional_count("num_key_value_heads")?.unwrap_or(heads);
        if !heads.is_multiple_of(kv_heads) {
            return Err(fields.error(format!(
                "`num_attention_heads` {heads} is not a multiple of `num_key_value_heads` {kv_heads}"
            )));
        }
        let head_dim = match fields.optional_count("head_dim")? {
            Some(dim) => dim,
            None if family == Family::Qwen3 => 128,
            None => fields.head_dim(hidden_size, heads)?,
        };
        let gemma = family == Family::Gemma3;
        if !gemma {
            fields.only("use_sliding_window", false)?;
        }
        let window = fields.optional_count("sliding_window")?.unwrap_or(usize::MAX / 2);
        let every = fields.optional_count("sliding_window_pattern")?.unwrap_or(6);
        let full_layers = fields
            .layer_types(layers)?
            .unwrap_or_else(|| (0..layers).map(|index| !gemma || (index + 1) % every == 0).collect());
        let theta = match family {
            Family::EuroBert => 250_000.0,
            Family::Qwen3 => 10_000.0,
            Family::Gemma3 => 1_000_000.0,
        };
        let kind = gemma.then_some(["full_attention", "sliding_attention"]);
        let act = if gemma {
            fields.activation("hidden_activation", "gelu_pytorch_tanh")?
        } else {
            fields.activation("hidden_act", "silu")?
        };
        Ok(Self {
            family,
            vocab_size: fields.count("vocab_size")?,
            hidden_size,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: kv_heads,
            head_dim,
            intermediate_size: fields.count("intermediate_size")?,
            max_position_embeddings: fields.optional_count("max_position_embeddings")?.unwrap_or(8192),
            hidden_act: act,
            rms_norm_eps: fields
                .number("rms_norm_eps", if family == Family::EuroBert { 1e-5 } else { 1e-6 })?,
            attention_bias: fields.flag("attention_bias", false)?,
            mlp_bias: fields.flag("mlp_bias", false)?,
            attention_dropout: fields.number("attention_dropout", 0.0)?,
            query_scalar: if gemma {
                fields.number("query_pre_attn_scalar", 256.0)?
            } else {
                head_dim as f64
            },
            bidirectional: match family {
                Family::Qwen3 => false,
                Family::EuroBert => true,
                Family::Gemma3 => fields.flag("use_bidirectional_attention", false)?,
            },
            full_layers,
            window,
            rope: Rope::read(fields, head_dim, kind.map(|kind| kind[0]), ("rope_theta", theta))?,
            local_rope: Rope::read(
                fields,
                head_dim,
                kind.map(|kind| kind[1]),
                ("rope_local_base_freq", 10_000.0),
            )?,
        })
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            name: match self.family {
                Family::Qwen3 => "Qwen3",
                Family::EuroBert => "EuroBERT",
                Family::Gemma3 => "Gemma3",
            },
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            intermediate_size: self.intermediate_size,
            max_tokens: self.max_position_embeddings,
        }
    }

    /// What a layer's queries see: everything, or as far as the window goes.
    fn attend(&self, full: bool) -> Attend {
        // Gemma counts a window that looks to both sides as a whole, and one that looks back with the token itself.
        let (left, right) = match (full, self.bidirectional) {
            (true, _) => (None, None),
            (false, true) => (Some(self.window / 2), Some(self.window / 2)),
            (false, false) => (Some(self.window - 1), None),
        };
        let right = if self.bidirectional { right } else { Some(0) };
        Attend {
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads,
            scale: (1.0 / self.query_scalar.sqrt()) as f32,
            reach: Reach { left, right },
        }
    }
}

/// The encoder.
#[derive(Module, Debug)]
pub struct Decoder {
    embed_tokens: Table,
    layers: Vec<Layer>,
    norm: RmsNorm,
    #[module(skip)]
    config: DecoderConfig,
}

#[derive(Module, Debug)]
struct Layer {
    input_layernorm: RmsNorm,
    self_attn: Attention,
    /// In front of the feed-forward; in Gemma 3 behind the attention.
    post_attention_layernorm: RmsNorm,
    pre_feedforward_layernorm: Option<RmsNorm>,
    mlp: FeedForward,
    post_feedforward_layernorm: Option<RmsNorm>,
}

#[derive(Module, Debug)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    q_norm: Option<RmsNorm>,
    k_norm: Option<RmsNorm>,
    #[module(skip)]
    packed: Packed,
}

#[derive(Module, Debug)]
struct FeedForward {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    #[module(skip)]
    packed: Packed,
}

impl Decoder {
    pub(super) fn empty(config: &DecoderConfig, device: &Device) -> Self {
        let (dim, wide, head) = (config.hidden_size, config.intermediate_size, config.head_dim);
        let (heads, kv_heads) = (config.num_attention_heads * head, config.num_key_value_heads * head);
        let projection = |inputs, outputs| Linear::empty(inputs, outputs, config.attention_bias, device);
        let feed = |inputs, outputs| Linear::empty(inputs, outputs, config.mlp_bias, device);
        let norm = || RmsNorm::empty(dim, device);
        let head_norm = || (config.family != Family::EuroBert).then(|| RmsNorm::empty(head, device));
        let gemma = config.family == Family::Gemma3;
        let layer = |_| Layer {
            input_layernorm: norm(),
            self_attn: Attention {
                q_proj: projection(dim, heads),
                k_proj: projection(dim, kv_heads),
                v_proj: projection(dim, kv_heads),
                o_proj: projection(heads, dim),
                q_norm: head_norm(),
                k_norm: head_norm(),
                packed: Packed::default(),
            },
            post_attention_layernorm: norm(),
            pre_feedforward_layernorm: gemma.then(norm),
            mlp: FeedForward {
                gate_proj: feed(dim, wide),
                up_proj: feed(dim, wide),
                down_proj: feed(wide, dim),
                packed: Packed::default(),
            },
            post_feedforward_layernorm: gemma.then(norm),
        };
        Self {
            embed_tokens: Table::empty(config.vocab_size, dim, device),
            layers: (0..config.num_hidden_layers).map(layer).collect(),
            norm: norm(),
            config: config.clone(),
        }
    }

    pub(super) fn pack(&mut self, precision: LinearPrecision) {
        for Layer { self_attn: attn, mlp, .. } in &mut self.layers {
            attn.packed = Packed::new([&attn.q_proj, &attn.k_proj, &attn.v_proj], precision);
            attn.o_proj.pack(precision);
            mlp.packed = Packed::new([&mlp.gate_proj, &mlp.up_proj], precision);
            mlp.down_proj.pack(precision);
        }
    }

    pub(super) fn word_table(&self) -> &Param<Tensor<2>> {
        &self.embed_tokens.weight
    }

    pub(super) fn forward(&self, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        let config = &self.config;
        let [full, local] = [(true, config.rope), (false, config.local_rope)]
            .map(|(full, rope)| (config.attend(full), rope.of(batch)));
        let mut hidden = embed(self.word_table().val(), &batch.input.ids, pass.word_rows.clone());
        if config.family == Family::Gemma3 {
            hidden = hidden * (config.hidden_size as f64).sqrt();
        }
        for (layer, is_full) in self.layers.iter().zip(&config.full_layers) {
            let (attend, rope) = if *is_full { &full } else { &local };
            pass.taps.offer(&hidden);
            hidden = layer.forward(hidden, attend, rope, config, batch, pass);
        }
        config.norm(&self.norm, hidden)
    }
}

impl DecoderConfig {
    /// Gemma's weights say by how much the scale differs from one.
    fn scale(&self, norm: &RmsNorm) -> Tensor<1> {
        let weight = norm.weight.val();
        if self.family == Family::Gemma3 { weight + 1.0 } else { weight }
    }

    fn norm(&self, norm: &RmsNorm, x: Tensor<2>) -> Tensor<2> {
        rms_norm(x, self.scale(norm), self.rms_norm_eps)
    }
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<2>,
        attend: &Attend,
        rope: &Rotary,
        config: &DecoderConfig,
        batch: &PackedBatch,
        pass: &Pass,
    ) -> Tensor<2> {
        let Attention { q_proj, k_proj, v_proj, o_proj, q_norm, k_norm, packed } = &self.self_attn;
        let normed = config.norm(&self.input_layernorm, x.clone());
        let mut qkv = Linear::forward_joined([q_proj, k_proj, v_proj], packed, normed);
        if let (Some(q), Some(k)) = (q_norm, k_norm) {
            let (q, k) = (config.scale(q), config.scale(k));
            qkv = head_norm(qkv, q, k, attend.heads, attend.kv_heads, config.rms_norm_eps);
        }
        let qkv = rotary(qkv, rope, attend.heads + attend.kv_heads, config.head_dim);
        let dropout = pass.dropout.next(config.attention_dropout);
        let context = attention(qkv, None, &batch.offsets, attend, dropout);
        let context = o_proj.forward(context, Activation::Identity);
        let (context, before_feedforward) = match &self.pre_feedforward_layernorm {
            Some(before) => (config.norm(&self.post_attention_layernorm, context), before),
            None => (context, &self.post_attention_layernorm),
        };
        let x = add(context, x, None);
        let FeedForward { gate_proj, up_proj, down_proj, packed } = &self.mlp;
        let normed = config.norm(before_feedforward, x.clone());
        let wide = gated(
            Linear::forward_joined([gate_proj, up_proj], packed, normed),
            config.hidden_act,
            Gate::First,
        );
        let narrow = down_proj.forward(wide, Activation::Identity);
        let narrow = match &self.post_feedforward_layernorm {
            Some(after) => config.norm(after, narrow),
            None => narrow,
        };
        add(narrow, x, None)
    }
}
