//! Where vectors came from, and whether two sets of them may be compared.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The key under which safetensors and Parquet files carry the origin of their vectors, as JSON.
pub(crate) const METADATA_KEY: &str = "temper.provenance";

/// The origin of a set of vectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The model as the user named it.
    pub model: String,
    /// The model's fingerprint.
    pub fingerprint: String,
    /// Fingerprint of the model that this one was converted from, when it is an export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_from: Option<String>,
    /// Text put in front of every input, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The number of leading values kept, when vectors were cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate_dim: Option<usize>,
    /// Precision the model computed in.
    #[serde(default)]
    pub precision: Precision,
}

/// The number type a model's weights were stored in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats.
    F16,
    /// 16-bit floats with the range of 32-bit ones.
    Bf16,
    /// 8-bit integers with scales.
    Int8,
}

impl Precision {
    /// The name used in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

impl Provenance {
    /// The model whose meaning these vectors share: the source of a conversion, else the model itself.
    fn source(&self) -> &str {
        self.derived_from.as_deref().unwrap_or(&self.fingerprint)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| panic!("this is a bug: plain fields: {error}"))
    }
}

/// Says whether two sets of vectors may be compared, with a note when they may but are not quite the same.
///
/// Prompts may differ: queries and documents usually have different ones.
pub fn check_compatible(a: &Provenance, b: &Provenance, allow_mixed: bool) -> Result<Option<String>> {
    if let Some(reason) = conflict(a, b) {
        if allow_mixed {
            return Ok(Some(format!(
                "comparing vectors of `{}` and `{}` although {reason}",
                a.model, b.model
            )));
        }
        return Err(Error::Incompatible { left: a.model.clone(), right: b.model.clone(), reason });
    }
    if a.precision != b.precision {
        let (left, right) = (a.precision.name(), b.precision.name());
        return Ok(Some(format!(
            "comparing {left} with {right} vectors of the same model: scores differ slightly"
        )));
    }
    if a.fingerprint != b.fingerprint {
        return Ok(Some(
            "comparing vectors of a model and of its conversion: scores differ slightly".to_owned(),
        ));
    }
    Ok(None)
}

fn conflict(a: &Provenance, b: &Provenance) -> Option<String> {
    if a.source() != b.source() {
        return Some(format!("their fingerprints are {} and {}", short(a.source()), short(b.source())));
    }
    if a.truncate_dim != b.truncate_dim {
        let cut = |dim: Option<usize>| dim.map_or("not at all".to_owned(), |dim| format!("to {dim}"));
        return Some(format!("they are truncated {} and {}", cut(a.truncate_dim), cut(b.truncate_dim)));
    }
    None
}

/// Enough of a fingerprint to tell two apart by eye.
fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(fingerprint: &str) -> Provenance {
        Provenance { model: "m".to_owned(), fingerprint: fingerprint.to_owned(), ..Provenance::default() }
    }

    #[test]
    fn the_same_model_passes_silently_whatever_the_prompts() {
        let queries = Provenance { prompt: Some("query: ".to_owned()), ..of("a") };
        assert_eq!(check_compatible(&queries, &of("a"), false).unwrap(), None);
    }

    #[test]
    fn different_models_are_refused_unless_allowed() {
        let error = check_compatible(&of("a"), &of("b"), false).unwrap_err();
        assert!(error.to_string().contains("--allow-mixed"), "{error}");
        assert!(check_compatible(&of("a"), &of("b"), true).unwrap().is_some());
    }

    #[test]
    fn a_conversion_of_the_same_source_passes_with_a_note() {
        let f16 = Provenance { derived_from: Some("a".to_owned()), precision: Precision::F16, ..of("b") };
        let int8 = Provenance { derived_from: Some("a".to_owned()), precision: Precision::Int8, ..of("c") };
        assert!(check_compatible(&of("a"), &f16, false).unwrap().unwrap().contains("f16"));
        assert!(check_compatible(&int8, &f16, false).unwrap().is_some());
    }

    #[test]
    fn different_truncation_is_refused() {
        assert!(
            check_compatible(&of("a"), &Provenance { truncate_dim: Some(64), ..of("a") }, false).is_err()
        );
    }

    #[test]
    fn json_keeps_every_field() {
        let full = Provenance {
            prompt: Some("query: ".to_owned()),
            truncate_dim: Some(64),
            precision: Precision::Bf16,
            derived_from: Some("z".to_owned()),
            ..of("a")
        };
        assert_eq!(serde_json::from_str::<Provenance>(&full.to_json()).unwrap(), full);
    }
}
