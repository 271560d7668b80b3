//! BERT (Devlin et al., 2019): post-norm blocks with absolute positions and token types. RoBERTa (Liu et al., 2019),
//! XLM-RoBERTa and CamemBERT are the same with other position numbers.

use std::borrow::Cow;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde_json::Value;
use temper_kernels::{Activation, Attend, LinearPrecision, attention};

use super::Shape;
use super::fields::Fields;
use super::layers::{Embeddings, Linear, Output, SelfAttention};
use crate::Error;
use crate::packed::PackedBatch;
use crate::pass::Pass;

/// The fields of `config.json` that shape the graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BertConfig {
    /// Rows of the word table.
    pub vocab_size: usize,
    /// Width of the token vectors.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Heads per block.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Rows of the position table.
    pub max_position_embeddings: usize,
    /// Rows of the token-type table.
    pub type_vocab_size: usize,
    /// Activation of the feed-forward layer.
    #[serde(serialize_with = "crate::contract::activation_name")]
    pub hidden_act: Activation,
    /// Added to the variance in every `LayerNorm`.
    pub layer_norm_eps: f64,
    /// Dropout on embeddings and block outputs while training.
    pub hidden_dropout_prob: f64,
    /// Dropout on attention probabilities while training.
    pub attention_probs_dropout_prob: f64,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// RoBERTa's padding token, behind whose number positions begin; none in BERT, where they begin at 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub padding: Option<u32>,
}

impl BertConfig {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        let is_bert = fields.get("model_type").is_some_and(|name| name == "bert");
        fields.only("position_embedding_type", "absolute")?;
        fields.only("is_decoder", false)?;
        fields.only("add_cross_attention", false)?;
        fields.only("is_encoder_decoder", false)?;
        fields.only("embedding_size", Value::Null)?;
        fields.only("pruned_heads", serde_json::json!({}))?;
        fields.only("quantization_config", Value::Null)?;
        fields.harmless(&[
            "pooler_fc_size",
            "pooler_num_attention_heads",
            "pooler_num_fc_layers",
            "pooler_size_per_head",
            "pooler_type",
        ]);
        let config = Self {
            vocab_size: fields.count("vocab_size")?,
            hidden_size: fields.count("hidden_size")?,
            num_hidden_layers: fields.count("num_hidden_layers")?,
            num_attention_heads: fields.count("num_attention_heads")?,
            intermediate_size: fields.count("intermediate_size")?,
            max_position_embeddings: fields.optional_count("max_position_embeddings")?.unwrap_or(512),
            type_vocab_size: fields.optional_count("type_vocab_size")?.unwrap_or(2),
            hidden_act: fields.activation("hidden_act", "gelu")?,
            layer_norm_eps: fields.number("layer_norm_eps", 1e-12)?,
            hidden_dropout_prob: fields.number("hidden_dropout_prob", 0.1)?,
            attention_probs_dropout_prob: fields.number("attention_probs_dropout_prob", 0.1)?,
            initializer_range: fields.number("initializer_range", 0.02)?,
            padding: (!is_bert).then(|| fields.token("pad_token_id", 1)).transpose()?,
        };
        fields.head_dim(config.hidden_size, config.num_attention_heads)?;
        Ok(config)
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            name: if self.padding.is_none() { "BERT" } else { "RoBERTa" },
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            intermediate_size: self.intermediate_size,
            max_tokens: self.max_position_embeddings
                - self.padding.map_or(0, |padding| padding as usize + 1).min(self.max_position_embeddings),
        }
    }

    /// `config.json` of a BERT as transformers writes it.
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "architectures": ["BertModel"],
            "attention_probs_dropout_prob": self.attention_probs_dropout_prob,
            "classifier_dropout": null,
            "hidden_act": crate::contract::activation_label(self.hidden_act),
            "hidden_dropout_prob": self.hidden_dropout_prob,
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
            "layer_norm_eps": self.layer_norm_eps,
            "max_position_embeddings": self.max_position_embeddings,
            "model_type": "bert",
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "pad_token_id": 0,
            "position_embedding_type": "absolute",
            "torch_dtype": "float32",
            "type_vocab_size": self.type_vocab_size,
            "use_cache": true,
            "vocab_size": self.vocab_size,
        })
    }
}

/// The encoder.
#[derive(Module, Debug)]
pub struct Bert {
    embeddings: Embeddings,
    encoder: Layers,
    #[module(skip)]
    config: BertConfig,
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
struct Intermediate {
    dense: Linear,
}

impl Bert {
    pub(super) fn empty(config: &BertConfig, device: &Device) -> Self {
        let (dim, wide) = (config.hidden_size, config.intermediate_size);
        let layer = |_| Layer {
            attention: Attention {
                self_attention: SelfAttention::empty(dim, device),
                output: Output::empty(dim, dim, device),
            },
            intermediate: Intermediate { dense: Linear::empty(dim, wide, true, device) },
            output: Output::empty(wide, dim, device),
        };
        let (positions, types) = (Some(config.max_position_embeddings), Some(config.type_vocab_size));
        Self {
            embeddings: Embeddings::empty(config.vocab_size, positions, types, dim, device),
            encoder: Layers { layer: (0..config.num_hidden_layers).map(layer).collect() },
            config: config.clone(),
        }
    }

    pub(super) fn pack(&mut self, precision: LinearPrecision) {
        for layer in &mut self.encoder.layer {
            layer.attention.self_attention.pack(precision);
            layer.attention.output.dense.pack(precision);
            layer.intermediate.dense.pack(precision);
            layer.output.dense.pack(precision);
        }
    }

    pub(super) fn word_table(&self) -> &Param<Tensor<2>> {
        &self.embeddings.word_embeddings.weight
    }

    pub(super) fn forward(&self, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        let config = &self.config;
        let input = match config.padding {
            Some(padding) => Cow::Owned(batch.numbered_after(padding)),
            None => Cow::Borrowed(&batch.input),
        };
        let (eps, dropout) = (config.layer_norm_eps, config.hidden_dropout_prob);
        let mut hidden = self.embeddings.forward(&input, eps, dropout, pass);
        for layer in &self.encoder.layer {
            pass.taps.offer(&hidden);
            hidden = layer.forward(hidden, config, batch, pass);
        }
        hidden
    }
}

impl Layer {
    fn forward(&self, x: Tensor<2>, config: &BertConfig, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        let (eps, dropout) = (config.layer_norm_eps, &pass.dropout);
        let (heads, hidden_dropout) = (config.num_attention_heads, config.hidden_dropout_prob);
        let context = attention(
            self.attention.self_attention.forward(x.clone()),
            None,
            &batch.offsets,
            &Attend::new(heads, heads, config.hidden_size / heads),
            dropout.next(config.attention_probs_dropout_prob),
        );
        let x = self.attention.output.forward(context, x, eps, dropout.next(hidden_dropout));
        let wide = self.intermediate.dense.forward(x.clone(), config.hidden_act);
        self.output.forward(wide, x, eps, dropout.next(hidden_dropout))
    }
}
