//! Training: losses, optimizer, schedule, checkpoint, and the loop.

mod batches;
pub mod checkpoint;
pub mod config;
mod control;
mod error;
pub mod gradients;
mod judging;
mod learner;
pub mod losses;
pub mod memory;
pub mod optimizer;
pub mod parse;
mod plan;
mod prepare;
mod run;
pub mod schedule;
mod start;

pub use batches::{MicroBatch, StepOrder};
pub use config::Config;
pub use control::Control;
pub use error::Error;
pub use judging::{NamedTasks, prompts, read_judged};
pub use learner::Learner;
pub use plan::{Plan, plan};
pub use prepare::{Prepared, prepare};
pub use run::{Job, Report, run};
pub use start::{Allowed, create, resume};
