//! What a model folder says about itself that the encoder does not keep: number format, size on disk, origin.

use std::fs;
use std::path::{Path, PathBuf};

use temper_encoder::{LinearPrecision, weights};
use temper_vectors::{Precision, Provenance};

use crate::model::Opened;

/// A model's files.
pub struct Stored {
    /// The kind of weight files: `safetensors` or `torch`.
    pub format: &'static str,
    /// The number format of the weights.
    pub precision: Precision,
    /// Bytes of all weight files.
    pub bytes: u64,
    /// Fingerprint of the model that this one was exported from.
    pub derived_from: Option<String>,
}

/// Looks at the files of a model folder.
pub fn look(folder: &Path) -> anyhow::Result<Stored> {
    let mut files = weights::files(folder)?;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        files.extend(weights::files(&entry.path()).unwrap_or_default());
    }
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let largest = files.iter().max_by_key(|path| size(path));
    Ok(Stored {
        format: largest.map_or("none", |path| weights::format_name(path)),
        precision: largest.and_then(|path| weights::precision(path)).unwrap_or_default(),
        bytes: files.iter().map(size).sum(),
        derived_from: temper_export::read_origin(folder)?.map(|origin| origin.derived_from),
    })
}

/// Where vectors of this model come from.
pub fn provenance(opened: &Opened, prompt: Option<&str>) -> anyhow::Result<Provenance> {
    let stored = look(&opened.folder)?;
    let fingerprint = opened.encoder.fingerprint();
    Ok(Provenance {
        model: opened.reference.clone(),
        derived_from: stored.derived_from.filter(|source| *source != fingerprint),
        fingerprint,
        prompt: prompt.map(str::to_owned),
        truncate_dim: opened.encoder.contract.truncate_dim,
        precision: match opened.encoder.linear_precision() {
            LinearPrecision::F32 => stored.precision,
            LinearPrecision::Int8 => Precision::Int8,
        },
    })
}
