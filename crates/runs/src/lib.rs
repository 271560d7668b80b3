//! What a run folder holds: its layout, checkpoints that are whole or absent, the event stream and the TensorBoard log.
//!
//! Everything here is plain files and structs, so a live, a finished and a copied run are read alike.

mod append;
mod atomic;
mod checkpoints;
mod comparison;
mod error;
mod event;
mod event_file;
mod exclusions;
mod flat;
mod folder;
mod heartbeat;
mod listing;
mod log;
mod lookup;
#[cfg(test)]
mod made_up;
mod manifest;
mod naming;
mod number;
mod pruning;
mod record;
mod reference;
mod sealed;
mod similarities;
mod sink;
mod summaries;
mod summary;
mod tail;
mod tensorboard;

pub use atomic::{AtomicFile, write_atomic};
pub use checkpoints::CheckpointIndex;
pub use comparison::{Compared, ComparedScore, Comparison, compare};
pub use error::Error;
pub use event::{Event, Outcome, Stamped};
pub use exclusions::{ExcludedPair, Exclusions};
pub use flat::{FlatError, write_json, write_steps, write_summaries};
pub use folder::RunFolder;
pub use heartbeat::{Claim, Pulse};
pub use listing::{Listed, Listing, find, list};
pub use log::{EventLog, read_events};
pub use manifest::{Base, DataFile, RunManifest};
pub use naming::{default_root, local_minute, rfc3339};
pub use pruning::{OPTIMIZER_STATE, Prunable, Prune, bases_in_use, prunable, prune};
pub use record::{Kept, Row, RunRecord, Scores};
pub use reference::{Which, parse_reference};
pub use sealed::{SealedWriter, clean_partials, remove, same_files, verify};
pub use similarities::{Confuser, Histogram, WorstQuery};
pub use sink::Sink;
pub use summary::{RunSummary, Status};
pub use tail::{News, Tail};
pub use tensorboard::TensorBoard;
