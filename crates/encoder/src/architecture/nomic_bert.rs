//! NomicBERT (Nussbaum et al., 2024): post-norm blocks with rotary positions and SwiGLU. Configs are read in the published
//! fields and in those of transformers; tensors have the published names in both.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde_json::Value;
use temper_kernels::{
    Activation, Attend, Gate, LinearPrecision, Rotary, attention, embed_norm, gated, rotary,
};

use super::Shape;
use super::fields::Fields;
use super::layers::{LayerNorm, Linear, Packed, Table};
use super::rope::Rope;
use crate::Error;
use crate::packed::PackedBatch;
use crate::pass::Pass;

/// The fields of `config.json` that shape the graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NomicBertConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    #[serde(serialize_with = "crate::contract::activation_name")]
    activation: Activation,
    layer_norm_eps: f64,
    rope: Rope,
    dropout: f64,
    attention_dropout: f64,
}

impl NomicBertConfig {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        // What the published config can say and no published model does.
        for name in ["causal", "prenorm", "parallel_block", "use_rms_norm", "rotary_emb_interleaved"] {
            fields.only(name, false)?;
        }
        for name in ["qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias", "scale_attn_by_inverse_layer_idx"] {
            fields.only(name, false)?;
        }
        for name in ["rotary_scaling_factor", "rotary_emb_scale_base", "quantization_config"] {
            fields.only(name, Value::Null)?;
        }
        if fields.number("rotary_emb_fraction", 1.0)? != 1.0 {
            return Err(fields.error("field `rotary_emb_fraction` must be 1; temper turns whole heads only"));
        }
        fields.only("scale_attn_weights", true)?;
        fields.harmless(&[
            "dense_seq_output",
            "embd_pdrop",
            "fused_bias_fc",
            "fused_dropout_add_ln",
            "last_layer_subset",
            "max_trained_positions",
            "pad_vocab_size_multiple",
            "reorder_and_upcast_attn",
            "summary_activation",
            "summary_first_dropout",
            "summary_proj_to_labels",
            "summary_use_proj",
            "use_flash_attn",
            "use_xentropy",
        ]);
        // The published names, then those of transformers.
        let count = |old: &'static str, new: &'static str| match fields.optional_count(old)? {
            Some(count) => Ok(count),
            None => fields.count(new),
        };
        let number = |old: &'static str, new: &'static str| fields.number(old, fields.number(new, 0.0)?);
        let hidden_size = count("n_embd", "hidden_size")?;
        let num_attention_heads = count("n_head", "num_attention_heads")?;
        let head_dim = fields.head_dim(hidden_size, num_attention_heads)?;
        fields.only("head_dim", head_dim)?;
        let activation = match fields.get("activation_function").and_then(Value::as_str) {
            Some("swiglu") => Activation::Silu,
            Some("geglu") => Activation::Gelu,
            Some(other) => {
                return Err(
                    fields.error(format!("field `activation_function` is `{other}`; known: swiglu, geglu"))
                );
            }
            None => fields.activation("hidden_act", "silu")?,
        };
        Ok(Self {
            vocab_size: fields.count("vocab_size")?,
            hidden_size,
            num_hidden_layers: count("n_layer", "num_hidden_layers")?,
            num_attention_heads,
            intermediate_size: count("n_inner", "intermediate_size")?,
            max_position_embeddings: count("n_positions", "max_position_embeddings")?,
            type_vocab_size: fields.optional_count("type_vocab_size")?.unwrap_or(2),
            activation,
            layer_norm_eps: fields.number("layer_norm_epsilon", fields.number("layer_norm_eps", 1e-12)?)?,
            rope: Rope::read(fields, head_dim, None, ("rotary_emb_base", 1000.0))?,
            dropout: number("resid_pdrop", "hidden_dropout_prob")?,
            attention_dropout: number("attn_pdrop", "attention_probs_dropout_prob")?,
        })
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            name: "NomicBERT",
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
pub struct NomicBert {
    embeddings: Embeddings,
    emb_ln: LayerNorm,
    encoder: Layers,
    #[module(skip)]
    config: NomicBertConfig,
}

#[derive(Module, Debug)]
struct Embeddings {
    word_embeddings: Table,
    token_type_embeddings: Table,
}

#[derive(Module, Debug)]
struct Layers {
    layers: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Layer {
    attn: Attention,
    norm1: LayerNorm,
    mlp: FeedForward,
    norm2: LayerNorm,
}

#[derive(Module, Debug)]
struct Attention {
    Wqkv: Linear,
    out_proj: Linear,
}

#[derive(Module, Debug)]
struct FeedForward {
    fc11: Linear,
    fc12: Linear,
    fc2: Linear,
    #[module(skip)]
    packed: Packed,
}

impl NomicBert {
    pub(super) fn empty(config: &NomicBertConfig, device: &Device) -> Self {
        let (dim, wide) = (config.hidden_size, config.intermediate_size);
        let linear = |inputs, outputs| Linear::empty(inputs, outputs, false, device);
        let norm = || LayerNorm::empty(dim, true, device);
        let layer = |_| Layer {
            attn: Attention { Wqkv: linear(dim, 3 * dim), out_proj: linear(dim, dim) },
            norm1: norm(),
            mlp: FeedForward {
                fc11: linear(dim, wide),
                fc12: linear(dim, wide),
                fc2: linear(wide, dim),
                packed: Packed::default(),
            },
            norm2: norm(),
        };
        Self {
            embeddings: Embeddings {
                word_embeddings: Table::empty(config.vocab_size, dim, device),
                token_type_embeddings: Table::empty(config.type_vocab_size, dim, device),
            },
            emb_ln: norm(),
            encoder: Layers { layers: (0..config.num_hidden_layers).map(layer).collect() },
            config: config.clone(),
        }
    }

