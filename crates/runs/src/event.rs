//! What a training run tells the world: one line of `events.jsonl` each.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{Histogram, WorstQuery, number};

/// Something that happened in a run, at an optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Training begins, or goes on after `step` when resumed.
    Started {
        /// The run folder's name.
        run: String,
        /// 0, or the step of the checkpoint that is resumed.
        step: u64,
        /// The step after which training is complete.
        total_steps: u64,
        /// The effective plan as it was printed.
        plan: serde_json::Value,
    },
    /// Training numbers, means since the previous such event.
    Step {
        /// Optimizer steps taken.
        step: u64,
        /// Epochs done, with fraction.
        epoch: f64,
        /// Mean training loss.
        #[serde(deserialize_with = "number::or_nan")]
        loss: f64,
        /// The same of each set, in a run of several, by name; a set without a batch has none.
        #[serde(
            default,
            skip_serializing_if = "BTreeMap::is_empty",
            deserialize_with = "number::map_or_nan"
        )]
        set_losses: BTreeMap<String, f64>,
        /// The rate this step used.
        #[serde(deserialize_with = "number::or_nan")]
        learning_rate: f64,
        /// Global gradient norm before clipping.
        #[serde(deserialize_with = "number::or_nan")]
        grad_norm: f64,
        /// Examples seen in all.
        examples: u64,
        /// Tokens seen in all.
        tokens: u64,
        /// Throughput.
        #[serde(deserialize_with = "number::or_nan")]
        examples_per_second: f64,
        /// Throughput.
        #[serde(deserialize_with = "number::or_nan")]
        tokens_per_second: f64,
        /// Since training began, without the time between an interruption and its resume.
        elapsed_seconds: f64,
        /// The process's memory that is in RAM, in bytes; absent where the system does not tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memory: Option<u64>,
    },
    /// The evaluators gave their scores.
    Evaluated {
        /// Optimizer steps taken; 0 is the baseline.
        step: u64,
        /// Epochs done, with fraction.
        epoch: f64,
        /// Every score by name.
        #[serde(deserialize_with = "number::map_or_nan")]
        scores: BTreeMap<String, f64>,
        /// The name of the score that decides which checkpoint is best.
        metric: String,
        /// Whether this is the best so far.
        best: bool,
        /// How long the evaluation took.
        elapsed_seconds: f64,
    },
    /// How similar the queries of an evaluation are to their positive and to the hardest of the other documents.
    Similarities {
        /// Optimizer steps taken; 0 is the baseline.
        step: u64,
        /// The evaluation set, as it prefixes its scores; empty where there is only one.
        set: String,
        /// Cosine of each query and its best positive.
        positive: Histogram,
        /// Cosine of each query and the document ranked highest that is not its positive.
        hardest_negative: Histogram,
    },
    /// The queries of an evaluation that fared worst, worst first.
    WorstQueries {
        /// Optimizer steps taken; 0 is the baseline.
        step: u64,
        /// The evaluation set, as it prefixes its scores; empty where there is only one.
        set: String,
        /// A few dozen at most.
        queries: Vec<WorstQuery>,
    },
    /// Hard negatives are being mined; shown, and not kept.
    Mining {
        /// Optimizer steps taken.
        step: u64,
        /// Texts and anchors done.
        done: usize,
        /// Texts and anchors in all.
        total: usize,
    },
    /// Hard negatives were mined with the weights of this step.
    Mined {
        /// Optimizer steps taken.
        step: u64,
        /// Epochs done, with fraction.
        epoch: f64,
        /// Different anchors.
        anchors: usize,
        /// Negatives of each.
        negatives: usize,
        /// Anchors for which the rules left too few; others were drawn for them.
        short: usize,
        /// Candidates that were not taken, by rule.
        rejected: BTreeMap<String, usize>,
        /// How long it took.
        elapsed_seconds: f64,
    },
    /// A checkpoint is complete.
    Saved {
        /// Optimizer steps taken.
        step: u64,
        /// The checkpoint folder.
        path: String,
        /// Why now, for people.
        reason: String,
    },
    /// Something a person should know that does not stop the run.
    Warned {
        /// Optimizer steps taken.
        step: u64,
        /// What, where, and what to do.
        message: String,
    },
    /// The run ended.
    Finished {
        /// Optimizer steps taken.
        step: u64,
        /// How it ended.
        outcome: Outcome,
        /// The step of the best checkpoint.
        best_step: Option<u64>,
        /// For people.
        message: String,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every planned step was taken.
    Completed,
    /// The metric stopped improving.
    EarlyStopped,
    /// A signal asked it to stop; it can be resumed.
    Interrupted,
    /// An error stopped it.
    Failed,
}

impl Event {
    /// The optimizer step it belongs to.
    pub fn step(&self) -> u64 {
        match self {
            Self::Started { step, .. }
            | Self::Step { step, .. }
            | Self::Evaluated { step, .. }
            | Self::Similarities { step, .. }
            | Self::WorstQueries { step, .. }
            | Self::Mining { step, .. }
            | Self::Mined { step, .. }
            | Self::Saved { step, .. }
            | Self::Warned { step, .. }
            | Self::Finished { step, .. } => *step,
        }
    }
}

/// An event with the moment it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Unix seconds.
    pub time: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Stamped {
    /// Stamps `event` with the system clock.
    pub fn now(event: Event) -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self { time, event }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_event_is_one_tagged_line() {
        let event = Event::Warned { step: 3, message: "two\nlines".into() };
        let line = serde_json::to_string(&Stamped { time: 1.5, event }).unwrap();
        assert_eq!(line, r#"{"time":1.5,"event":"warned","step":3,"message":"two\nlines"}"#);
    }

    #[test]
    fn numbers_survive_exactly_and_nan_stays_nan() {
        let event = Event::Step {
            step: 7,
            epoch: 1.0,
            loss: 0.1 + 0.2,
            set_losses: BTreeMap::new(),
            learning_rate: 3e-5,
            grad_norm: f64::INFINITY,
            examples: u64::MAX,
            tokens: 0,
            examples_per_second: 1e300,
            tokens_per_second: f64::NAN,
            elapsed_seconds: 2.0,
            memory: None,
        };
        let line = serde_json::to_string(&Stamped { time: 1e9, event }).unwrap();
        let back: Stamped = serde_json::from_str(&line).unwrap();
        let Event::Step { loss, grad_norm, examples, tokens_per_second, .. } = back.event else {
            panic!("{line}")
        };
        assert_eq!((loss, examples), (0.1 + 0.2, u64::MAX));
        assert!(grad_norm.is_nan() && tokens_per_second.is_nan());
    }

    #[test]
    fn scores_survive() {
        let scores = BTreeMap::from([("ndcg@10".to_owned(), 0.5), ("spearman".to_owned(), f64::NAN)]);
        let event = Event::Evaluated {
            step: 0,
            epoch: 0.0,
            scores,
            metric: "ndcg@10".into(),
            best: true,
            elapsed_seconds: 1.0,
        };
        let back: Stamped =
            serde_json::from_str(&serde_json::to_string(&Stamped::now(event)).unwrap()).unwrap();
        let Event::Evaluated { scores, .. } = back.event else { panic!() };
        assert_eq!(scores["ndcg@10"], 0.5);
        assert!(scores["spearman"].is_nan());
    }
}
