//! `temper rerun`: a run once more from the beginning.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use temper_runs::{RunFolder, Which, default_root, same_files};
use temper_train::{AllowedToDiffer, Job, Repeat};

use crate::runs;
use crate::terminal::{Terminal, program, quoted};
use crate::train::{Ui, execute, print_result};

/// Repeat a run from its manifest and resolved config
///
/// Checks first that its config, data files and base are what they were. On the CPU the same version of temper gives the
/// same bytes on the same instruction set; at the end it says whether they are. Relative paths of the config count from
/// the working folder, as they did.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper rerun runs/shop
  temper rerun runs/shop --run runs/shop-again
  temper rerun runs/shop --set seed=7
  temper rerun runs/shop --allow-changed data")]
pub struct Args {
    /// The run: its folder, or its name in the folder of runs
    #[arg(value_name = "RUN")]
    source: PathBuf,
    /// Exact folder of the new run, in place of `<runs>/<name>-<time>`
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Override a config key, as in `--set seed=7`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Repeat it although these are not what they were
    #[arg(long, value_enum, value_delimiter = ',')]
    allow_changed: Vec<Changed>,
    /// What to show while training; when not given, tui on a terminal and plain elsewhere
    #[arg(long, value_enum)]
    ui: Option<Ui>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Changed {
    Config,
    Data,
    Base,
}

/// Trains, and prints what `train` prints, and whether the bytes are those of the run that was repeated.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let ui = Ui::fitting(args.ui, terminal)?;
    let source = runs::find(&args.source, &default_root(None))?;
    let allows = |what| args.allow_changed.contains(&what);
    let repeat = Repeat {
        run: source.path().to_owned(),
        path: args.run,
        overrides: args.overrides,
        allowed: AllowedToDiffer {
            config: allows(Changed::Config),
            data: allows(Changed::Data),
            base: allows(Changed::Base),
        },
    };
    let argv: Vec<String> = std::env::args().collect();
    let job = temper_train::rerun(&repeat, &argv)
        .with_context(|| format!("cannot repeat `{}`", source.path().display()))?;
    let report = execute(&job, ui, terminal)?;
    print_result(&job, &report, terminal)?;
    if repeat.overrides.is_empty() {
        terminal.print(format!("bytes     {}", bytes(&source, &job)))?;
    }
    let run = job.folder.path().display();
    terminal.print(format!(
        "compare   {} runs compare {} {}",
        program(),
        quoted(source.path().display()),
        quoted(run)
    ))
}

/// Whether the newest checkpoint that both runs have is the same.
fn bytes(source: &RunFolder, job: &Job) -> String {
    let common = |run: &RunFolder| run.index().map(|index| index.kept).unwrap_or_default();
    let (then, now) = (common(source), common(&job.folder));
    let Some(step) = then.into_iter().rev().find(|step| now.contains(step)) else {
        return "cannot be compared: the two have no checkpoint of the same step".to_owned();
    };
    let reference = source.reference(Which::Step(step));
    let paths = [source, &job.folder].map(|run| run.checkpoint(step));
    match same_files(&paths[0], &paths[1], "model/") {
        Ok(true) => format!("the model is the same as {reference}, byte for byte"),
        Ok(false) => format!("the model differs from {reference}"),
        Err(error) => format!("cannot be compared with {reference}: {error}"),
    }
}
