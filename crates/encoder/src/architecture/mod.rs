//! The transformers that temper computes, a file each: the fields of `config.json` that shape the graph, parameters
//! under the names that transformers gives them, and their composition from the ops of `kernels`.

// Fields are named as the tensors are.
#![allow(non_snake_case, clippy::struct_field_names)]

mod bert;
mod decoder;
mod distilbert;
mod fields;
mod gte;
mod jina_bert;
pub(crate) mod layers;
mod modernbert;
mod mpnet;
mod nomic_bert;
mod rope;
mod static_table;

use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde_json::Value;
use temper_kernels::LinearPrecision;

use crate::Error;
use crate::packed::PackedBatch;
use crate::pass::Pass;

pub use bert::{Bert, BertConfig};
pub use decoder::{Decoder, DecoderConfig};
pub use distilbert::{DistilBert, DistilBertConfig};
use fields::Fields;
pub use gte::{Gte, GteConfig};
pub use jina_bert::{JinaBert, JinaBertConfig};
pub use modernbert::{ModernBert, ModernBertConfig};
pub use mpnet::{Mpnet, MpnetConfig};
pub use nomic_bert::{NomicBert, NomicBertConfig};
pub(crate) use static_table::ANY_LENGTH;
pub use static_table::{Static, StaticConfig};

/// What the rest of temper asks of any transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What people call it.
    pub name: &'static str,
    /// Rows of the word table.
    pub vocab_size: usize,
    /// Width of the token vectors.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// The longest input in tokens.
    pub max_tokens: usize,
}

/// Lists the architectures: the module, its config, and the values of `model_type` that mean it.
macro_rules! architectures {
    ($($Name:ident, $Config:ident: $($model_type:literal)|+;)+) => {
        /// Token ids to token vectors.
        // One an encoder: how much larger one variant is does not matter.
        #[allow(clippy::large_enum_variant)]
        #[derive(Module, Debug)]
        pub enum Transformer {
            $(
                #[doc = concat!("`", stringify!($Name), "`.")]
                $Name($Name),
            )+
        }

        /// What `config.json` says of a transformer, as far as it shapes the graph.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum TransformerConfig {
            $(
                #[doc = concat!("Of [`", stringify!($Name), "`].")]
                $Name($Config),
            )+
        }

        /// The values of `model_type` that temper loads.
        pub const MODEL_TYPES: &[&str] = &[$($($model_type),+),+];

        impl TransformerConfig {
            /// Reads `config.json`. Returns the config and the names of fields that are not known.
            pub fn from_json(path: &Path, json: &Value) -> Result<(Self, Vec<String>), Error> {
                let fields = Fields::new(path, json)?;
                let config = match model_type(&fields) {
                    $($($model_type)|+ => Self::$Name($Config::read(&fields)?),)+
                    other => {
                        let known = MODEL_TYPES.join(", ");
                        let problem = format!("field `model_type` is `{other}`; this version of temper loads: {known}");
                        return Err(fields.error(problem));
                    }
                };
                Ok((config, fields.unknown()))
            }

            /// Its measures.
            pub fn shape(&self) -> Shape {
                match self {
                    $(Self::$Name(config) => config.shape(),)+
                }
            }

            /// A module of these shapes, whose values are loaded afterwards.
            pub(crate) fn empty(&self, device: &Device) -> Transformer {
                match self {
                    $(Self::$Name(config) => Transformer::$Name($Name::empty(config, device)),)+
                }
            }
        }

        impl Transformer {
            /// Packs the linear layers for inference.
            pub(crate) fn pack(&mut self, precision: LinearPrecision) {
                match self {
                    $(Self::$Name(module) => module.pack(precision),)+
                }
            }

            /// The table of word vectors, whose gradient [`Pass::word_rows`] takes.
            pub fn word_table(&self) -> &Param<Tensor<2>> {
                match self {
                    $(Self::$Name(module) => module.word_table(),)+
                }
            }

            /// Token vectors of a packed batch.
            ///
            /// # Shapes
            /// - output: `[tokens, hidden_size]`, sequences end to end
            pub fn forward(&self, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
                match self {
                    $(Self::$Name(module) => module.forward(batch, pass),)+
                }
            }
        }
    };
}

/// The field `model_type`, but for JinaBERT, which is published as `bert`.
fn model_type<'a>(fields: &Fields<'a>) -> &'a str {
    let text = |name| fields.get(name).and_then(Value::as_str);
    match (text("model_type"), text("position_embedding_type")) {
        (Some("bert"), Some("alibi")) => "jina_bert",
        (name, _) => name.unwrap_or("missing"),
    }
}

architectures! {
    Bert, BertConfig: "bert" | "roberta" | "xlm-roberta" | "camembert";
    DistilBert, DistilBertConfig: "distilbert";
    Mpnet, MpnetConfig: "mpnet";
    ModernBert, ModernBertConfig: "modernbert";
    NomicBert, NomicBertConfig: "nomic_bert";
    JinaBert, JinaBertConfig: "jina_bert";
    Gte, GteConfig: "new" | "gte";
    Static, StaticConfig: "model2vec";
    Decoder, DecoderConfig: "qwen3" | "eurobert" | "gemma3_text";
}
