//! `temper runs prune`: what of the runs can go, a question, and taking it away.

use std::io::{IsTerminal as _, stdin};
use std::path::PathBuf;

use indicatif::DecimalBytes;
use serde_json::json;
use temper_runs::{Listed, Prunable, Prune, RunFolder, bases_in_use, prunable, prune};

use super::Root;
use crate::failure::BadInput;
use crate::table::table;
use crate::terminal::{Terminal, insist};

/// Free disk space: checkpoints of finished runs that are neither best nor last, half-written leftovers
///
/// Shows what would go, with sizes, then asks. RUN, RUN@best and RUN@last stay what they are, for export, eval and every
/// other command; so do checkpoints that another run began from. Running runs are never touched; interrupted and
/// died ones lose only what was half-written.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper runs prune
  temper runs prune runs/shop --optimizer-state
  temper runs prune --yes
  temper runs prune --json | jq '[.[].bytes] | add'")]
pub struct Args {
    /// The runs; all of them when none is named
    #[arg(value_name = "RUN")]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    root: Root,
    /// Also the optimizer state of finished runs: two thirds of a checkpoint, but they can never be resumed or extended
    #[arg(long)]
    optimizer_state: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Print what would go (with --yes: what went) as JSON; without --yes nothing is removed
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    let runs = args.root.find_all(&args.runs, terminal)?;
    let what = Prune { optimizer_state: args.optimizer_state, keep: bases_in_use(&known(args, &runs)?) };
    let mut found = Vec::new();
    for run in runs {
        let prunable = prunable(&run, &what)?;
        if !prunable.is_empty() {
            found.push((run, prunable));
        }
    }
    if args.json {
        let gone = if args.yes { remove(found, &what, terminal)? } else { found };
        return terminal.print_json(&gone.iter().flat_map(as_json).collect::<Vec<_>>());
    }
    if found.is_empty() {
        terminal.note("nothing to prune");
        return Ok(());
    }
    show(&found, terminal)?;
    if !args.yes && !agreed()? {
        terminal.note("nothing was removed");
        return Ok(());
    }
    let freed = bytes(&remove(found, &what, terminal)?);
    terminal.print(format!("freed {}", DecimalBytes(freed)))
}

type Found = Vec<(RunFolder, Vec<Prunable>)>;

/// Every run there is: any of them may have begun from a checkpoint.
fn known(args: &Args, runs: &[RunFolder]) -> anyhow::Result<Vec<RunFolder>> {
    let listed = temper_runs::list(&args.root.path())?.runs.into_iter();
    let whole = listed.filter_map(|listed| match listed {
        Listed::Whole(summary) => RunFolder::open(&summary.path).ok(),
        Listed::Broken { .. } => None,
    });
    Ok(whole.chain(runs.iter().cloned()).collect())
}

fn show(found: &Found, terminal: &Terminal) -> anyhow::Result<()> {
    let all = || found.iter().flat_map(|(_, prunable)| prunable);
    let rows = all().map(|one| {
        let what = match one {
            Prunable::Checkpoint { .. } => "checkpoint",
            Prunable::OptimizerState { .. } => "optimizer state",
            Prunable::Leftover { .. } => "half-written",
        };
        vec![one.path().display().to_string(), what.to_owned(), DecimalBytes(one.bytes()).to_string()]
    });
    terminal.print(table(["PATH", "WHAT", "SIZE"].map(str::to_owned).to_vec(), rows, 2))?;
    let runs = if found.len() == 1 { "1 run".to_owned() } else { format!("{} runs", found.len()) };
    terminal.print(format!("{} in {runs}", DecimalBytes(bytes(found))))?;
    if all().any(|one| matches!(one, Prunable::Checkpoint { .. })) {
        insist(
            "Without these checkpoints, RUN@STEP of their steps names nothing, and no resume goes back to them.",
        );
    }
    if all().any(|one| matches!(one, Prunable::OptimizerState { .. })) {
        insist(
            "Without optimizer state these runs can NEVER be resumed or extended; eval, embed and export go on working.",
        );
    }
    Ok(())
}

/// Asks a person; a script must say `--yes`.
fn agreed() -> anyhow::Result<bool> {
    if !stdin().is_terminal() {
        let problem = "nobody is there to ask: stdin is not a terminal";
        return Err(BadInput::new(problem).hint("`--yes` removes what is listed without asking").into());
    }
    insist("Remove all of it? [y/N]");
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// What was removed; a run that changed since it was shown is left alone.
fn remove(found: Found, what: &Prune, terminal: &Terminal) -> anyhow::Result<Found> {
    let mut gone = Vec::new();
    for (run, told) in found {
        if prune(&run, what, &told)? {
            gone.push((run, told));
        } else {
            terminal.warn(format!("`{}` changed meanwhile and is left alone", run.path().display()));
        }
    }
    Ok(gone)
}

fn bytes(found: &Found) -> u64 {
    found.iter().flat_map(|(_, prunable)| prunable).map(Prunable::bytes).sum()
}

fn as_json((run, prunable): &(RunFolder, Vec<Prunable>)) -> Vec<serde_json::Value> {
    let with_run = |one: &Prunable| {
        let mut value = json!(one);
        value["run"] = json!(run.path());
        value
    };
    prunable.iter().map(with_run).collect()
}
