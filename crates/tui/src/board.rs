//! What a run's events come to: everything that is drawn, the same for a live, an attached and a replayed run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;
use temper_runs::{Event, Histogram, Outcome, Stamped, WorstQuery};

/// Lines of the log that are kept.
const LINES: usize = 2000;

/// A run as its events tell it. Knows no clock, terminal or file.
#[derive(Debug, Clone, Default)]
pub struct Board {
    /// The run folder's name.
    pub run: String,
    /// The step after which training is complete.
    pub total_steps: u64,
    /// The effective plan.
    pub plan: Value,
    /// The newest step that any event told of.
    pub step: u64,
    /// When the newest event happened, in Unix seconds.
    pub time: f64,
    /// Training numbers, oldest first.
    pub steps: Vec<Numbers>,
    /// The last loss of each set, in a run of several.
    pub set_losses: BTreeMap<String, f64>,
    /// Evaluations, oldest first.
    pub evaluations: Vec<Evaluation>,
    /// Similarities of every evaluation by evaluation set, oldest first.
    pub similarities: BTreeMap<String, Vec<Similarities>>,
    /// The worst queries of the last evaluation by evaluation set, with its step.
    pub worst: BTreeMap<String, (u64, Vec<WorstQuery>)>,
    /// What happened, newest last.
    pub lines: VecDeque<Line>,
    /// How the run ended, once it did.
    pub outcome: Option<Outcome>,
    started: f64,
}

/// The numbers of one `Event::Step`.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "as in `Event::Step`")]
pub struct Numbers {
    pub time: f64,
    pub step: u64,
    pub epoch: f64,
    pub loss: f64,
    pub learning_rate: f64,
    pub grad_norm: f64,
    pub examples_per_second: f64,
    pub tokens_per_second: f64,
    pub elapsed_seconds: f64,
    pub memory: Option<u64>,
}

/// One `Event::Evaluated`.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "as in `Event::Evaluated`")]
pub struct Evaluation {
    pub step: u64,
    pub scores: BTreeMap<String, f64>,
    pub metric: String,
    pub best: bool,
}

/// One `Event::Similarities`.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "as in `Event::Similarities`")]
pub struct Similarities {
    pub step: u64,
    pub positive: Histogram,
    pub hardest_negative: Histogram,
}

/// Something that happened, in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Unix seconds.
    pub time: f64,
    /// Optimizer steps taken.
    pub step: u64,
    /// How it is to be read.
    pub kind: Kind,
    /// One line.
    pub text: String,
}

/// What a line of the log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The run's own course.
    Course,
    /// Scores.
    Score,
    /// The best scores so far.
    Best,
    /// Something to look at.
    Warning,
}

/// A score's course over the evaluations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Before the first step.
    pub baseline: Option<f64>,
    /// At the last evaluation.
    pub now: f64,
    /// At the evaluation that the deciding score calls best.
    pub best: Option<f64>,
}

impl Standing {
    /// The change since step 0.
    pub fn change(&self) -> Option<f64> {
        self.baseline.map(|baseline| self.now - baseline)
    }
}

impl Board {
    /// Takes one event in.
    pub fn apply(&mut self, stamped: &Stamped) {
        let time = stamped.time;
        match &stamped.event {
            Event::Started { run, step, total_steps, plan } => {
                self.cut_back_to(*step);
                (self.run, self.total_steps, self.plan) = (run.clone(), *total_steps, plan.clone());
                (self.started, self.outcome) = (time, None);
                let text = match step {
                    0 => format!("started: {total_steps} steps"),
                    _ => format!("resumed after step {step} of {total_steps}"),
                };
                self.tell(time, *step, Kind::Course, text);
            }
            Event::Step { step, set_losses, .. } => {
                self.steps.extend(numbers(stamped));
                self.set_losses.extend(set_losses.clone());
                self.step = self.step.max(*step);
            }
            Event::Evaluated { step, scores, metric, best, elapsed_seconds, .. } => {
                self.evaluations.push(Evaluation {
                    step: *step,
                    scores: scores.clone(),
                    metric: metric.clone(),
                    best: *best,
                });
                let change = match self.standing(metric).and_then(|standing| standing.change()) {
                    Some(change) if *step > 0 => format!(" ({change:+.4})"),
                    _ => String::new(),
                };
                let score = scores.get(metric).copied().unwrap_or(f64::NAN);
                let best_so_far = if *best { "  best so far" } else { "" };
                let kind = if *best { Kind::Best } else { Kind::Score };
                let text = format!("{metric} {score:.4}{change}{best_so_far}  [{elapsed_seconds:.1} s]");
                self.tell(time, *step, kind, text);
            }
            Event::Similarities { step, set, positive, hardest_negative } => {
                let (positive, hardest_negative) = (positive.clone(), hardest_negative.clone());
                let similarities = Similarities { step: *step, positive, hardest_negative };
                self.similarities.entry(set.clone()).or_default().push(similarities);
            }
            Event::WorstQueries { step, set, queries } => {
                self.worst.insert(set.clone(), (*step, queries.clone()));
            }
            Event::Mining { step, done: 0, .. } => {
                self.tell(time, *step, Kind::Course, "mining negatives".to_owned());
            }
            Event::Mining { .. } => {}
            Event::Mined { step, anchors, negatives, short, elapsed_seconds, .. } => {
                let short = if *short > 0 { format!(", {short} of them short") } else { String::new() };
                let text =
                    format!("mined {negatives} for {anchors} anchors{short}  [{elapsed_seconds:.1} s]");
                self.tell(time, *step, Kind::Course, text);
            }
            Event::Saved { step, reason, .. } => {
                let text = format!("saved a checkpoint ({reason})");
                self.tell(time, *step, Kind::Course, text);
            }
            Event::Warned { step, message } => {
                self.tell(time, *step, Kind::Warning, message.replace('\n', " "));
            }
            Event::Finished { step, outcome, message, .. } => {
                self.outcome = Some(*outcome);
                let text = format!("{} {}", ended(*outcome), message.replace('\n', " "));
                let kind = if *outcome == Outcome::Failed { Kind::Warning } else { Kind::Course };
                self.tell(time, *step, kind, text.trim_end().to_owned());
            }
        }
        self.step = self.step.max(stamped.event.step());
        self.time = time;
    }