    pub(super) fn pack(&mut self, precision: LinearPrecision) {
        for Layer { attn, mlp, .. } in &mut self.encoder.layers {
            attn.Wqkv.pack(precision);
            attn.out_proj.pack(precision);
            mlp.packed = Packed::new([&mlp.fc12, &mlp.fc11], precision);
            mlp.fc2.pack(precision);
        }
    }

    pub(super) fn word_table(&self) -> &Param<Tensor<2>> {
        &self.embeddings.word_embeddings.weight
    }

    pub(super) fn forward(&self, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        let config = &self.config;
        let rope = config.rope.of(batch);
        let mut hidden = embed_norm(
            self.word_table().val(),
            None,
            Some(self.embeddings.token_type_embeddings.weight.val()),
            &batch.input,
            self.emb_ln.weight.val(),
            self.emb_ln.shift(),
            config.layer_norm_eps,
            pass.dropout.next(config.dropout),
            pass.word_rows.clone(),
        );
        for layer in &self.encoder.layers {
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
        config: &NomicBertConfig,
        batch: &PackedBatch,
        pass: &Pass,
    ) -> Tensor<2> {
        let (eps, dropout) = (config.layer_norm_eps, &pass.dropout);
        let (heads, head_dim) = (config.num_attention_heads, config.hidden_size / config.num_attention_heads);
        let qkv = self.attn.Wqkv.forward(x.clone(), Activation::Identity);
        let qkv = rotary(qkv, rope, 2 * heads, head_dim);
        let attend = Attend::new(heads, heads, head_dim);
        let context = attention(qkv, None, &batch.offsets, &attend, dropout.next(config.attention_dropout));
        let context = self.attn.out_proj.forward(context, Activation::Identity);
        let x = self.norm1.of_sum(context, x, eps, dropout.next(config.dropout));
        let FeedForward { fc11, fc12, fc2, packed } = &self.mlp;
        let wide =
            gated(Linear::forward_joined([fc12, fc11], packed, x.clone()), config.activation, Gate::First);
        self.norm2.of_sum(fc2.forward(wide, Activation::Identity), x, eps, dropout.next(config.dropout))
    }
}
