//! `temper runs show`: all that one run tells.

use std::path::PathBuf;

use indicatif::DecimalBytes;
use serde_json::json;
use temper_runs::{Event, Kept, RunRecord, Scores, local_minute};

use super::{Root, duration, score, steps};
use crate::table::table;
use crate::terminal::Terminal;

/// Warnings that are shown.
const SHOWN_WARNINGS: usize = 10;

/// Show one run: origin, data, scores, checkpoints, warnings
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper runs show shop-20261122-101500
  temper runs show runs/shop --json | jq .manifest.data")]
pub struct Args {
    /// The run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    #[command(flatten)]
    root: Root,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    let run = args.root.find(&args.run)?;
    let record = RunRecord::read(&run)?;
    let kept = run.kept()?;
    if record.unreadable > 0 {
        terminal.warn(format!("{} lines of events.jsonl cannot be read and are left out", record.unreadable));
    }
    if args.json {
        return terminal.print_json(&json!({
            "summary": record.summary,
            "manifest": record.manifest,
            "config": record.config,
            "scores": { "baseline": record.baseline(), "best": record.best(), "last": last(&record) },
            "checkpoints": kept,
            "warnings": warnings(&record),
            "message": end(&record),
        }));
    }
    let lines: Vec<String> =
        facts(&record).iter().map(|(name, value)| format!("{name:<12} {value}")).collect();
    terminal.print(lines.join("\n"))?;
    if record.baseline().or(last(&record)).is_some() {
        terminal.print(format!("\n{}", scores(&record)))?;
    }
    if !kept.is_empty() {
        terminal.print(format!("\n{}", checkpoints(&record, &kept)))?;
    }
    let warnings = warnings(&record);
    for (step, warning) in warnings.iter().take(SHOWN_WARNINGS) {
        terminal.print(format!("warning at step {step}: {warning}"))?;
    }
    match warnings.len().saturating_sub(SHOWN_WARNINGS) {
        0 => Ok(()),
        more => terminal.print(format!("and {more} more warnings in events.jsonl")),
    }
}

fn facts(record: &RunRecord) -> Vec<(&'static str, String)> {
    let (summary, manifest) = (&record.summary, &record.manifest);
    let alive = summary
        .heartbeat
        .as_ref()
        .map(|pulse| format!(" (last heard of: process {} on {})", pulse.pid, pulse.host));
    let mut facts = vec![
        ("run", summary.path.display().to_string()),
        ("status", format!("{}{}", summary.status.name(), alive.unwrap_or_default())),
        ("steps", steps(summary)),
        (
            "time",
            format!("{}, started {}", duration(summary.elapsed_seconds), local_minute(&summary.created)),
        ),
        ("base", format!("{}, fingerprint {}", manifest.base.reference, manifest.base.fingerprint)),
    ];
    for file in &manifest.data {
        let size = DecimalBytes(file.size);
        facts.push(("data", format!("{} {} ({size}, blake3 {})", file.role, file.path, file.blake3)));
    }
    facts.push(("seed", manifest.seed.to_string()));
    facts.push((
        "made by",
        format!(
            "temper {} on {}, {}, {} threads",
            manifest.temper_version, manifest.device, manifest.instruction_set, manifest.threads
        ),
    ));
    facts.push(("command", manifest.argv.join(" ")));
    if let Some(message) = end(record) {
        facts.push(("end", message.to_owned()));
    }
    facts
}

/// The scores before the first step, of the best checkpoint, and of the last evaluation.
fn scores(record: &RunRecord) -> String {
    let (baseline, best, last) = (record.baseline(), record.best(), last(record));
    let at = |step: Option<u64>| step.map(|step| format!(" (step {step})")).unwrap_or_default();
    let best_step = record.summary.best_step.filter(|_| best.is_some());
    let last_step = record.evaluations().next_back().map(|(step, _)| step);
    let header = ["score", "baseline", &format!("best{}", at(best_step)), &format!("last{}", at(last_step))];
    let names = baseline.or(last).into_iter().flatten().map(|(name, _)| name);
    let rows = names.map(|name| {
        let of = |scores: Option<&Scores>| score(scores.and_then(|scores| scores.get(name)).copied());
        let decides = if record.summary.metric.as_ref() == Some(name) { " (decides)" } else { "" };
        vec![format!("{name}{decides}"), of(baseline), of(best), of(last)]
    });
    table(header.map(str::to_owned).to_vec(), rows, 1)
}

fn checkpoints(record: &RunRecord, kept: &[Kept]) -> String {
    let rows = kept.iter().map(|kept| {
        let marks = [(kept.best, "best"), (kept.last, "last")];
        let marks: Vec<&str> = marks.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        let reference = format!("{}@{}", record.summary.path.display(), kept.step);
        vec![reference, marks.join(", "), DecimalBytes(kept.bytes).to_string()]
    });
    table(["checkpoint", "", "size"].map(str::to_owned).to_vec(), rows, 2)
}

fn last(record: &RunRecord) -> Option<&Scores> {
    record.evaluations().next_back().map(|(_, scores)| scores)
}

fn warnings(record: &RunRecord) -> Vec<(u64, &str)> {
    let warning = |event| match event {
        &Event::Warned { step, ref message } => Some((step, message.as_str())),
        _ => None,
    };
    record.events.iter().filter_map(|stamped| warning(&stamped.event)).collect()
}

/// What the run said when it ended, if anything.
fn end(record: &RunRecord) -> Option<&str> {
    record.events.iter().rev().find_map(|stamped| match &stamped.event {
        Event::Finished { message, .. } if !message.is_empty() => Some(message.as_str()),
        _ => None,
    })
}
