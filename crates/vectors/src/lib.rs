//! Embeddings as data: how close two of them are, where they came from, and the files they travel in.
//!
//! No tensors and no model here: everything is a row-major `f32` matrix with a stated origin.

mod embeddings;
mod error;
mod files;
mod provenance;
mod similarity;

pub use embeddings::Embeddings;
pub use error::Error;
pub use files::{Format, VectorWriter, read, read_provenance};
pub use provenance::{Precision, Provenance, check_compatible};
pub use similarity::{Prepared, Similarity};

/// What the fallible functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;
