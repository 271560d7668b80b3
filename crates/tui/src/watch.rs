//! The dashboard of a run that somebody else trains, or nobody any more.

use temper_runs::{RunFolder, read_events};

use crate::board::Board;
use crate::dashboard::{Dashboard, Left};
use crate::error::Error;
use crate::source::{Followed, Replay, Source};

/// Shows the run from its files until it is left; with `speed`, from its start at that many times its pace.
pub fn watch(folder: &RunFolder, speed: Option<f64>) -> Result<Left, Error> {
    let source = match speed {
        Some(speed) => Source::Replay(Replay::new(read_events(&folder.events_path())?, speed)),
        None => Source::Files(Followed::new(folder)),
    };
    Dashboard::open(folder, Board::default(), source, None)?.run()
}
