//! Embeddings as data: how close two of them are, the closest of many, pairs and groups
//! of close ones, smaller numbers for them, where they came from, the files they travel in,
//! and the store of those computed before.
//!
//! No tensors and no model here: everything is a row-major `f32` matrix with a stated origin.

mod communities;
mod embeddings;
mod error;
mod files;
mod paraphrases;
mod provenance;
pub mod quantize;
mod search;
mod similarity;
mod standing;
pub mod store;

pub use communities::communities;
pub use embeddings::Embeddings;
pub use error::Error;
pub use files::{Format, Piece, VectorWriter, read, read_provenance};
pub use paraphrases::{Pair, PairLimits, closest_pairs};
pub use provenance::{Precision, Provenance, check_compatible};
pub use search::{Hit, top_k};
pub use similarity::{Prepared, Similarity};
pub use standing::{Above, Standing, standings};
pub use store::Store;

/// What the fallible functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;
