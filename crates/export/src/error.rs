//! Why an export was not made, or must not be used.

use std::path::{Path, PathBuf};

/// Every error names the file or the number at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be written or put in place.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the source could not be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The note about a folder's origin is damaged.
    #[error("`{}` is not the JSON that temper writes beside an export: remove it to go on without", path.display())]
    Origin {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// What was read back does not compute what was exported.
    #[error(
        "the export does not compute the same vectors: values differ by up to {difference:e} and the smallest cosine \
         is {cosine}, which rounding to {precision} does not explain; nothing was put in place"
    )]
    Differs {
        /// Largest difference of two values.
        difference: f32,
        /// Smallest cosine of two vectors of one text.
        cosine: f32,
        /// The number format of the export.
        precision: &'static str,
    },
    /// The encoder could not be written, read back or run.
    #[error(transparent)]
    Encoder(#[from] temper_encoder::Error),
    /// The run that the encoder came from could not be read.
    #[error(transparent)]
    Run(#[from] temper_runs::Error),
}

impl Error {
    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_owned(), source }
    }
}
