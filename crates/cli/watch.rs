//! `temper watch`: the dashboard of a run from its files.

use std::path::PathBuf;

use temper_runs::default_root;
use temper_tui::Left;

use crate::display::check_terminal;
use crate::failure::Quit;
use crate::interrupt;
use crate::runs;
use crate::terminal::Terminal;

/// Show the dashboard of a run that is training, finished or copied, from its files alone
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper watch runs/pairs-20261122-101500              (attaches; q detaches, and the run goes on)
  temper watch runs/pairs-20261122-101500 --speed 60   (replays it, a minute in a second)

A run that is resumed is followed from there. `?` explains the keys.")]
pub struct Args {
    /// The run's folder
    run: PathBuf,
    /// Replay the run from its start, N times as fast as it was
    #[arg(long, value_name = "N", value_parser = positive)]
    speed: Option<f64>,
}

/// Shows the dashboard until it is left.
pub fn run(args: Args, _terminal: &Terminal) -> anyhow::Result<()> {
    let folder = runs::find(&args.run, &default_root(None))?;
    check_terminal("`events.jsonl` of the run holds the same, one event a line")?;
    interrupt::restore_on_signals()?;
    match temper_tui::watch(&folder, args.speed)? {
        Left::Interrupted => Err(Quit(130).into()),
        Left::Quit | Left::Closed => Ok(()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed > 0.0 && speed.is_finite() => Ok(speed),
        _ => Err("expected a number above 0".to_owned()),
    }
}
