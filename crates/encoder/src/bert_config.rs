//! What of a BERT `config.json` shapes the graph, and what is refused because temper would compute something else.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use temper_kernels::Activation;

use crate::Error;

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
    /// Rows of the position table, hence the longest input.
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
}

/// Fields that name, count or annotate, and do not change what BERT computes.
const HARMLESS: &[&str] = &[
    "_name_or_path",
    "architectures",
    "bos_token_id",
    "classifier_dropout",
    "cls_token_id",
    "directionality",
    "dtype",
    "eos_token_id",
    "finetuning_task",
    "gradient_checkpointing",
    "id2label",
    "label2id",
    "model_type",
    "pad_token_id",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
    "problem_type",
    "sep_token_id",
    "tie_word_embeddings",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "_attn_implementation_autoset",
    "attn_implementation",
    "summary_type",
    "output_past",
    "language",
    "name",
    "_commit_hash",
];

/// Fields whose other values would change the graph, with the one value that temper computes.
fn required() -> [(&'static str, Value); 7] {
    [
        ("position_embedding_type", "absolute".into()),
        ("is_decoder", false.into()),
        ("add_cross_attention", false.into()),
        ("is_encoder_decoder", false.into()),
        ("embedding_size", Value::Null),
        ("pruned_heads", Value::Object(serde_json::Map::new())),
        ("quantization_config", Value::Null),
    ]
}

impl BertConfig {
    /// Reads `config.json`. Returns the config and the names of fields that are not known.
    pub fn from_json(path: &Path, json: &Value) -> Result<(Self, Vec<String>), Error> {
        let object = json.as_object().ok_or_else(|| Error::model(path, "expected a JSON object"))?;
        for (name, expected) in required() {
            if let Some(found) = object.get(name).filter(|v| **v != expected && !v.is_null()) {
                return Err(Error::model(
                    path,
                    format!("field `{name}` is {found}; temper computes BERT with {expected} only"),
                ));
            }
        }
        let fields = Fields { path, object };
        let act = object.get("hidden_act").and_then(Value::as_str).unwrap_or("gelu");
        let config = Self {
            vocab_size: fields.count("vocab_size", None)?,
            hidden_size: fields.count("hidden_size", None)?,
            num_hidden_layers: fields.count("num_hidden_layers", None)?,
            num_attention_heads: fields.count("num_attention_heads", None)?,
            intermediate_size: fields.count("intermediate_size", None)?,
            max_position_embeddings: fields.count("max_position_embeddings", Some(512))?,
            type_vocab_size: fields.count("type_vocab_size", Some(2))?,
            hidden_act: activation_from_name(act).ok_or_else(|| {
                Error::model(
                    path,
                    format!("field `hidden_act` is `{act}`; known: gelu, gelu_new, relu, silu, tanh"),
                )
            })?,
            layer_norm_eps: fields.number("layer_norm_eps", 1e-12)?,
            hidden_dropout_prob: fields.number("hidden_dropout_prob", 0.1)?,
            attention_probs_dropout_prob: fields.number("attention_probs_dropout_prob", 0.1)?,
            initializer_range: fields.number("initializer_range", 0.02)?,
        };
        if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            return Err(Error::model(
                path,
                format!(
                    "`hidden_size` {} is not a multiple of `num_attention_heads` {}",
                    config.hidden_size, config.num_attention_heads
                ),
            ));
        }
        let known = [
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "max_position_embeddings",
            "type_vocab_size",
            "hidden_act",
            "layer_norm_eps",
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
            "initializer_range",
        ];
        let unknown = object
            .keys()
            .filter(|k| {
                !known.contains(&k.as_str())
                    && !HARMLESS.contains(&k.as_str())
                    && !required().iter().any(|(name, _)| name == k)
            })
            .cloned()
            .collect();
        Ok((config, unknown))
    }

    /// `config.json` as transformers writes it for this architecture.
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

/// The activation that transformers calls `name`.
fn activation_from_name(name: &str) -> Option<Activation> {
    Some(match name {
        "gelu" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
        "relu" => Activation::Relu,
        "silu" | "swish" => Activation::Silu,
        "tanh" => Activation::Tanh,
        _ => return None,
    })
}

/// Typed access to the numbers of a JSON object.
struct Fields<'a> {
    path: &'a Path,
    object: &'a serde_json::Map<String, Value>,
}

impl Fields<'_> {
    fn count(&self, name: &str, default: Option<usize>) -> Result<usize, Error> {
        match (self.object.get(name), default) {
            (Some(value), _) => value.as_u64().filter(|n| *n > 0).map(|n| n as usize).ok_or_else(|| {
                Error::model(self.path, format!("field `{name}` is {value}; expected a positive integer"))
            }),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(Error::model(self.path, format!("field `{name}` is missing"))),
        }
    }

    fn number(&self, name: &str, default: f64) -> Result<f64, Error> {
        match self.object.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value.as_f64().ok_or_else(|| {
                Error::model(self.path, format!("field `{name}` is {value}; expected a number"))
            }),
        }
    }
}
