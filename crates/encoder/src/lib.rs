//! Text in, vectors out: the model contract, architectures, tokenizing, pooling, reading and writing folders.

pub mod architecture;
pub mod chunking;
pub mod contract;
pub mod dropout;
pub mod encoder;
mod error;
pub mod fingerprint;
pub mod fresh;
pub mod hub;
pub mod network;
pub mod packed;
pub mod parameters;
pub mod pass;
pub mod presets;
pub mod read;
pub mod reference;
mod roberta_tokenizer;
pub mod taps;
pub mod tokenizing;
pub mod weights;
pub mod write;

pub use architecture::{BertConfig, Transformer, TransformerConfig};
pub use chunking::{Chunked, Chunker};
pub use contract::Contract;
pub use dropout::DropoutSites;
pub use encoder::Encoder;
pub use error::Error;
pub use network::Network;
pub use packed::PackedBatch;
pub use pass::Pass;
pub use read::{Loaded, Origin, Origins, ReadOptions, read};
pub use taps::Taps;
pub use temper_kernels::LinearPrecision;
pub use tokenizing::Tokenizer;
pub use weights::Precision;
