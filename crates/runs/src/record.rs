//! All that a run tells, read in full: for showing, comparing and exporting one.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

use crate::{Error, Event, RunFolder, RunManifest, RunSummary, Stamped, Tail};

/// Named scores.
pub type Scores = BTreeMap<String, f64>;

/// A run in full.
#[derive(Debug)]
pub struct RunRecord {
    /// At a glance.
    pub summary: RunSummary,
    /// Where it came from.
    pub manifest: RunManifest,
    /// The resolved config as `table.key` and value.
    pub config: BTreeMap<String, toml::Value>,
    /// What happened, in order.
    pub events: Vec<Stamped>,
    /// Lines of the event stream that are no event of this version.
    pub unreadable: usize,
}

/// One optimizer step: what training logged, and what the evaluators gave.
#[derive(Debug, Default, PartialEq)]
pub struct Row {
    /// Optimizer steps taken.
    pub step: u64,
    /// Unix seconds.
    pub time: f64,
    /// Passes over the training examples.
    pub epoch: f64,
    /// The numbers of the step by their tag, as in the TensorBoard log, and counts.
    pub values: Vec<(&'static str, f64)>,
    /// The losses of the sets by name, in a run of several.
    pub set_losses: Scores,
    /// The scores given at this step.
    pub scores: Scores,
}

/// A checkpoint as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The step it was taken at.
    pub step: u64,
    /// All of it.
    pub bytes: u64,
    /// Whether it is the best.
    pub best: bool,
    /// Whether it is the newest.
    pub last: bool,
}

impl RunRecord {
    /// Reads manifest, config and every event; a torn last line is passed over.
    pub fn read(run: &RunFolder) -> Result<Self, Error> {
        let summary = RunSummary::read(run)?;
        let manifest = RunManifest::read(&run.manifest_path())?;
        let path = run.config_path();
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let config: toml::Table = text.parse().map_err(|source| Error::Toml { path, source })?;
        let news = Tail::new(&run.events_path()).poll()?;
        let config = flat(&config);
        Ok(Self { summary, manifest, config, events: news.events, unreadable: news.unreadable })
    }

    /// Every evaluation with its step, in order.
    pub fn evaluations(&self) -> impl DoubleEndedIterator<Item = (u64, &Scores)> {
        self.events.iter().filter_map(|stamped| match &stamped.event {
            Event::Evaluated { step, scores, .. } => Some((*step, scores)),
            _ => None,
        })
    }

    /// The scores before the first step.
    pub fn baseline(&self) -> Option<&Scores> {
        self.evaluations().find(|(step, _)| *step == 0).map(|(_, scores)| scores)
    }

    /// The scores of the best checkpoint.
    pub fn best(&self) -> Option<&Scores> {
        let best = self.summary.best_step?;
        self.evaluations().rfind(|(step, _)| *step == best).map(|(_, scores)| scores)
    }

    /// One row a step that was logged or evaluated, in order.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for stamped in &self.events {
            let (Event::Step { step, epoch, .. } | Event::Evaluated { step, epoch, .. }) = &stamped.event
            else {
                continue;
            };
            if rows.last().is_none_or(|row| row.step != *step) {
                rows.push(Row { step: *step, time: stamped.time, epoch: *epoch, ..Row::default() });
            }
            if let Some(row) = rows.last_mut() {
                row.take(&stamped.event);
            }
        }
        rows
    }
}

impl Row {
    /// The tags of `values`, in their order.
    pub const TAGS: [&'static str; 9] = [
        "train/loss",
        "train/learning_rate",
        "train/grad_norm",
        "train/examples",
        "train/tokens",
        "train/examples_per_second",
        "train/tokens_per_second",
        "train/elapsed_seconds",
        "train/memory",
    ];

    fn take(&mut self, event: &Event) {
        match event {
            Event::Step {
                loss,
                set_losses,
                learning_rate,
                grad_norm,
                examples,
                tokens,
                examples_per_second,
                tokens_per_second,
                elapsed_seconds,
                memory,
                ..
            } => {
                let values = [
                    Some(*loss),
                    Some(*learning_rate),
                    Some(*grad_norm),
                    Some(*examples as f64),
                    Some(*tokens as f64),
                    Some(*examples_per_second),
                    Some(*tokens_per_second),
                    Some(*elapsed_seconds),
                    memory.map(|bytes| bytes as f64),
                ];
                self.set_losses.clone_from(set_losses);
                let tagged = Self::TAGS.into_iter().zip(values);
                self.values = tagged.filter_map(|(tag, value)| Some((tag, value?))).collect();
            }
            Event::Evaluated { scores, .. } => self.scores.clone_from(scores),
            _ => {}
        }
    }
}

impl RunFolder {
    /// Its checkpoints, oldest first, with their sizes.
    pub fn kept(&self) -> Result<Vec<Kept>, Error> {
        let index = self.index()?;
        let kept = |&step: &u64| Kept {
            step,
            bytes: crate::pruning::bytes_below(&self.checkpoint(step)),
            best: index.best == Some(step),
            last: index.last == Some(step),
        };
        Ok(index.kept.iter().map(kept).collect())
    }
}

/// Every value by its dotted key.
fn flat(table: &toml::Table) -> BTreeMap<String, toml::Value> {
    let mut flat = BTreeMap::new();
    let mut open = vec![(String::new(), table)];
    while let Some((prefix, table)) = open.pop() {
        for (key, value) in table {
            let name = format!("{prefix}{key}");
            match value {
                toml::Value::Table(inner) => open.push((format!("{name}."), inner)),
                other => drop(flat.insert(name, other.clone())),
            }
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Outcome;
    use crate::made_up::{self, evaluated, finished, started, step};

    #[test]
    fn a_step_and_its_evaluation_are_one_row() {
        let root = tempfile::tempdir().unwrap();
        let events = [
            started(0, 20),
            evaluated(0, 0.5, false),
            step(10),
            step(20),
            evaluated(20, 0.8, true),
            finished(20, Outcome::Completed, Some(20)),
        ];
        let run = made_up::run(&root.path().join("x"), &events);
        let record = RunRecord::read(&run).unwrap();
        let rows = record.rows();
        let told: Vec<_> = rows.iter().map(|row| (row.step, row.values.len(), row.scores.len())).collect();
        assert_eq!(told, [(0, 0, 2), (10, 8, 0), (20, 8, 2)]);
        assert_eq!(rows[2].values[0], ("train/loss", 0.05));
        assert_eq!(record.baseline().unwrap()["ndcg"], 0.5);
        assert_eq!(record.best().unwrap()["mrr"], 0.4);
        assert_eq!(record.config["train.learning_rate"].as_float(), Some(2e-5));
    }
}
