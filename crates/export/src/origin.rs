//! `temper.json` beside an export: which model it was made from, so that vectors of both may be compared.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The file's name; other readers pass over it.
pub(crate) const FILE: &str = "temper.json";

/// Where an exported folder came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The version of temper that exported it.
    pub temper_version: String,
    /// Fingerprint of the model it was made from.
    pub derived_from: String,
    /// The number format of its weights.
    pub precision: String,
}

/// The origin of a model folder, where temper exported it.
pub fn read_origin(folder: &Path) -> Result<Option<Origin>, Error> {
    let path = folder.join(FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(&path).map_err(Error::read(&path))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Origin { path, source })
}

impl Origin {
    pub(crate) fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self)
            .unwrap_or_else(|error| panic!("this is a bug: plain fields: {error}"));
        json + "\n"
    }
}
