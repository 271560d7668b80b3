//! `temper runs compare`: runs side by side.

use std::path::PathBuf;

use serde_json::json;
use temper_runs::{Compared, ComparedScore, RunRecord, compare};

use super::{Root, duration, steps};
use crate::table::table;
use crate::terminal::Terminal;

/// As much of a hash as people compare.
const SHOWN_HASH: usize = 12;

/// Compare runs: what differs in config, data and base, and the scores side by side
///
/// Scores are those of each run's best checkpoint, with the baseline before the arrow; the highest of a line is marked
/// with `*`. Config keys are shown where they differ.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper runs compare runs/a runs/b
  temper runs compare shop-20261122-101500 shop-20261122-143000 --json | jq .config")]
pub struct Args {
    /// The runs
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    root: Root,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    let runs = args.runs.iter().map(|name| args.root.find(name)).collect::<Result<Vec<_>, _>>()?;
    let records = runs.iter().map(RunRecord::read).collect::<Result<Vec<_>, _>>()?;
    let comparison = compare(&records);
    if args.json {
        let mut value = json!(comparison);
        value["summaries"] = json!(records.iter().map(|record| &record.summary).collect::<Vec<_>>());
        return terminal.print_json(&value);
    }
    let of = |name: &str, value: &dyn Fn(&RunRecord) -> String| {
        [name.to_owned()].into_iter().chain(records.iter().map(value)).collect::<Vec<_>>()
    };
    let mut rows = vec![
        of("status", &|record| record.summary.status.name().to_owned()),
        of("steps", &|record| steps(&record.summary)),
        of("time", &|record| duration(record.summary.elapsed_seconds)),
    ];
    rows.extend(comparison.origin.iter().map(compared));
    rows.extend(comparison.data.iter().map(compared));
    rows.extend(comparison.config.iter().map(compared));
    rows.extend(comparison.scores.iter().map(scored));
    let header = [String::new()].into_iter().chain(comparison.runs.iter().cloned()).collect();
    terminal.print(table(header, rows.into_iter(), 1))?;
    if comparison.config.is_empty() {
        terminal.print("the configs are the same")?;
    }
    Ok(())
}

/// A row, with a mark where the runs do not agree.
fn compared(compared: &Compared<String>) -> Vec<String> {
    let mark = if compared.differs() { " (differs)" } else { "" };
    let value = |value: &Option<String>| value.as_deref().map_or("-", short).to_owned();
    [format!("{}{mark}", compared.name)].into_iter().chain(compared.values.iter().map(value)).collect()
}

fn scored(compared: &ComparedScore) -> Vec<String> {
    let mut row = vec![compared.score.name.clone()];
    for (place, value) in compared.score.values.iter().enumerate() {
        let baseline = compared.baselines[place].map(|before| format!("{before:.4} -> ")).unwrap_or_default();
        let mark = if compared.best.contains(&place) { "*" } else { " " };
        row.push(value.map_or_else(|| "- ".to_owned(), |value| format!("{baseline}{value:.4}{mark}")));
    }
    row
}

/// A hash by its first digits; anything else as it is.
fn short(value: &str) -> &str {
    let is_hash = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { &value[..SHOWN_HASH] } else { value }
}
