//! `temper data doctor`: what is wrong with data, example by example.

mod diagnosis;
mod lacks;
mod limits;
mod page;
mod plot;
mod report;
mod seen;

use std::path::PathBuf;
use std::time::Instant;

use temper_data::doctor::{Check, Finding, Step, diagnose};
use temper_data::{Dataset, Kind};
use temper_runs::write_atomic;

use super::write;
use crate::failure::{BadInput, Quit};
use crate::input::InputArgs;
use crate::interrupt::Interrupt;
use crate::model::ReadingArgs;
use crate::prompt::SidePromptArgs;
use crate::terminal::Terminal;
use crate::vectors::VectorArgs;
use diagnosis::Diagnosis;
use lacks::lacks;
use limits::Limits;

/// Letters of a text that is shown.
const SHOWN: usize = 60;

/// Tell what is wrong with training data: duplicates, leaks, contradictions, outliers, wrong pairs, false negatives
///
/// Texts alone show duplicates, near duplicates, texts of the evaluation data, contradictions and outliers. With --model
/// that encoder, the base of a training say, also tells pairs that are probably wrong and other examples' texts that would
/// be pushed away as negatives although they fit. Every finding names its file and line. With --limits the command ends
/// with code 1 where there is more than a share, so that it can stand in front of a training.
/// crates/data/DOCTOR.md says how each check works and how often it is right.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper data doctor train.jsonl --eval dev.jsonl
  temper data doctor train.jsonl --model MODEL --html report.html
  temper data doctor train.jsonl --model MODEL --cleaned clean.jsonl --exclusions wrong.jsonl
  temper data doctor train.jsonl --limits limits.toml --json > findings.json

A file of limits has a share for each check: `leak = 0.0`, `duplicate = 0.01`.")]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Evaluation data, of which nothing should be learned
    #[arg(long, value_name = "FILE")]
    eval: Vec<PathBuf>,
    /// Look at the pairs with this model too
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// A text that scores above the positive less this could be a false negative
    #[arg(long, value_name = "SCORE", default_value = "0", requires = "model")]
    margin: f32,
    /// A positive is weak when so many texts are closer [default: 5 % of all positives, at least 10]
    #[arg(long, value_name = "N", requires = "model")]
    rank: Option<usize>,
    /// Examples of a training batch, for which the rate of false negatives is told
    #[arg(long, value_name = "N", default_value = "32")]
    batch_size: usize,
    /// Findings of a check that are shown; --json holds all
    #[arg(long, value_name = "N", default_value = "3")]
    show: usize,
    /// End with code 1 where a check finds a larger share of the examples than this TOML file says
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// Write a page with plots and findings, one file that needs no other
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Leave out examples with a finding of these checks too: `weak_positive` where wrong pairs are likely
    #[arg(long, value_name = "CHECK,..", value_delimiter = ',', value_parser = check)]
    leave_out: Vec<Check>,
    /// Write the examples that are better left in: without duplicates, leaks, contradictions and what --leave-out says
    #[arg(long, value_name = "FILE")]
    cleaned: Option<PathBuf>,
    /// Write the pairs that are better left out, for data.exclude of a config (not duplicates, whose every copy that would
    /// exclude)
    #[arg(long, value_name = "FILE")]
    exclusions: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    prompts: SidePromptArgs,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    vectors: VectorArgs,
}

/// Runs the command.
pub fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    let limits = args.limits.as_deref().map_or_else(|| Ok(Limits::default()), Limits::read)?;
    if args.rank == Some(0) {
        return Err(BadInput::new("--rank is 0, expected 1 or more").into());
    }
    let interrupt = Interrupt::listen()?;
    interrupt.no_longer_wait();
    let dataset = args.input.read(terminal)?;
    if dataset.kind == Kind::Labelled && args.exclusions.is_some() {
        let file = args.input.files[0].display();
        let problem = format!("`{file}` holds labelled texts, and --exclusions writes pairs");
        return Err(BadInput::new(problem).hint("--cleaned FILE writes what is better left in").into());
    }
    args.check(&limits, &dataset)?;
    let evaluation =
        if args.eval.is_empty() { None } else { Some(args.input.read_evaluation(&args.eval, terminal)?) };
    let mut findings = find(&dataset, evaluation.as_ref(), terminal);
    interrupt.wait_again();
    let seen = match &args.model {
        Some(model) => {
            let opened = args.reading.open(model, terminal)?;
            Some(seen::look(&dataset, &opened, args, &interrupt, terminal, &mut findings)?)
        }
        None => None,
    };
    interrupt.check()?;
    let diagnosis = Diagnosis::new(dataset, findings, seen, args);
    args.write(&diagnosis, &limits)?;
    interrupt.no_longer_wait();
    if args.json {
        terminal.print_json(&report::json(&diagnosis))?;
    } else {
        terminal.print(report::text(&diagnosis, args.show))?;
    }
    let broken = limits.broken_by(&diagnosis);
    if broken.is_empty() {
        return Ok(());
    }
    terminal.warn(format!("above the limits: {}", broken.join("; ")));
    Err(Quit(1).into())
}

/// What texts and labels show, with a bar, and the time of each step as a detail.
fn find(dataset: &Dataset, evaluation: Option<&Dataset>, terminal: &Terminal) -> Vec<Finding> {
    let bar = terminal.progress("", Some(dataset.len()));
    let mut running: Option<(&str, Instant)> = None;
    let mut finished = |next: &'static str| {
        if running.is_none_or(|(what, _)| what != next)
            && let Some((what, since)) = running.replace((next, Instant::now()))
        {
            terminal.detail(|| format!("{what}: {:.1} s", since.elapsed().as_secs_f64()));
        }
    };
    let findings = diagnose(dataset, evaluation, &mut |step: Step| {
        finished(step.what);
        bar.set_message(step.what);
        bar.set_length(step.total as u64);
        bar.set_position(step.done as u64);
    });
    finished("");
    bar.finish_and_clear();
    findings
}

fn check(name: &str) -> Result<Check, String> {
    let known = || format!("expected one of {}", Check::ALL.map(Check::name).join(", "));
    Check::ALL.into_iter().find(|check| check.name() == name).ok_or_else(known)
}

impl Args {
    /// What is not looked for can neither be limited nor be a reason to leave examples out.
    fn check(&self, limits: &Limits, dataset: &Dataset) -> Result<(), BadInput> {
        let lacks = |check| lacks(check, dataset, self);
        if let Some((check, why)) = self.leave_out.iter().find_map(|check| Some((check, lacks(*check)?))) {
            let problem = format!("--leave-out: `{}` is not looked for {why}", check.name());
            return Err(BadInput::new(problem).hint("give what is missing, or remove the check"));
        }
        limits.check(lacks)
    }

    fn write(&self, diagnosis: &Diagnosis, limits: &Limits) -> anyhow::Result<()> {
        if let Some(path) = &self.html {
            write_atomic(path, page::page(diagnosis, limits).as_bytes())?;
        }
        if let Some(path) = &self.cleaned {
            write(&diagnosis.dataset, &diagnosis.kept(), path)?;
        }
        if let Some(path) = &self.exclusions {
            write_atomic(path, diagnosis.exclusions().as_bytes())?;
        }
        Ok(())
    }
}
