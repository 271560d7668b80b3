//! The fields of a transformer's `config.json`, read so that none that changes the graph goes unseen.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};
use temper_kernels::Activation;

use crate::Error;

/// Fields that name, count or annotate, and change nothing that any architecture computes.
const HARMLESS: &[&str] = &[
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "architectures",
    "attn_implementation",
    "auto_map",
    "bos_token_id",
    "classifier_dropout",
    "cls_token_id",
    "directionality",
    "dtype",
    "eos_token_id",
    "finetuning_task",
    "gradient_checkpointing",
    "id2label",
    "initializer_range",
    "label2id",
    "language",
    "mask_token_id",
    "model_type",
    "name",
    "output_past",
    "pad_token_id",
    "problem_type",
    "sep_token_id",
    "summary_type",
    "tie_word_embeddings",
    "tokenizer_class",
    "torch_dtype",
    "transformers_version",
    "unk_token_id",
    "use_cache",
];

/// A `config.json` and which of its fields were looked at.
pub(crate) struct Fields<'a> {
    path: &'a Path,
    object: &'a Map<String, Value>,
    seen: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(path: &'a Path, json: &'a Value) -> Result<Self, Error> {
        let object = json.as_object().ok_or_else(|| Error::model(path, "expected a JSON object"))?;
        Ok(Self { path, object, seen: RefCell::default() })
    }

    /// A field, unless it is missing or null.
    pub(crate) fn get(&self, name: &'static str) -> Option<&'a Value> {
        self.seen.borrow_mut().insert(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn error(&self, problem: impl Into<String>) -> Error {
        Error::model(self.path, problem)
    }

    /// Reads a field, which is `expected`, with `convert`; none if it is missing or null.
    fn read<T>(
        &self,
        name: &'static str,
        expected: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let convert = |value| {
            convert(value)
                .ok_or_else(|| self.error(format!("field `{name}` is {value}; expected {expected}")))
        };
        self.get(name).map(convert).transpose()
    }

    /// A positive integer.
    pub(crate) fn count(&self, name: &'static str) -> Result<usize, Error> {
        self.optional_count(name)?.ok_or_else(|| self.error(format!("field `{name}` is missing")))
    }

    /// A positive integer that may be missing or null.
    pub(crate) fn optional_count(&self, name: &'static str) -> Result<Option<usize>, Error> {
        let positive = |value: &Value| value.as_u64().filter(|n| *n > 0).map(|n| n as usize);
        self.read(name, "a positive integer", positive)
    }

    /// A token id, or what it is when missing.
    pub(crate) fn token(&self, name: &'static str, default: u32) -> Result<u32, Error> {
        let id = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        Ok(self.read(name, "a token id", id)?.unwrap_or(default))
    }

    pub(crate) fn number(&self, name: &'static str, default: f64) -> Result<f64, Error> {
        Ok(self.read(name, "a number", Value::as_f64)?.unwrap_or(default))
    }

    pub(crate) fn flag(&self, name: &'static str, default: bool) -> Result<bool, Error> {
        Ok(self.read(name, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    /// An activation by the name that transformers gives it.
    pub(crate) fn activation(&self, name: &'static str, default: &'static str) -> Result<Activation, Error> {
        let label = self.read(name, "a name", Value::as_str)?.unwrap_or(default);
        activation_from_name(label).ok_or_else(|| {
            self.error(format!("field `{name}` is `{label}`; known: gelu, gelu_new, relu, silu, tanh"))
        })
    }

    /// A field whose other values would change the graph: temper computes `value` alone.
    pub(crate) fn only(&self, name: &'static str, value: impl Into<Value>) -> Result<(), Error> {
        let value = value.into();
        match self.get(name).filter(|found| **found != value) {
            Some(found) => Err(self
                .error(format!("field `{name}` is {found}; temper computes this model with {value} only"))),
            None => Ok(()),
        }
    }

    /// Which of the layers see every token, where the config lists them one by one.
    pub(crate) fn layer_types(&self, layers: usize) -> Result<Option<Vec<bool>>, Error> {
        let Some(list) = self.get("layer_types") else { return Ok(None) };
        let full = |kind: &Value| match kind.as_str() {
            Some("full_attention") => Some(true),
            Some("sliding_attention") => Some(false),
            _ => None,
        };
        let types: Option<Vec<bool>> = list.as_array().and_then(|list| list.iter().map(full).collect());
        types.filter(|types| types.len() == layers).map(Some).ok_or_else(|| {
            self.error(format!(
                "field `layer_types` is {list}; expected `full_attention` or `sliding_attention` for each of {layers} layers"
            ))
        })
    }

    /// Fields of this architecture that do not change what it computes.
    pub(crate) fn harmless(&self, names: &[&'static str]) {
        self.seen.borrow_mut().extend(names);
    }

    /// The width of a head: `hidden_size` divides into `heads`.
    pub(crate) fn head_dim(&self, hidden_size: usize, heads: usize) -> Result<usize, Error> {
        if hidden_size.is_multiple_of(heads) {
            return Ok(hidden_size / heads);
        }
        Err(self.error(format!("the width {hidden_size} is not a multiple of the {heads} attention heads")))
    }

    /// The names of fields that nobody knows.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let seen = self.seen.borrow();
        let known = |name: &str| seen.contains(name) || HARMLESS.contains(&name);
        self.object.keys().filter(|name| !known(name)).cloned().collect()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_nobody_asked_for_are_listed() {
        let json =
            json!({"hidden_size": 4, "model_type": "x", "twist": 1, "shift": null, "pooler_type": "p"});
        let fields = Fields::new(Path::new("config.json"), &json).unwrap();
        assert_eq!(fields.count("hidden_size").unwrap(), 4);
        fields.harmless(&["pooler_type"]);
        assert_eq!(fields.unknown(), ["twist", "shift"]);
    }

    #[test]
    fn errors_name_the_field() {
        let json = json!({"heads": 0, "eps": "small", "act": "spline", "is_decoder": true});
        let fields = Fields::new(Path::new("config.json"), &json).unwrap();
        for (error, expected) in [
            (fields.count("heads").unwrap_err(), "field `heads` is 0; expected a positive integer"),
            (fields.count("layers").unwrap_err(), "field `layers` is missing"),
            (fields.number("eps", 1.0).unwrap_err(), "field `eps` is \"small\"; expected a number"),
            (fields.activation("act", "gelu").unwrap_err(), "field `act` is `spline`; known: gelu"),
            (fields.only("is_decoder", false).unwrap_err(), "field `is_decoder` is true; temper computes"),
        ] {
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
