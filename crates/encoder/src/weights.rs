//! Tensors of a weight file, whole or in shards, as f32.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};
use temper_kernels::with_mapped;

use crate::Error;

/// A tensor on its way between a file and the module.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Name as in the file.
    pub name: String,
    /// Extents.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// All float tensors of one model file.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    tensors: Tensors,
}

/// Shape and row-major values by name.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

impl Weights {
    /// Reads `model.safetensors` of a folder, or its shards.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let single = folder.join("model.safetensors");
        let index = folder.join("model.safetensors.index.json");
        if single.is_file() {
            return Ok(Self { tensors: read_file(&single)?, path: single });
        }
        if index.is_file() {
            let mut tensors = BTreeMap::new();
            for shard in shards(&index)? {
                tensors.extend(read_file(&folder.join(shard))?);
            }
            return Ok(Self { path: index, tensors });
        }
        let problem = if folder.join("pytorch_model.bin").is_file() {
            "holds only `pytorch_model.bin`, a pickle that temper does not execute; save it once as safetensors: \
             SentenceTransformer(DIR).save_pretrained(NEW_DIR)"
        } else {
            "no `model.safetensors` here; is this a model folder?"
        };
        Err(Error::weights(folder, problem))
    }

    /// Tensors that were made, not read.
    pub fn from_tensors(path: PathBuf, tensors: impl Iterator<Item = NamedTensor>) -> Self {
        Self { path, tensors: tensors.map(|t| (t.name, (t.shape, t.values))).collect() }
    }

    /// Where the tensors came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes `prefix` from the names that bear it (`bert.` of models saved with a head).
    pub fn strip_prefix(&mut self, prefix: &str) {
        if self.tensors.keys().any(|k| k.starts_with(prefix)) {
            let all = std::mem::take(&mut self.tensors);
            self.tensors = all
                .into_iter()
                .map(|(k, v)| (k.strip_prefix(prefix).map_or(k.clone(), str::to_owned), v))
                .collect();
        }
    }

    /// Takes a tensor out, which must have this shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let (found, values) = self
            .tensors
            .remove(name)
            .or_else(|| self.tensors.remove(&old_name(name)?))
            .ok_or_else(|| Error::weights(&self.path, format!("tensor `{name}` is missing")))?;
        if found != shape {
            let problem = format!("tensor `{name}` has shape {found:?} where config.json asks for {shape:?}");
            return Err(Error::weights(&self.path, problem));
        }
        Ok(values)
    }

    /// The tensors that nobody took.
    pub fn rest(self) -> impl Iterator<Item = NamedTensor> {
        self.tensors.into_iter().map(|(name, (shape, values))| NamedTensor { name, shape, values })
    }
}

/// The name that TensorFlow-born checkpoints use for a `LayerNorm` parameter.
fn old_name(name: &str) -> Option<String> {
    let (head, tail) = name.rsplit_once("LayerNorm.")?;
    let old = match tail {
        "weight" => "gamma",
        "bias" => "beta",
        _ => return None,
    };
    Some(format!("{head}LayerNorm.{old}"))
}

/// File names of the shards an index lists; a name that leaves the folder is refused.
pub(crate) fn shards(index: &Path) -> Result<BTreeSet<String>, Error> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = std::fs::read(index).map_err(Error::read(index))?;
    let parsed: Index =
        serde_json::from_slice(&text).map_err(|source| Error::Json { path: index.to_owned(), source })?;
    let names: BTreeSet<_> = parsed.weight_map.into_values().collect();
    match names.iter().find(|n| n.contains(['/', '\\']) || n.starts_with('.')) {
        Some(name) => Err(Error::weights(index, format!("shard name `{name}` leaves the model folder"))),
        None => Ok(names),
    }
}

fn read_file(path: &Path) -> Result<Tensors, Error> {
    with_mapped(path, |bytes| parse(path, bytes)).map_err(Error::read(path))?
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Tensors, Error> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| {
        Error::weights(path, format!("not a whole safetensors file ({e}); was the download or copy cut off?"))
    })?;
    let tensors = file.tensors().into_par_iter().filter_map(|(name, view)| {
        let values = to_f32(view.dtype(), view.data())?;
        Some((name, (view.shape().to_vec(), values)))
    });
    Ok(tensors.collect())
}

/// Little-endian floats of any width as f32; other types (position ids) are not weights.
fn to_f32(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => bytemuck::pod_collect_to_vec(data),
        Dtype::F16 => data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::BF16 => data.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::F64 => data
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            .collect(),
        _ => return None,
    })
}

/// Number format of written weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats: what was trained, bit for bit.
    #[default]
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

impl Precision {
    /// The name transformers gives it in `config.json`.
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    fn encode(self, values: &[f32]) -> (Dtype, Vec<u8>) {
        match self {
            Self::F32 => (Dtype::F32, bytemuck::cast_slice(values).to_vec()),
            Self::F16 => (Dtype::F16, values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect()),
            Self::Bf16 => {
                (Dtype::BF16, values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect())
            }
        }
    }
}

/// A safetensors file as transformers writes it, tensors in name order.
pub fn serialize(
    tensors: &[NamedTensor],
    precision: Precision,
) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let encoded: Vec<_> = tensors.iter().map(|t| (&t.name, &t.shape, precision.encode(&t.values))).collect();
    let views = encoded
        .iter()
        .map(|(name, shape, (dtype, bytes))| {
            safetensors::tensor::TensorView::new(*dtype, (*shape).clone(), bytes).map(|view| (*name, view))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tensor(name: &str, values: &[f32]) -> NamedTensor {
        NamedTensor { name: name.to_owned(), shape: vec![values.len()], values: values.to_vec() }
    }

    #[test]
    fn every_precision_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
            let bytes = serialize(&[tensor("a", &[1.0, -0.5, 0.25])], precision).unwrap();
            std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
            let mut weights = Weights::read(folder.path()).unwrap();
            assert_eq!(weights.take("a", &[3]).unwrap(), [1.0, -0.5, 0.25]);
        }
    }

    #[test]
    fn a_file_cut_short_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = serialize(&[tensor("a", &[1.0; 64])], Precision::F32).unwrap();
        std::fs::write(folder.path().join("model.safetensors"), &bytes[..bytes.len() - 9]).unwrap();
        let message = Weights::read(folder.path()).unwrap_err().to_string();
        assert!(message.contains("not a whole safetensors file"), "{message}");
    }

    #[test]
    fn gamma_and_beta_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = serialize(&[tensor("x.LayerNorm.gamma", &[2.0])], Precision::F32).unwrap();
        std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        assert_eq!(Weights::read(folder.path()).unwrap().take("x.LayerNorm.weight", &[1]).unwrap(), [2.0]);
    }

    #[test]
    fn shards_outside_the_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join("model.safetensors.index.json");
        std::fs::write(&index, r#"{"weight_map": {"a": "../secret.safetensors"}}"#).unwrap();
        assert!(Weights::read(folder.path()).unwrap_err().to_string().contains("leaves the model folder"));
    }
}
