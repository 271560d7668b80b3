//! Where the parts of a contract were read.

use std::fmt;

use serde::{Serialize, Serializer};

/// What a part of the contract rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file of the model folder, by its path in it.
    File(String),
    /// Whoever asked for the model, in place of what the folder says.
    Caller,
    /// A preset, by its id.
    Preset(&'static str),
    /// The kind of model: with it this is always so.
    Kind,
    /// Nothing; what there is, is a guess.
    Nothing,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => formatter.write_str(path),
            Self::Caller => formatter.write_str("as asked for"),
            Self::Preset(id) => write!(formatter, "temper's preset of {id}"),
            Self::Kind => formatter.write_str("as every model of this kind"),
            Self::Nothing => formatter.write_str("nothing in the folder says"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Of the parts for which more than one place may speak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origins {
    /// Of how token vectors become one.
    pub pooling: Origin,
    /// Of the prompts.
    pub prompts: Origin,
    /// Of the longest input.
    pub max_seq_length: Origin,
}
