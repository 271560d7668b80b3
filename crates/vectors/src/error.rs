//! Everything that can go wrong with vectors and their files, told with the place and the remedy.

use std::path::PathBuf;

use crate::Format;

/// Why a vector file could not be read, written or combined with another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The operating system refused a write.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file name does not say which of the four formats is meant.
    #[error(
        "`{}` does not name a vector format: use the extension .npy, .safetensors, .jsonl or .parquet",
        path.display()
    )]
    UnknownExtension {
        /// The file.
        path: PathBuf,
    },
    /// The format needs its header patched at the end, which a pipe does not allow.
    #[error("{format} needs a file that can be rewound: write to a file, or use JSONL for a pipe")]
    NeedsFile {
        /// The format asked for.
        format: Format,
    },
    /// The content is not what the format promises.
    #[error("`{}` is not a readable {format} file of vectors: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The format its name promises.
        format: Format,
        /// What is wrong, with line or field.
        reason: String,
    },
    /// The binary was built without Parquet.
    #[error("`{}`: this build has no Parquet support; use .npy, .safetensors or .jsonl", path.display())]
    ParquetNotBuilt {
        /// The file.
        path: PathBuf,
    },
    /// A number of values that does not make whole rows.
    #[error("{what}: {found} where {expected} were expected")]
    Shape {
        /// What was counted.
        what: &'static str,
        /// The count that fits.
        expected: usize,
        /// The count that came.
        found: usize,
    },
    /// JSON has no NaN and no infinity.
    #[error(
        "the vector of row {row} holds NaN or infinity, which JSONL cannot store: use .npy or .safetensors"
    )]
    NotFinite {
        /// Counted from 0.
        row: usize,
    },
    /// Two sets of vectors that must not be compared.
    #[error("vectors of `{left}` and `{right}` do not go together: {reason}; --allow-mixed overrides")]
    Incompatible {
        /// The first model.
        left: String,
        /// The second model.
        right: String,
        /// What differs.
        reason: String,
    },
}
