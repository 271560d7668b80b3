//! What a model folder says about itself that the encoder does not keep: number format, size on disk, origin.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use temper_encoder::LinearPrecision;
use temper_vectors::{Precision, Provenance};

use crate::model::Opened;

/// A model's files.
pub struct Stored {
    /// The number format of the weights.
    pub precision: Precision,
    /// Bytes of all weight files.
    pub bytes: u64,
    /// Fingerprint of the model that this one was exported from.
    pub derived_from: Option<String>,
}

/// Looks at the files of a model folder.
pub fn look(folder: &Path) -> anyhow::Result<Stored> {
    let mut files = weight_files(folder);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        files.extend(weight_files(&entry.path()));
    }
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let largest = files.iter().max_by_key(|path| size(path));
    Ok(Stored {
        precision: largest.and_then(|path| precision(path)).unwrap_or_default(),
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

fn weight_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors")).collect()
}

/// The type of the first float tensor in the header of a safetensors file.
fn precision(path: &Path) -> Option<Precision> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(length)).read_to_end(&mut header).ok()?;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(&header).ok()?;
    header.values().find_map(|tensor| match tensor.get("dtype")?.as_str()? {
        "F32" => Some(Precision::F32),
        "F16" => Some(Precision::F16),
        "BF16" => Some(Precision::Bf16),
        _ => None,
    })
}
