//! What can go wrong in a training run.

use std::path::PathBuf;

/// Every error says what failed, where, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A config key or value is wrong.
    #[error("`{path}`{}: {problem}", .line.map(|l| format!(", line {l}")).unwrap_or_default())]
    Config {
        /// The config file.
        path: PathBuf,
        /// The line, where one is to blame.
        line: Option<usize>,
        /// Key, value, what was expected.
        problem: String,
        /// Our name for a key that people know otherwise.
        hint: Option<String>,
    },
    /// A `--set` could not be applied.
    #[error("--set {assignment}: {problem}")]
    Override {
        /// As given.
        assignment: String,
        /// What was expected.
        problem: String,
    },
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] temper_kernels::Unusable),
    /// Config and data do not fit together.
    #[error("{0}")]
    Plan(String),
    /// A checkpoint does not hold what is needed to go on.
    #[error("`{path}`: {problem}")]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Config or data are not those of the run that is resumed.
    #[error(
        "{what} changed since this run was started: {detail}; go on regardless with --allow-changed {what}"
    )]
    Changed {
        /// `config` or `data`.
        what: &'static str,
        /// What differs.
        detail: String,
    },
    /// A run cannot be repeated as it was.
    #[error(
        "{what} of `{run}` is not what it was: {}; repeat it with what is here now: --allow-changed {what}",
        .differences.join(", ")
    )]
    Differs {
        /// The run.
        run: PathBuf,
        /// `config`, `data` or `base`.
        what: &'static str,
        /// One line each.
        differences: Vec<String>,
    },
    /// Loss or gradient became infinite or NaN.
    #[error("the {what} of step {step} is {value}; {saved}\nexamples of that step: {examples}")]
    NotFinite {
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// The step.
        step: u64,
        /// NaN or infinity.
        value: f64,
        /// Which checkpoint has the last good state.
        saved: String,
        /// Files and lines of the batch.
        examples: String,
    },
    /// Reading data failed.
    #[error(transparent)]
    Data(#[from] temper_data::Error),
    /// The encoder failed.
    #[error(transparent)]
    Encoder(#[from] temper_encoder::Error),
    /// An evaluation failed.
    #[error(transparent)]
    Eval(#[from] temper_eval::Error),
    /// The run folder failed.
    #[error(transparent)]
    Run(#[from] temper_runs::Error),
}
