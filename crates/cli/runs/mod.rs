//! `temper runs`: the runs of a folder, and what can be done with finished ones.

mod compare;
mod export;
mod prune;
mod show;

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::FormattedDuration;
use serde_json::{Value, json};
use temper_runs::{Listed, RunFolder, RunSummary, default_root, local_minute};

use crate::failure::BadInput;
use crate::table::table;
use crate::terminal::Terminal;

/// List runs: how they stand, how good they are; show, compare, export and prune them
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  temper runs
  temper runs --json | jq '.[] | select(.status == \"died\") | .path'
  temper runs show shop-20261122-101500
  temper runs compare runs/a runs/b
  temper runs export --format csv -o steps.csv
  temper runs prune

Status: running (a process holds the run; on another machine that shares the disk: gave a sign of life in the last
minute), completed, early-stopped, interrupted (by a signal), failed (by an error), died (killed), broken (cannot be
read). Interrupted and died ones go on with `temper train --resume RUN`.
RUN is a run's folder, or its name in the folder of runs."
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    root: Root,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    Show(show::Args),
    Compare(compare::Args),
    Prune(prune::Args),
    Export(export::Args),
}

/// Where runs are looked for.
#[derive(clap::Args)]
struct Root {
    /// The folder of runs, in place of `$TEMPER_RUNS` or `./runs`
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    match args.command {
        None => list(&args.root, args.json, terminal),
        Some(Command::Show(args)) => show::run(&args, terminal),
        Some(Command::Compare(args)) => compare::run(&args, terminal),
        Some(Command::Prune(args)) => prune::run(&args, terminal),
        Some(Command::Export(args)) => export::run(&args, terminal),
    }
}

impl Root {
    fn path(&self) -> PathBuf {
        default_root(self.root.as_deref())
    }

    fn find(&self, name: &Path) -> anyhow::Result<RunFolder> {
        find(name, &self.path())
    }

    /// The named runs, or every one that can be read; of the others a warning tells.
    fn find_all(&self, names: &[PathBuf], terminal: &Terminal) -> anyhow::Result<Vec<RunFolder>> {
        if !names.is_empty() {
            return names.iter().map(|name| self.find(name)).collect();
        }
        let mut found = Vec::new();
        for listed in temper_runs::list(&self.path())?.runs {
            match listed {
                Listed::Whole(summary) => found.push(RunFolder::open(&summary.path)?),
                Listed::Broken { reason, .. } => terminal.warn(format!("left out: {reason}")),
            }
        }
        Ok(found)
    }
}

/// The run that `name` means: a folder, or one in the folder of runs.
pub fn find(name: &Path, root: &Path) -> anyhow::Result<RunFolder> {
    temper_runs::find(name, root).map_err(|_| {
        let problem = format!("RUN `{}` is no run, neither here nor in `{}`", name.display(), root.display());
        BadInput::new(problem).hint("`temper runs` lists them; a run's folder has a manifest.json").into()
    })
}

fn list(root: &Root, as_json: bool, terminal: &Terminal) -> anyhow::Result<()> {
    let root = root.path();
    let listing = temper_runs::list(&root)?;
    for other in &listing.others {
        terminal.note(format!("not a run: {}", other.display()));
    }
    if as_json {
        return terminal.print_json(&listing.runs.iter().map(json_of).collect::<Vec<_>>());
    }
    if listing.runs.is_empty() {
        terminal.note(format!("no runs in `{}`; `temper train CONFIG` makes one", root.display()));
        return Ok(());
    }
    let header = ["RUN", "STATUS", "METRIC", "BASELINE", "BEST", "AT", "STEPS", "TIME", "STARTED"];
    let rows = listing.runs.iter().map(row);
    terminal.print(table(header.map(str::to_owned).to_vec(), rows, 3))?;
    for listed in &listing.runs {
        if let Listed::Broken { path, reason } = listed {
            terminal.print(format!("broken    {}: {reason}", path.display()))?;
        }
    }
    Ok(())
}

fn json_of(listed: &Listed) -> Value {
    match listed {
        Listed::Whole(summary) => json!(summary),
        Listed::Broken { path, reason } => {
            let run = path.file_name().unwrap_or_default().to_string_lossy();
            json!({ "run": run, "path": path, "status": "broken", "reason": reason })
        }
    }
}

fn row(listed: &Listed) -> Vec<String> {
    let mut cells = match listed {
        Listed::Whole(summary) => vec![
            summary.run.clone(),
            summary.status.name().to_owned(),
            summary.metric.clone().unwrap_or_default(),
            score(summary.baseline),
            score(summary.best),
            summary.best_step.map(|step| step.to_string()).unwrap_or_default(),
            steps(summary),
            duration(summary.elapsed_seconds),
            local_minute(&summary.created),
        ],
        Listed::Broken { path, .. } => {
            vec![path.file_name().unwrap_or_default().to_string_lossy().into_owned(), "broken".to_owned()]
        }
    };
    cells.resize(9, String::new());
    cells
}

/// Empty where there is none.
fn score(value: Option<f64>) -> String {
    value.map(|value| format!("{value:.4}")).unwrap_or_default()
}

fn steps(summary: &RunSummary) -> String {
    match summary.total_steps {
        Some(total) => format!("{}/{total}", summary.step),
        None => summary.step.to_string(),
    }
}

fn duration(seconds: f64) -> String {
    // A number that a file tells may be anything.
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    FormattedDuration(Duration::from_secs(seconds)).to_string()
}
