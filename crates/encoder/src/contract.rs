//! The model contract: everything that says how a text becomes a vector.
//!
//! Training, evaluation, embedding and export all read this struct and nothing beside it, so a prompt or a
//! pooling cannot be lost between them.

use std::collections::BTreeMap;

use serde::Serialize;
use temper_kernels::{Activation, Pool};

use crate::architecture::{ANY_LENGTH, TransformerConfig};

/// How a text becomes a vector.
#[derive(Debug, Clone, Serialize)]
pub struct Contract {
    /// The modules in the order they run.
    pub modules: Vec<ModuleSpec>,
    /// Longest input in tokens, special tokens and prompt included; the rest is cut off.
    pub max_seq_length: usize,
    /// Which end of a long text is cut off.
    pub truncation_side: TruncationSide,
    /// Whether the text is lower-cased before the tokenizer sees it.
    pub lower_case: bool,
    /// Prompts by name; a prompt is put in front of the text.
    pub prompts: BTreeMap<String, String>,
    /// The prompt used when none is named.
    pub default_prompt: Option<String>,
    /// Vectors are cut to this many leading dimensions.
    pub truncate_dim: Option<usize>,
    /// How two vectors of this model are compared.
    pub similarity: temper_vectors::Similarity,
}

/// One module of the chain.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "module", rename_all = "lowercase")]
pub enum ModuleSpec {
    /// Token ids to token vectors.
    Transformer(TransformerConfig),
    /// Token vectors to one vector a text.
    Pooling(PoolingSpec),
    /// A linear layer on the pooled vector.
    Dense(DenseSpec),
    /// L2 normalisation.
    Normalize,
}

/// One or several poolings; several are concatenated in this order.
#[derive(Debug, Clone, Serialize)]
pub struct PoolingSpec {
    /// Width of the token vectors.
    pub dim: usize,
    /// The poolings.
    #[serde(serialize_with = "pool_names")]
    pub pools: Vec<Pool>,
}

impl PoolingSpec {
    /// The poolings as sentence-transformers calls them, as in `mean+max`.
    pub fn name(&self) -> String {
        self.pools.iter().map(|pool| pool_name(*pool)).collect::<Vec<_>>().join("+")
    }
}

/// A linear layer with an activation on the pooled vector.
#[derive(Debug, Clone, Serialize)]
pub struct DenseSpec {
    /// Input width.
    pub in_features: usize,
    /// Output width.
    pub out_features: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// What follows the product.
    #[serde(serialize_with = "activation_name")]
    pub activation: Activation,
}

/// Which end of a long text is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TruncationSide {
    /// The beginning is dropped.
    Left,
    /// The end is dropped.
    Right,
}

impl Contract {
    /// The transformer of the chain.
    pub fn transformer(&self) -> &TransformerConfig {
        self.modules
            .iter()
            .find_map(|m| if let ModuleSpec::Transformer(config) = m { Some(config) } else { None })
            .expect("this is a bug: every contract is built with a transformer")
    }

    /// Whether a model without a transformer: its texts have no special tokens.
    pub fn is_static(&self) -> bool {
        matches!(self.transformer(), TransformerConfig::Static(_))
    }

    /// The longest input in words.
    pub fn longest_input(&self) -> String {
        match self.max_seq_length {
            ANY_LENGTH => "any length".to_owned(),
            tokens => format!("{tokens} tokens"),
        }
    }

    /// The pooling of the chain.
    pub fn pooling(&self) -> &PoolingSpec {
        self.modules
            .iter()
            .find_map(|m| if let ModuleSpec::Pooling(spec) = m { Some(spec) } else { None })
            .expect("this is a bug: every contract is built with a pooling")
    }

    /// The dense layers in the order they run.
    pub fn dense(&self) -> impl Iterator<Item = &DenseSpec> {
        self.modules.iter().filter_map(|m| if let ModuleSpec::Dense(spec) = m { Some(spec) } else { None })
    }

    /// Width of the vectors before `truncate_dim`.
    pub fn full_dim(&self) -> usize {
        self.modules.iter().fold(0, |dim, module| match module {
            ModuleSpec::Transformer(config) => config.shape().hidden_size,
            ModuleSpec::Pooling(spec) => spec.dim * spec.pools.len(),
            ModuleSpec::Dense(spec) => spec.out_features,
            ModuleSpec::Normalize => dim,
        })
    }

