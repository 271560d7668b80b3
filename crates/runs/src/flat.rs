//! Runs as flat tables, for other tools: a line a step, or a line a run. The help of `temper runs export` documents them.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::{Error, Row, RunFolder, RunRecord};

/// The columns of `write_summaries` that every run has, before `config.*` and `eval/*`.
const SUMMARY: [&str; 18] = [
    "run",
    "status",
    "created",
    "temper_version",
    "seed",
    "device",
    "instruction_set",
    "base",
    "base_fingerprint",
    "data_hashes",
    "metric",
    "baseline",
    "best",
    "best_step",
    "step",
    "total_steps",
    "elapsed_seconds",
    "config_hash",
];

/// What went wrong: a run that cannot be read, or the output.
#[derive(Debug, thiserror::Error)]
pub enum FlatError {
    /// A run.
    #[error(transparent)]
    Run(#[from] Error),
    /// The output.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// CSV with one line a step that was logged or evaluated. Runs are read twice and held one at a time.
pub fn write_steps(runs: &[RunFolder], out: &mut dyn Write) -> Result<(), FlatError> {
    let (mut scores, mut sets) = (BTreeSet::new(), BTreeSet::new());
    for run in runs {
        let record = RunRecord::read(run)?;
        sets.extend(record.rows().into_iter().flat_map(|row| row.set_losses.into_keys()));
        scores.extend(record.evaluations().flat_map(|(_, scores)| scores.keys().cloned()));
    }
    let mut table = csv::Writer::from_writer(out);
    let header = ["run", "step", "time", "train/epoch"].into_iter().chain(Row::TAGS).map(str::to_owned);
    let header = header.chain(sets.iter().map(|name| format!("train/loss_{name}")));
    table.write_record(header.chain(scores.iter().map(|name| format!("eval/{name}")))).map_err(io_error)?;
    for run in runs {
        let record = RunRecord::read(run)?;
        for row in record.rows() {
            let place = [record.summary.run.clone(), row.step.to_string()];
            let value =
                |tag: &str| row.values.iter().find(|(other, _)| *other == tag).map(|(_, value)| *value);
            let numbers = [Some(row.time), Some(row.epoch)]
                .into_iter()
                .chain(Row::TAGS.map(value))
                .chain(sets.iter().map(|name| row.set_losses.get(name).copied()))
                .chain(scores.iter().map(|name| row.scores.get(name).copied()));
            table.write_record(place.into_iter().chain(numbers.map(cell))).map_err(io_error)?;
        }
    }
    table.flush()?;
    Ok(())
}

/// CSV with one line a run: where it came from, how it ended, its config and the scores of its best checkpoint.
pub fn write_summaries(runs: &[RunFolder], out: &mut dyn Write) -> Result<(), FlatError> {
    let read = |run: &RunFolder| {
        // Thousands of events a run are not needed any more.
        RunRecord::read(run)
            .map(|record| (facts(&record), record.best().cloned().unwrap_or_default(), record.config))
    };
    let records = runs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let keys: BTreeSet<&String> = records.iter().flat_map(|(_, _, config)| config.keys()).collect();
    let scores: BTreeSet<&String> = records.iter().flat_map(|(_, scores, _)| scores.keys()).collect();
    let mut table = csv::Writer::from_writer(out);
    let header = SUMMARY.map(str::to_owned).into_iter();
    let header = header.chain(keys.iter().map(|key| format!("config.{key}")));
    table.write_record(header.chain(scores.iter().map(|name| format!("eval/{name}")))).map_err(io_error)?;
    for (facts, best, config) in &records {
        let facts = SUMMARY.iter().map(|name| plain(&facts[*name]));
        let config = keys.iter().map(|key| config.get(*key).map(toml_cell).unwrap_or_default());
        let scores = scores.iter().map(|name| cell(best.get(*name).copied()));
        table.write_record(facts.chain(config).chain(scores)).map_err(io_error)?;
    }
    table.flush()?;
    Ok(())
}

/// A JSON array with one object a run: `summary`, `config`, `scores` and, by step, `history`.
pub fn write_json(runs: &[RunFolder], out: &mut dyn Write) -> Result<(), FlatError> {
    for (place, run) in runs.iter().enumerate() {
        out.write_all(if place == 0 { b"[\n" } else { b",\n" })?;
        let record = RunRecord::read(run)?;
        let value = json!({
            "summary": facts(&record),
            "config": record.config,
            "scores": { "baseline": record.baseline(), "best": record.best() },
            "history": record.rows().iter().map(history).collect::<Vec<_>>(),
        });
        serde_json::to_writer(&mut *out, &value).map_err(io::Error::from)?;
    }
    out.write_all(if runs.is_empty() { b"[]\n" } else { b"\n]\n" })?;
    Ok(())
}

fn facts(record: &RunRecord) -> Value {
    let (summary, manifest) = (&record.summary, &record.manifest);
    let hashes = manifest.data.iter().map(|file| format!("{}={}", file.path, file.blake3));
    json!({
        "run": summary.run,
        "status": summary.status,
        "created": summary.created,
        "temper_version": manifest.temper_version,
        "seed": manifest.seed,
        "device": manifest.device,
        "instruction_set": manifest.instruction_set,
        "base": manifest.base.reference,
        "base_fingerprint": manifest.base.fingerprint,
        "data_hashes": hashes.collect::<Vec<_>>().join(";"),
        "metric": summary.metric,
        "baseline": summary.baseline,
        "best": summary.best,
        "best_step": summary.best_step,
        "step": summary.step,
        "total_steps": summary.total_steps,
        "elapsed_seconds": summary.elapsed_seconds,
        "config_hash": manifest.config_hash,
    })
}

fn history(row: &Row) -> Value {
    let mut object = Map::new();
    object.insert("step".to_owned(), json!(row.step));
    object.insert("time".to_owned(), json!(row.time));
    object.insert("train/epoch".to_owned(), json!(row.epoch));
    object.extend(row.values.iter().map(|(tag, value)| ((*tag).to_owned(), json!(value))));
    object.extend(row.set_losses.iter().map(|(name, loss)| (format!("train/loss_{name}"), json!(loss))));
    object.extend(row.scores.iter().map(|(name, score)| (format!("eval/{name}"), json!(score))));
    Value::Object(object)
}

/// Empty where a run has no such number; `NaN` where it is none.
fn cell(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn toml_cell(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => panic!("this is a bug: every record is as long as the header ({other:?})"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Outcome;
    use crate::made_up::{self, evaluated, finished, started, step};

    fn runs(root: &std::path::Path) -> [RunFolder; 2] {
        let a = [
            started(0, 20),
            evaluated(0, 0.5, false),
            step(10),
            step(20),
            evaluated(20, 0.8, true),
            finished(20, Outcome::Completed, Some(20)),
        ];
        let b = [started(0, 20), step(10)];
        [made_up::run(&root.join("a"), &a), made_up::run(&root.join("b"), &b)]
    }

    fn text(write: impl FnOnce(&mut dyn Write) -> Result<(), FlatError>) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn steps_stand_under_the_tags_of_the_tensorboard_log() {
        let root = tempfile::tempdir().unwrap();
        let lines = text(|out| write_steps(&runs(root.path()), out));
        let expected = "\
run,step,time,train/epoch,train/loss,train/learning_rate,train/grad_norm,train/examples,train/tokens,\
train/examples_per_second,train/tokens_per_second,train/elapsed_seconds,train/memory,eval/mrr,eval/ndcg
a,0,1000000001,0,,,,,,,,,,0.25,0.5
a,10,1000000002,0.1,0.1,0.00002,1.5,320,9000,10,300,10,,,
a,20,1000000003,0.2,0.05,0.00002,1.5,640,18000,10,300,20,,0.4,0.8
b,10,1000000001,0.1,0.1,0.00002,1.5,320,9000,10,300,10,,,
";
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_summary_is_a_line_a_run() {
        let root = tempfile::tempdir().unwrap();
        let lines = text(|out| write_summaries(&runs(root.path()), out));
        let expected = "\
run,status,created,temper_version,seed,device,instruction_set,base,base_fingerprint,data_hashes,metric,baseline,\
best,best_step,step,total_steps,elapsed_seconds,config_hash,config.seed,config.train.learning_rate,eval/mrr,eval/ndcg
a,completed,2026-03-04T05:06:07Z,0.1.0,42,cpu,avx2,m,f,,ndcg,0.5,0.8,20,20,20,20.0,c,42,0.00002,0.4,0.8
b,died,2026-03-04T05:06:07Z,0.1.0,42,cpu,avx2,m,f,,,,,,10,20,10.0,c,42,0.00002,,
";
        assert_eq!(lines, expected);
    }

    #[test]
    fn json_holds_all_of_it() {
        let root = tempfile::tempdir().unwrap();
        let value: Value = serde_json::from_str(&text(|out| write_json(&runs(root.path()), out))).unwrap();
        assert_eq!(value[0]["summary"]["best"], 0.8);
        assert_eq!(value[0]["history"][2]["eval/ndcg"], 0.8);
        assert_eq!(value[1]["config"]["train.learning_rate"], 2e-5);
        assert_eq!(text(|out| write_json(&[], out)), "[]\n");
    }
}
