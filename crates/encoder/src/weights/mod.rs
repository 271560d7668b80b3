//! Tensors of a weight file, whole or in shards, as f32.

mod cursor;
mod pickle;
mod precision;
mod safetensors;
pub(crate) mod table;
mod torch;
mod zip;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ::safetensors::Dtype;
use temper_kernels::with_mapped;

use crate::Error;

use cursor::Problem;

pub use self::precision::Precision;
pub use self::safetensors::serialize;

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
    files: Vec<PathBuf>,
    tensors: Tensors,
}

/// Shape and row-major values by name.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Name and number type of each tensor.
type Dtypes = Vec<(String, Dtype)>;

/// A kind of weight files.
pub(crate) struct Format {
    name: &'static str,
    /// Name of the one file.
    pub(crate) file: &'static str,
    /// Name of the list of shards.
    pub(crate) index: &'static str,
    parse: fn(&[u8]) -> Result<Tensors, Problem>,
    dtypes: fn(&[u8]) -> Result<Dtypes, Problem>,
}

/// What weights may come as; what stands first is read where a folder has both.
pub(crate) const FORMATS: [Format; 2] = [
    Format {
        name: "safetensors",
        file: "model.safetensors",
        index: "model.safetensors.index.json",
        parse: self::safetensors::parse,
        dtypes: self::safetensors::dtypes,
    },
    Format {
        name: "torch",
        file: "pytorch_model.bin",
        index: "pytorch_model.bin.index.json",
        parse: torch::parse,
        dtypes: torch::dtypes,
    },
];

/// The files that hold the weights of a folder, in one format; none where it has no weights.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    for format in &FORMATS {
        let (file, index) = (folder.join(format.file), folder.join(format.index));
        if file.is_file() {
            return Ok(vec![file]);
        }
        if index.is_file() {
            return Ok(shards(&index)?.iter().map(|shard| folder.join(shard)).collect());
        }
    }
    Ok(Vec::new())
}

/// The number format of the first float tensor of a weight file; none for a file that cannot be read.
pub fn precision(path: &Path) -> Option<temper_vectors::Precision> {
    parsed(path, format_of(path).dtypes).ok()?.into_iter().find_map(|(_, dtype)| precision::of(dtype))
}

impl Weights {
    /// Reads the weights of a folder, in one file or in shards.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let files = files(folder)?;
        let path = match &files[..] {
            [] => {
                let [first, second] = FORMATS.map(|format| format.file);
                let problem = format!("neither `{first}` nor `{second}` here; is this a model folder?");
                return Err(Error::weights(folder, problem));
            }
            [file] => file.clone(),
            _ => folder.to_owned(),
        };
        let mut tensors = Tensors::new();
        for file in &files {
            tensors.extend(parsed(file, format_of(file).parse)?);
        }
        Ok(Self { path, files, tensors })
    }

    /// Tensors that were made, not read.
    pub fn from_tensors(path: PathBuf, tensors: impl Iterator<Item = NamedTensor>) -> Self {
        Self { path, files: Vec::new(), tensors: tensors.map(|t| (t.name, (t.shape, t.values))).collect() }
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
            .ok_or_else(|| self.missing(name))?;
        if found != shape {
            let problem = format!("tensor `{name}` has shape {found:?} where config.json asks for {shape:?}");
            return Err(Error::weights(&self.path, problem));
        }
        Ok(values)
    }

    /// Why there are no values of this name: it may lie in the files as integers, which are not read.
    fn missing(&self, name: &str) -> Error {
        let is_it = |found: &str| {
            found.strip_suffix(name).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        };
        let all = self.files.iter().filter_map(|file| parsed(file, format_of(file).dtypes).ok()).flatten();
        let problem = match all.into_iter().find(|(found, _)| is_it(found)) {
            Some((_, dtype)) => format!(
                "tensor `{name}` holds {dtype:?} numbers, but temper reads floats; take the weights as they were before \
                 they were quantised"
            ),
            None => format!("tensor `{name}` is missing"),
        };
        Error::weights(&self.path, problem)
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
fn shards(index: &Path) -> Result<BTreeSet<String>, Error> {
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

/// What the format of a weight file is called.
pub fn format_name(path: &Path) -> &'static str {
    format_of(path).name
}

/// The format of a file that holds weights; shards end as the one file does.
fn format_of(path: &Path) -> &'static Format {
    let [safetensors, torch] = &FORMATS;
    if path.extension() == Path::new(torch.file).extension() { torch } else { safetensors }
}

fn parsed<T>(path: &Path, parse: fn(&[u8]) -> Result<T, Problem>) -> Result<T, Error> {
    with_mapped(path, parse).map_err(Error::read(path))?.map_err(|problem| Error::weights(path, problem))
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
    fn torch_files_are_read_whole_or_in_shards_where_there_are_no_safetensors() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let names =
            || Weights::read(folder.path()).unwrap().rest().map(|tensor| tensor.name).collect::<Vec<_>>();
        let missing = Weights::read(folder.path()).unwrap_err().to_string();
        assert!(missing.contains("neither `model.safetensors` nor `pytorch_model.bin` here"), "{missing}");
        let torch = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/torch/");
        let [shards @ .., whole] = ["state_dict", "nested", "precisions"]
            .map(|name| std::fs::read(format!("{torch}{name}.bin")).unwrap());
        write("pytorch_model-00001-of-00002.bin", &shards[0]);
        write("pytorch_model-00002-of-00002.bin", &shards[1]);
        let map = r#"{"weight_map": {"weight": "pytorch_model-00001-of-00002.bin",
            "bias": "pytorch_model-00001-of-00002.bin", "a": "pytorch_model-00002-of-00002.bin"}}"#;
        write("pytorch_model.bin.index.json", map.as_bytes());
        assert_eq!(names(), ["a", "bias", "weight"]);
        write("pytorch_model.bin", &whole);
        assert_eq!(names(), ["bfloat16", "float16", "float32", "float64"]);
        let precision = precision(&folder.path().join("pytorch_model.bin"));
        assert_eq!(precision, Some(temper_vectors::Precision::F16), "the first in the file");
        write("model.safetensors", &serialize(&[tensor("first", &[1.0])], Precision::F32).unwrap());
        assert_eq!(names(), ["first"]);
    }

    #[test]
    fn shards_outside_the_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join("model.safetensors.index.json");
        std::fs::write(&index, r#"{"weight_map": {"a": "../secret.safetensors"}}"#).unwrap();
        assert!(Weights::read(folder.path()).unwrap_err().to_string().contains("leaves the model folder"));
    }
}