    /// Width of the vectors that leave the model.
    pub fn dim(&self) -> usize {
        self.truncate_dim.map_or(self.full_dim(), |dim| dim.min(self.full_dim()))
    }

    /// Whether vectors leave the chain with unit length.
    pub fn normalizes(&self) -> bool {
        matches!(self.modules.last(), Some(ModuleSpec::Normalize))
    }

    /// The text of the prompt `name`, or of the default prompt when no name is given.
    pub fn prompt(&self, name: Option<&str>) -> Result<Option<&str>, crate::Error> {
        let Some(name) = name.or(self.default_prompt.as_deref()) else { return Ok(None) };
        match self.prompts.get(name) {
            Some(text) => Ok(Some(text).filter(|t| !t.is_empty()).map(String::as_str)),
            None => Err(crate::Error::UnknownPrompt {
                name: name.to_owned(),
                known: match self.prompts.len() {
                    0 => "none".to_owned(),
                    _ => self.prompts.keys().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", "),
                },
            }),
        }
    }

    /// The chain in one line, as in `BERT 6x384 > mean > normalize`.
    pub fn summary(&self) -> String {
        let part = |module: &ModuleSpec| match module {
            ModuleSpec::Transformer(config @ TransformerConfig::Static(_)) => {
                let shape = config.shape();
                format!("static {}x{}", shape.vocab_size, shape.hidden_size)
            }
            ModuleSpec::Transformer(config) => {
                let shape = config.shape();
                format!("{} {}x{}", shape.name, shape.num_hidden_layers, shape.hidden_size)
            }
            ModuleSpec::Pooling(spec) => spec.name(),
            ModuleSpec::Dense(d) => format!("dense {}", d.out_features),
            ModuleSpec::Normalize => "normalize".to_owned(),
        };
        self.modules.iter().map(part).collect::<Vec<_>>().join(" > ")
    }
}

/// The name of a pooling as sentence-transformers spells it.
pub fn pool_name(pool: Pool) -> &'static str {
    match pool {
        Pool::Cls => "cls",
        Pool::Mean => "mean",
        Pool::Max => "max",
        Pool::MeanSqrtLen => "mean_sqrt_len_tokens",
        Pool::WeightedMean => "weightedmean",
        Pool::LastToken => "lasttoken",
    }
}

/// The booleans of the old `1_Pooling/config.json`, in the order in which several are concatenated.
pub(crate) const POOL_FLAGS: [(&str, Pool); 6] = [
    ("pooling_mode_cls_token", Pool::Cls),
    ("pooling_mode_max_tokens", Pool::Max),
    ("pooling_mode_mean_tokens", Pool::Mean),
    ("pooling_mode_mean_sqrt_len_tokens", Pool::MeanSqrtLen),
    ("pooling_mode_weightedmean_tokens", Pool::WeightedMean),
    ("pooling_mode_lasttoken", Pool::LastToken),
];

/// The names that [`pool_from_name`] knows, for messages.
pub const POOL_NAMES: &str = "cls, mean, max, mean_sqrt_len_tokens, weightedmean, lasttoken";

/// The pooling that sentence-transformers calls `name`.
pub fn pool_from_name(name: &str) -> Option<Pool> {
    Some(match name {
        "cls" => Pool::Cls,
        "mean" => Pool::Mean,
        "max" => Pool::Max,
        "mean_sqrt_len_tokens" | "mean_sqrt_len" => Pool::MeanSqrtLen,
        "weightedmean" => Pool::WeightedMean,
        "lasttoken" => Pool::LastToken,
        _ => return None,
    })
}

/// The name of an activation as transformers' `hidden_act` spells it.
pub fn activation_label(activation: Activation) -> &'static str {
    match activation {
        Activation::Identity => "identity",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_new",
        Activation::Relu => "relu",
        Activation::Silu => "silu",
        Activation::Tanh => "tanh",
    }
}

fn pool_names<S: serde::Serializer>(pools: &[Pool], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(pools.iter().map(|p| pool_name(*p)))
}

// serde hands serialisers a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(crate) fn activation_name<S: serde::Serializer>(
    a: &Activation,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(activation_label(*a))
}
