//! What can go wrong with a run folder, each naming the path and what to do.

use std::io;
use std::path::{Path, PathBuf};

/// A failure to read or write what a run folder holds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("failed to {action} `{path}`")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A JSON file does not hold what it should.
    #[error("failed to read `{path}`")]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, the field and what was expected.
        source: serde_json::Error,
    },
    /// A run's config is no TOML.
    #[error("failed to read `{path}`")]
    Toml {
        /// The file.
        path: PathBuf,
        /// The line and what was expected.
        source: toml::de::Error,
    },
    /// One line of an event stream cannot be read.
    #[error("`{path}` line {line} is not an event of this version of temper")]
    EventLine {
        /// The events file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The field and what was expected.
        source: serde_json::Error,
    },
    /// One line of an exclusion file is no pair.
    #[error("`{path}` line {line} is not `{{\"query\": ..., \"positive\": ...}}`: mend or delete it")]
    ExclusionLine {
        /// The exclusion file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The field and what was expected.
        source: serde_json::Error,
    },
    /// The folder has no run manifest.
    #[error("`{path}` is not a run folder: it has no manifest.json")]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is taken.
    #[error("`{path}` exists already and is not empty: choose another name, or resume it")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The run's name cannot be a folder's name.
    #[error("`{name}` cannot name a run: use letters, digits, `-`, `_` and `.`, not starting with a dot")]
    BadName {
        /// The name given.
        name: String,
    },
    /// Another process writes to this run.
    #[error("another temper process is training in `{path}`: wait for it or stop it first")]
    Locked {
        /// The run folder.
        path: PathBuf,
    },
    /// The checkpoint asked for is not there.
    #[error("`{run}` has no {wanted} checkpoint: {there}")]
    NoCheckpoint {
        /// The run folder.
        run: PathBuf,
        /// Which one was asked for.
        wanted: String,
        /// The references that would work.
        there: String,
    },
    /// The folder was never completed by its manifest.
    #[error("`{path}` is not a complete checkpoint: it has no manifest.json; {remedy}")]
    NotSealed {
        /// The folder.
        path: PathBuf,
        /// What to do instead.
        remedy: String,
    },
    /// A file differs from what the manifest says.
    #[error("checkpoint `{path}`: {file} {problem}: it was cut off or changed; {remedy}")]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// The file inside it.
        file: String,
        /// How it differs.
        problem: String,
        /// What to do instead.
        remedy: String,
    },
}

impl Error {
    /// Wraps an I/O error with what was tried on which path: `.map_err(Error::io("create", path))`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// The same error with `remedy` in place of the general advice.
    pub(crate) fn with_remedy(self, remedy: String) -> Self {
        match self {
            Self::NotSealed { path, .. } => Self::NotSealed { path, remedy },
            Self::Damaged { path, file, problem, .. } => Self::Damaged { path, file, problem, remedy },
            other => other,
        }
    }
}