    /// The last training numbers.
    pub fn last(&self) -> Option<&Numbers> {
        self.steps.last()
    }

    /// The name of the score that decides, where something is evaluated.
    pub fn metric(&self) -> Option<&str> {
        self.evaluations.last().map(|evaluation| evaluation.metric.as_str())
    }

    /// The evaluation that is best so far; the one before the first step never is.
    pub fn best(&self) -> Option<&Evaluation> {
        self.evaluations.iter().rfind(|evaluation| evaluation.best)
    }

    /// A score's course, if the last evaluation has it.
    pub fn standing(&self, score: &str) -> Option<Standing> {
        let of = |evaluation: &Evaluation| evaluation.scores.get(score).copied();
        let baseline = self.evaluations.first().filter(|first| first.step == 0).and_then(of);
        let now = of(self.evaluations.last()?)?;
        Some(Standing { baseline, now, best: self.best().and_then(of) })
    }

    /// Every evaluation set that similarities or worst queries are known of.
    pub fn sets(&self) -> Vec<&str> {
        let sets: BTreeSet<&str> =
            self.similarities.keys().chain(self.worst.keys()).map(String::as_str).collect();
        sets.into_iter().collect()
    }

    /// Seconds of training until `now`, without the time between an interruption and its resume.
    pub fn elapsed_seconds(&self, now: f64) -> f64 {
        match self.last() {
            Some(last) => last.elapsed_seconds + (now - last.time.max(self.started)).max(0.0),
            None => (now - self.started).max(0.0),
        }
    }

    /// Seconds from `now` until the last step, at the pace so far.
    pub fn remaining_seconds(&self, now: f64) -> Option<f64> {
        let (first, last) = (self.steps.first()?, self.last()?);
        let steps = last.step.checked_sub(first.step).filter(|steps| *steps > 0)?;
        let pace = (last.elapsed_seconds - first.elapsed_seconds) / steps as f64;
        let ahead = self.total_steps.saturating_sub(last.step) as f64 * pace;
        Some((ahead - (now - last.time.max(self.started)).max(0.0)).max(0.0))
    }

    /// A run that goes on after `step` takes the later steps again.
    fn cut_back_to(&mut self, step: u64) {
        if step == 0 {
            *self = Self::default();
            return;
        }
        self.step = step;
        self.steps.retain(|numbers| numbers.step <= step);
        self.evaluations.retain(|evaluation| evaluation.step <= step);
        self.similarities.values_mut().for_each(|all| all.retain(|one| one.step <= step));
        self.worst.retain(|_, (at, _)| *at <= step);
        self.lines.retain(|line| line.step <= step);
    }

    fn tell(&mut self, time: f64, step: u64, kind: Kind, text: String) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { time, step, kind, text });
    }
}

/// An outcome for people.
pub fn ended(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::EarlyStopped => "stopped early: no improvement",
        Outcome::Interrupted => "interrupted, can be resumed",
        Outcome::Failed => "failed:",
    }
}

fn numbers(stamped: &Stamped) -> Option<Numbers> {
    let Event::Step {
        step,
        epoch,
        loss,
        learning_rate,
        grad_norm,
        examples_per_second,
        tokens_per_second,
        elapsed_seconds,
        memory,
        ..
    } = stamped.event
    else {
        return None;
    };
    Some(Numbers {
        time: stamped.time,
        step,
        epoch,
        loss,
        learning_rate,
        grad_norm,
        examples_per_second,
        tokens_per_second,
        elapsed_seconds,
        memory,
    })
}
