//! Named scores for an encoder on labelled examples.
//!
//! The metrics are pure functions of embeddings and labels; [`Task`] reads the labels and asks the encoder. Names and
//! numbers are those of the evaluators of sentence-transformers 6.2, so that scores can be held against each other.

pub mod agreement;
pub mod classification;
mod error;
pub mod k_means;
pub mod labelled;
mod lbfgs;
pub mod mining;
pub mod paraphrases;
mod placement;
pub mod probe;
mod prompts;
mod ranks;
mod reading;
pub mod reranking;
pub mod retrieval;
pub mod sts;
mod task;
pub mod triplet;

use std::collections::BTreeMap;

use temper_vectors::Embeddings;

pub use error::Error;
pub use placement::Placement;
pub use prompts::Prompts;
pub use reading::{ReadTask, Reading};
pub use task::{Judgement, Task};

/// Scores by name, such as `cosine_ndcg@10`.
pub type Scores = BTreeMap<String, f64>;

/// What the fallible functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

/// Vectors that scores can be computed from: a NaN would otherwise rank somewhere and hide in a mean.
fn check(what: &'static str, vectors: &Embeddings, dim: usize) -> Result<()> {
    if vectors.dim != dim {
        return Err(Error::Dim { what, expected: dim, found: vectors.dim });
    }
    match vectors.values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(Error::NotFinite { what, row: at / dim.max(1) }),
        None => Ok(()),
    }
}

/// Two columns of a table must have one row per example.
fn check_count(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::Count { what, expected, found }) }
}
