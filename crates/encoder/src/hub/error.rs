//! What can go wrong between the hub and the cache.

use std::path::PathBuf;

use super::{HubId, Token};

/// Every error says what was asked for; [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that no hub would take.
    #[error("`{0}` is not a hub id: expected `org/name` or `org/name@revision`")]
    BadId(String),
    /// There is no such model, or it is not to be seen.
    #[error("{endpoint} has no model `{id}` that can be seen {}{}", seen(.token.as_ref()), neighbours(.near))]
    NotFound {
        /// The model.
        id: HubId,
        /// The hub.
        endpoint: String,
        /// Who asked.
        token: Option<Token>,
        /// Models with similar names.
        near: Vec<String>,
    },
    /// The model has no such branch, tag or commit.
    #[error("`{}` has no revision `{}`", .0.name, .0.revision())]
    NoRevision(HubId),
    /// The hub wants another token, or one at all.
    #[error("{problem}")]
    Denied {
        /// What was denied.
        problem: String,
        /// Which token is missing.
        hint: String,
    },
    /// The repository holds no model that temper reads.
    #[error("`{id}` {problem}")]
    Unusable {
        /// The model.
        id: HubId,
        /// What is wrong with it.
        problem: String,
    },
    /// The network is not to be used, and the cache does not have it.
    #[error("`{id}` is not wholly in the cache, and HF_HUB_OFFLINE forbids to fetch it; {cached}")]
    Offline {
        /// The model.
        id: HubId,
        /// What is in the cache.
        cached: String,
    },
    /// The hub could not be reached.
    #[error("cannot reach {endpoint}: {problem}; {cached}")]
    Network {
        /// The hub.
        endpoint: String,
        /// What the connection said.
        problem: String,
        /// What is in the cache.
        cached: String,
    },
    /// The hub does not do what was asked, for a reason of its own.
    #[error("{url}: status {status}{}{}", if .message.is_empty() { "" } else { ": " }, .message)]
    Refused {
        /// What was asked for.
        url: String,
        /// Its answer.
        status: u16,
        /// Its reason.
        message: String,
    },
    /// The hub's answer is not what a hub answers.
    #[error("{url}: {problem}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The connection was lost too often.
    #[error("{file}: only {done} of {total} bytes came: {problem}")]
    Cut {
        /// The file.
        file: String,
        /// Bytes that came.
        done: u64,
        /// Bytes it has.
        total: u64,
        /// What the connection said last.
        problem: String,
    },
    /// What came is not what the hub lists.
    #[error("{file}: what came has the hash {found}, where the hub lists {expected}; nothing of it is kept")]
    Damaged {
        /// The file.
        file: String,
        /// The listed hash.
        expected: String,
        /// The hash of what came.
        found: String,
    },
    /// A file of the cache, or one to push, could not be read or written.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the network or the machine failed, rather than what was asked for being wrong.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Network { .. }
            | Self::Answer { .. }
            | Self::Cut { .. }
            | Self::Damaged { .. }
            | Self::Io { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::BadId(_)
            | Self::NotFound { .. }
            | Self::NoRevision(_)
            | Self::Denied { .. }
            | Self::Unusable { .. }
            | Self::Offline { .. } => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Denied { hint, .. } => hint,
            Self::NotFound { token: None, .. } => {
                "a private model needs a token that may read it, in HF_TOKEN"
            }
            Self::Offline { .. } => {
                "fetch it once where there is a network: `temper pull ID`, then copy the cache"
            }
            Self::Network { .. } => "HF_ENDPOINT names another hub, HF_HUB_CACHE another cache",
            Self::Cut { .. } => "what came is kept: the same command goes on from there",
            Self::Refused { status: 429, .. } => "wait a while; a token in HF_TOKEN has a limit of its own",
            Self::Refused { status, .. } if *status >= 500 => "the hub has trouble; try again later",
            Self::Damaged { .. } => "try again; a proxy or mirror in between may alter files",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

fn seen(token: Option<&Token>) -> String {
    token.map_or("without a token".to_owned(), |token| format!("with the {token:?}"))
}

fn neighbours(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { String::new() } else { format!("; near it are {}", quoted.join(", ")) }
}
