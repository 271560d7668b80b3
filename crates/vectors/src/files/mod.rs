//! Files of vectors: the four formats, which one a name asks for, and reading any of them.

mod floats;
mod jsonl;
mod npy;
#[cfg(feature = "parquet")]
mod parquet;
mod safetensors;
mod writer;

use std::path::Path;

use crate::{Embeddings, Error, Provenance, Result};

pub use writer::{Piece, VectorWriter};

/// A file format for vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// NumPy's array file; the origin lies beside it in `NAME.npy.json`.
    Npy,
    /// One tensor named `embeddings`; the origin is in the header.
    Safetensors,
    /// One object per line, `{"text": .., "embedding": [..]}`; no origin.
    Jsonl,
    /// Columns `text` and `embedding`; the origin is in the footer.
    Parquet,
}

impl Format {
    /// Whether it says what each vector is of.
    pub fn keeps_texts(self) -> bool {
        matches!(self, Self::Jsonl | Self::Parquet)
    }

    /// The format that a file name asks for.
    pub fn from_extension(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "npy" => Ok(Self::Npy),
            "safetensors" => Ok(Self::Safetensors),
            "jsonl" | "ndjson" => Ok(Self::Jsonl),
            "parquet" => Ok(Self::Parquet),
            _ => Err(Error::UnknownExtension { path: path.to_owned() }),
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Npy => "npy",
            Self::Safetensors => "safetensors",
            Self::Jsonl => "JSONL",
            Self::Parquet => "Parquet",
        })
    }
}

/// Reads a whole file of vectors, in the format that its extension names, and their origin if it is told.
pub fn read(path: &Path) -> Result<(Embeddings, Option<Provenance>)> {
    match Format::from_extension(path)? {
        Format::Npy => Ok((npy::read(path)?, npy::read_provenance(path)?)),
        Format::Safetensors => safetensors::read(path),
        Format::Jsonl => Ok((jsonl::read(path)?, None)),
        #[cfg(feature = "parquet")]
        Format::Parquet => parquet::read(path),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => Err(Error::ParquetNotBuilt { path: path.to_owned() }),
    }
}

/// Reads only the origin of a file's vectors.
pub fn read_provenance(path: &Path) -> Result<Option<Provenance>> {
    match Format::from_extension(path)? {
        Format::Npy => npy::read_provenance(path),
        Format::Safetensors => safetensors::read_provenance(path),
        Format::Jsonl => Ok(None),
        #[cfg(feature = "parquet")]
        Format::Parquet => parquet::read_provenance(path),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => Err(Error::ParquetNotBuilt { path: path.to_owned() }),
    }
}

fn parse_provenance(path: &Path, format: Format, json: Option<&str>) -> Result<Option<Provenance>> {
    json.map(serde_json::from_str).transpose().map_err(|error| Error::Malformed {
        path: path.to_owned(),
        format,
        reason: format!("its provenance does not parse: {error}"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_extension_decides_and_an_unknown_one_names_the_four() {
        assert_eq!(Format::from_extension(Path::new("a/b.NPY")).unwrap(), Format::Npy);
        let message = Format::from_extension(Path::new("b.txt")).unwrap_err().to_string();
        for extension in [".npy", ".safetensors", ".jsonl", ".parquet"] {
            assert!(message.contains(extension), "{message}");
        }
    }
}
