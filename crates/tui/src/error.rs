//! What can go wrong around the dashboard.

use std::io;

/// Drawing itself fails only with the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The terminal does not take what a dashboard needs.
    #[error("the terminal cannot show the dashboard")]
    Terminal(#[source] io::Error),
    /// The run's files cannot be read.
    #[error(transparent)]
    Run(#[from] temper_runs::Error),
}
