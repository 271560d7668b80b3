//! What can go wrong between a model folder and a vector.

use std::path::{Path, PathBuf};

/// Every error names the file and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A JSON file has a syntax error or a field of the wrong type.
    #[error("`{path}` is not the JSON that was expected")]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// A model folder says something that temper cannot honour.
    #[error("`{path}`: {problem}")]
    Model {
        /// The file or folder.
        path: PathBuf,
        /// Field, value, what was expected, what to do.
        problem: String,
    },
    /// A weight file is damaged or disagrees with the config.
    #[error("`{path}`: {problem}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// Tensor, what was expected, what to do.
        problem: String,
    },
    /// The tokenizer could not be read, trained or applied.
    #[error("tokenizer of `{path}`: {problem}")]
    Tokenizer {
        /// The file or folder it came from.
        path: PathBuf,
        /// What the tokenizers library said.
        problem: String,
    },
    /// A MODEL argument names nothing that can be opened.
    #[error("{0}")]
    Reference(String),
    /// A MODEL argument is no path, and the hub did not give it either.
    #[error("no folder and no run `{reference}` is here, and as a hub id it cannot be had")]
    Hub {
        /// As given.
        reference: String,
        /// Why the hub did not.
        source: crate::hub::Error,
    },
    /// A prompt name that the model does not have.
    #[error("the model has no prompt named `{name}`; it has: {known}")]
    UnknownPrompt {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Texts cannot be cut as asked.
    #[error("{0}")]
    Chunking(String),
    /// A run folder was named as the model but cannot be used.
    #[error(transparent)]
    Run(#[from] temper_runs::Error),
}

impl Error {
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    pub(crate) fn model(path: &Path, problem: impl Into<String>) -> Self {
        Self::Model { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn weights(path: &Path, problem: impl Into<String>) -> Self {
        Self::Weights { path: path.to_owned(), problem: problem.into() }
    }
}
