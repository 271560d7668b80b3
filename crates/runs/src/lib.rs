//! What a run folder holds: its layout, checkpoints that are whole or absent, the event stream and the TensorBoard log.
//!
//! Everything here is plain files and structs, so a live, a finished and a copied run are read alike.

mod append;
mod atomic;
mod checkpoints;
mod error;
mod event;
mod exclusions;
mod folder;
mod log;
mod lookup;
mod manifest;
mod naming;
mod number;
mod reference;
mod sealed;
mod similarities;
mod sink;
mod tail;
mod tensorboard;

pub use atomic::write_atomic;
pub use checkpoints::CheckpointIndex;
pub use error::Error;
pub use event::{Event, Outcome, Stamped};
pub use exclusions::{ExcludedPair, Exclusions};
pub use folder::RunFolder;
pub use log::{EventLog, read_events};
pub use manifest::{Base, DataFile, RunManifest};
pub use naming::{default_root, rfc3339};
pub use reference::{Which, parse_reference};
pub use sealed::{SealedWriter, clean_partials, remove, verify};
pub use similarities::{Confuser, Histogram, WorstQuery};
pub use sink::Sink;
pub use tail::{News, Tail};
pub use tensorboard::TensorBoard;
