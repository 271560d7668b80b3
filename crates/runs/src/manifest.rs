//! Where a run came from: everything needed to tell whether a number can be reproduced.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, write_atomic};

/// The provenance of a run, written before its first step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunManifest {
    /// The version of temper that made the run.
    pub temper_version: String,
    /// When, as RFC 3339.
    pub created: String,
    /// The root of every random choice.
    pub seed: u64,
    /// The device it ran on.
    pub device: String,
    /// The CPU instruction set; results are the same bytes only on the same one.
    pub instruction_set: String,
    /// How many threads it used.
    pub threads: usize,
    /// The model it began from.
    pub base: Base,
    /// The files it read.
    pub data: Vec<DataFile>,
    /// blake3 of the resolved config.
    pub config_hash: String,
    /// The command line.
    pub argv: Vec<String>,
}

/// The model a run began from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// As the config names it.
    pub reference: String,
    /// The commit of a model of the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The fingerprint of what was loaded.
    pub fingerprint: String,
}

/// A file that a run read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// What it was used for: `train`, `eval`.
    pub role: String,
    /// As the config names it.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Hash of the whole file, in hex.
    pub blake3: String,
}

impl RunManifest {
    /// Whether a resume changed the run: an extension, or data or config that were allowed to differ. Only then does
    /// a resume leave its own command line here.
    pub fn was_changed(&self) -> bool {
        self.argv.iter().any(|word| word.starts_with("--resume"))
    }

    /// Reads `manifest.json` at `path`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.to_owned(), source })
    }

    /// Writes it to `path`, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|source| Error::Json { path: path.to_owned(), source })?;
        bytes.push(b'\n');
        write_atomic(path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_reads_back_and_leaves_no_other_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("manifest.json");
        let manifest = RunManifest {
            temper_version: "0.1.0".into(),
            created: "2026-03-04T05:06:07Z".into(),
            seed: 42,
            device: "cpu".into(),
            instruction_set: "avx2".into(),
            threads: 2,
            base: Base { reference: "m".into(), revision: None, fingerprint: "f".into() },
            data: vec![DataFile {
                role: "train".into(),
                path: "a.jsonl".into(),
                size: 3,
                blake3: "b".into(),
            }],
            config_hash: "c".into(),
            argv: vec!["temper".into(), "train".into()],
        };
        manifest.write(&path).unwrap();
        manifest.write(&path).unwrap();
        assert_eq!(RunManifest::read(&path).unwrap(), manifest);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
