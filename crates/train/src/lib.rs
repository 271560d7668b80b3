//! Training: losses, optimizer, schedule, checkpoint, and the loop.

mod batches;
pub mod cached;
pub mod checkpoint;
pub mod config;
mod control;
mod details;
mod error;
pub mod gradients;
mod judging;
mod learner;
pub mod losses;
pub mod memory;
mod mining;
pub mod optimizer;
pub mod parse;
mod plan;
mod prepare;
mod rerun;
mod run;
pub mod schedule;
mod sets;
mod start;

pub use batches::{Chosen, MicroBatch, StepOrder};
pub use config::Config;
pub use control::Control;
pub use error::Error;
pub use judging::{NamedTasks, excluded_pairs, prompts, read_task};
pub use learner::{Learner, Part, Tower, Trained};
pub use mining::{MineConfig, Negatives};
pub use plan::{Plan, plan};
pub use prepare::{Prepared, TrainSet, prepare};
pub use rerun::{AllowedToDiffer, Repeat, rerun};
pub use run::{Job, Report, run};
pub use sets::{SetConfig, SetSampler};
pub use start::{Allowed, create, resume};
