//! A run's events as plain text on stderr: a progress bar on a terminal, sparse lines elsewhere.

use std::fs::File;
use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use temper_runs::Event;
use temper_train::Plan;

use crate::log::{self, Level};
use crate::terminal::Terminal;

/// Seconds between two step lines when nobody watches a bar.
const SPARSE: Duration = Duration::from_secs(10);

/// Shows events as they come.
pub struct Plain<'a> {
    terminal: &'a Terminal,
    quiet: bool,
    file: Option<File>,
    step: u64,
    bar: Option<ProgressBar>,
    total: u64,
    baseline: Option<f64>,
    last_line: Option<Instant>,
}

impl<'a> Plain<'a> {
    /// With `quiet`, only warnings are shown. `baseline` is the score before the first step of a run that goes on.
    pub fn new(terminal: &'a Terminal, quiet: bool, baseline: Option<f64>) -> Self {
        Self { terminal, quiet, file: None, step: 0, bar: None, total: 0, baseline, last_line: None }
    }

    /// The same lines into a file, while something else has the terminal.
    pub fn into_file(terminal: &'a Terminal, file: File, baseline: Option<f64>) -> Self {
        Self { file: Some(file), ..Self::new(terminal, false, baseline) }
    }

    /// Goes on in the terminal.
    pub fn move_to_terminal(&mut self) {
        self.file = None;
        self.open_bar();
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        self.step = event.step();
        match event {
            Event::Warned { message, .. } => self.print(&format!("warning: {message}"), true),
            _ if self.quiet => {}
            Event::Started { run, step, total_steps, plan } => self.start(run, *step, *total_steps, plan),
            Event::Step { step, epoch, loss, set_losses, learning_rate, examples_per_second, .. } => {
                let sets: Vec<String> =
                    set_losses.iter().map(|(name, loss)| format!("{name} {loss:.4}")).collect();
                let sets = if sets.is_empty() { String::new() } else { format!(" ({})", sets.join(", ")) };
                let text = format!(
                    "loss {loss:.4}{sets}  lr {learning_rate:.2e}  epoch {epoch:.2}  {examples_per_second:.1} examples/s"
                );
                self.step(*step, &text);
            }
            Event::Evaluated { step, scores, metric, best, elapsed_seconds, .. } => {
                let score = scores.get(metric).copied().unwrap_or(f64::NAN);
                let change = match self.baseline {
                    Some(before) => format!(" ({:+.4})", score - before),
                    None => String::new(),
                };
                self.baseline = self.baseline.or((*step == 0 && score.is_finite()).then_some(score));
                let best = if *best { "  best so far" } else { "" };
                self.print(
                    &format!("step {step}  {metric} {score:.4}{change}{best}  [{elapsed_seconds:.1} s]"),
                    false,
                );
            }
            Event::Mining { step, done, total } => {
                self.step(*step, &format!("mining negatives: {done} of {total} texts"));
            }
            Event::Mined { step, anchors, negatives, short, rejected, elapsed_seconds, .. } => {
                let plural = if *negatives == 1 { "" } else { "s" };
                let short = match short {
                    0 => String::new(),
                    _ => format!("; for {short} the rules left too few, and others were drawn"),
                };
                let rejected: Vec<String> =
                    rejected.iter().map(|(rule, count)| format!("{rule} {count}")).collect();
                let rejected = match rejected.as_slice() {
                    [] => String::new(),
                    rules => format!("; rejected: {}", rules.join(", ")),
                };
                self.print(
                    &format!(
                        "step {step}  mined {negatives} negative{plural} of each of {anchors} anchors{short}{rejected}  \
                         [{elapsed_seconds:.1} s]"
                    ),
                    false,
                );
            }
            Event::Saved { step, path, reason } if reason != "evaluation" => {
                self.print(&format!("step {step}  saved {path} ({reason})"), false);
            }
            Event::Similarities { .. }
            | Event::WorstQueries { .. }
            | Event::Saved { .. }
            | Event::Finished { .. } => {}
        }
    }

    /// Takes the bar off the screen.
    pub fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn start(&mut self, run: &str, step: u64, total: u64, plan: &serde_json::Value) {
        self.total = total;
        if let Ok(plan) = serde_json::from_value::<Plan>(plan.clone()) {
            self.print(&plan.to_string(), false);
        }
        let from = if step > 0 { format!(", from step {step}") } else { String::new() };
        self.print(&format!("run {run}: {total} steps{from}"), false);
        self.open_bar();
    }

    fn open_bar(&mut self) {
        if self.file.is_some() || self.terminal.is_quiet() || !std::io::stderr().is_terminal() {
            return;
        }
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg}  eta {eta}");
        let bar = ProgressBar::new(self.total).with_position(self.step);
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        self.bar = Some(bar);
    }

    fn step(&mut self, step: u64, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(step);
                bar.set_message(text.to_owned());
                log::record(Level::Note, &format!("step {step}/{}  {text}", self.total));
            }
            None if self.last_line.is_none_or(|at| at.elapsed() >= SPARSE) || step == self.total => {
                self.last_line = Some(Instant::now());
                self.print(&format!("step {step}/{}  {text}", self.total), false);
            }
            None => {}
        }
    }

    fn print(&mut self, text: &str, always: bool) {
        match (&mut self.file, &self.bar) {
            // The event stream has it too; a full disk is told through that.
            (Some(file), _) => {
                log::record(Level::Note, text);
                drop(writeln!(file, "{text}"));
            }
            (None, Some(bar)) => bar.suspend(|| self.terminal.note(text)),
            (None, None) if always || !self.quiet => self.terminal.note(text),
            (None, None) => {}
        }
    }
}
