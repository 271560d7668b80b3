//! What differs between runs.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{RunRecord, record::Scores};

/// One thing that runs have, with the value of each; none where a run lacks it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared<T> {
    /// The config key, the file's role and path, or the score.
    pub name: String,
    /// One value a run, in their order.
    pub values: Vec<Option<T>>,
}

/// Scores of the runs' best checkpoints under one name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedScore {
    /// The score, with each run's value.
    #[serde(flatten)]
    pub score: Compared<f64>,
    /// Before the first step.
    pub baselines: Vec<Option<f64>>,
    /// The places of the highest value; more than one where they are equal.
    pub best: Vec<usize>,
}

/// Runs beside each other.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// The runs' names.
    pub runs: Vec<String>,
    /// Version, device, base and its fingerprint.
    pub origin: Vec<Compared<String>>,
    /// blake3 of every data file that one of them read.
    pub data: Vec<Compared<String>>,
    /// The config keys whose values differ.
    pub config: Vec<Compared<String>>,
    /// Scores of the best checkpoints.
    pub scores: Vec<ComparedScore>,
}

impl<T: PartialEq> Compared<T> {
    /// Whether the runs do not agree.
    pub fn differs(&self) -> bool {
        self.values.iter().any(|value| *value != self.values[0])
    }
}

/// Puts runs beside each other.
pub fn compare(records: &[RunRecord]) -> Comparison {
    let config = gather(records, |record| {
        record.config.iter().map(|(key, value)| (key.clone(), value.to_string())).collect()
    });
    Comparison {
        runs: records.iter().map(|record| record.summary.run.clone()).collect(),
        origin: gather_in_order(records, origin),
        data: gather(records, |record| {
            let data = record.manifest.data.iter();
            data.map(|file| (format!("{} {}", file.role, file.path), file.blake3.clone())).collect()
        }),
        config: config.into_iter().filter(Compared::differs).collect(),
        scores: scores(records),
    }
}

fn origin(record: &RunRecord) -> Vec<(String, String)> {
    let manifest = &record.manifest;
    [
        ("temper", manifest.temper_version.clone()),
        ("device", format!("{} {}", manifest.device, manifest.instruction_set)),
        ("base", manifest.base.reference.clone()),
        ("base fingerprint", manifest.base.fingerprint.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn scores(records: &[RunRecord]) -> Vec<ComparedScore> {
    let pairs = |scores: Option<&Scores>| scores.cloned().unwrap_or_default().into_iter().collect();
    let baselines = gather(records, |record| pairs(record.baseline()));
    let with_baselines = |score: Compared<f64>| {
        let baseline = baselines.iter().find(|baseline| baseline.name == score.name);
        ComparedScore {
            baselines: baseline.map_or_else(|| vec![None; records.len()], |found| found.values.clone()),
            best: highest(&score.values),
            score,
        }
    };
    gather(records, |record| pairs(record.best())).into_iter().map(with_baselines).collect()
}

/// The places of the highest value; every score of temper is better when larger. One run alone has no best.
fn highest(values: &[Option<f64>]) -> Vec<usize> {
    let finite = |value: &Option<f64>| value.filter(|value| !value.is_nan());
    if values.iter().filter_map(finite).count() < 2 {
        return Vec::new();
    }
    let highest = values.iter().filter_map(finite).fold(f64::NEG_INFINITY, f64::max);
    (0..values.len()).filter(|&place| values[place] == Some(highest)).collect()
}

fn gather<T: Clone>(records: &[RunRecord], of: impl Fn(&RunRecord) -> Vec<(String, T)>) -> Vec<Compared<T>> {
    let mut compared = gather_in_order(records, of);
    compared.sort_by(|a, b| a.name.cmp(&b.name));
    compared
}

/// Names in the order in which they first occur.
fn gather_in_order<T: Clone>(
    records: &[RunRecord],
    of: impl Fn(&RunRecord) -> Vec<(String, T)>,
) -> Vec<Compared<T>> {
    let all: Vec<Vec<(String, T)>> = records.iter().map(of).collect();
    let mut seen = BTreeSet::new();
    let names = all.iter().flatten().map(|(name, _)| name).filter(|name| seen.insert(name.as_str()));
    let value = |pairs: &Vec<(String, T)>, name: &str| {
        pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    };
    names
        .map(|name| Compared {
            name: name.clone(),
            values: all.iter().map(|pairs| value(pairs, name)).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::made_up::{self, evaluated, finished, started};
    use crate::{DataFile, Outcome, RunFolder, RunManifest};

    fn record(run: &RunFolder) -> RunRecord {
        RunRecord::read(run).unwrap()
    }

    fn judged(path: &std::path::Path, score: f64) -> RunFolder {
        let end = finished(9, Outcome::Completed, Some(9));
        let events = [started(0, 9), evaluated(0, 0.1, false), evaluated(9, score, true), end];
        made_up::run(path, &events)
    }

    #[test]
    fn only_differing_keys_and_every_hash_are_shown() {
        let root = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| judged(&root.path().join(name), 0.5));
        fs::write(b.config_path(), "seed = 42\n[train]\nlearning_rate = 3e-5\nmax_steps = 9\n").unwrap();
        let file = DataFile { role: "train".into(), path: "a.jsonl".into(), size: 1, blake3: "h".into() };
        let manifest = RunManifest::read(&b.manifest_path()).unwrap();
        RunManifest { data: vec![file], ..manifest }.write(&b.manifest_path()).unwrap();
        let found = compare(&[record(&a), record(&b)]);
        let told: Vec<_> = found.config.iter().map(|c| (c.name.as_str(), c.values.clone())).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("train.learning_rate", vec![some("0.00002"), some("0.00003")]),
                ("train.max_steps", vec![None, some("9")])
            ]
        );
        assert_eq!(found.data[0].values, [None, some("h")]);
        assert!(found.origin.iter().all(|compared| !compared.differs()));
    }

    #[test]
    fn the_highest_score_is_marked_and_nan_never_is() {
        assert_eq!(highest(&[Some(0.5), Some(0.7), None]), [1]);
        assert_eq!(highest(&[Some(0.7), Some(f64::NAN), Some(0.7)]), [0, 2]);
        assert!(highest(&[Some(0.7), Some(f64::NAN)]).is_empty());
        let root = tempfile::tempdir().unwrap();
        let [a, b] = [("a", 0.5), ("b", 0.6)].map(|(name, score)| judged(&root.path().join(name), score));
        let found = compare(&[record(&a), record(&b)]);
        let ndcg = found.scores.iter().find(|score| score.score.name == "ndcg").unwrap();
        assert_eq!((&ndcg.best[..], &ndcg.baselines[..]), (&[1][..], &[Some(0.1), Some(0.1)][..]));
    }
}
