//! Runs by hand, for tests of what reads them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::{Base, CheckpointIndex, Event, Outcome, RunFolder, RunManifest, SealedWriter, Stamped};

/// A run with these events, config and manifest, and no checkpoint.
pub(crate) fn run(path: &Path, events: &[Event]) -> RunFolder {
    let run = RunFolder::create_exact(path).unwrap();
    let manifest = RunManifest {
        temper_version: "0.1.0".into(),
        created: "2026-03-04T05:06:07Z".into(),
        seed: 42,
        device: "cpu".into(),
        instruction_set: "avx2".into(),
        threads: 2,
        base: Base { reference: "m".into(), fingerprint: "f".into(), revision: None },
        data: Vec::new(),
        config_hash: "c".into(),
        argv: vec!["temper".into(), "train".into()],
    };
    manifest.write(&run.manifest_path()).unwrap();
    fs::write(run.config_path(), "seed = 42\n[train]\nlearning_rate = 2e-5\n").unwrap();
    let mut text = String::new();
    for (place, event) in events.iter().enumerate() {
        let stamped = Stamped { time: 1e9 + place as f64, event: event.clone() };
        text += &(serde_json::to_string(&stamped).unwrap() + "\n");
    }
    fs::write(run.events_path(), text).unwrap();
    run
}

/// Gives the run checkpoints, the newest of them being the last.
pub(crate) fn checkpoints(run: &RunFolder, steps: &[u64], best: Option<u64>) {
    let mut index = CheckpointIndex::default();
    for &step in steps {
        let mut writer = SealedWriter::new(&run.checkpoint(step)).unwrap();
        for (name, bytes) in [("model/model.safetensors", 100), ("optimizer.safetensors", 200)] {
            writer.write_file(name, |file| file.write_all(&vec![1; bytes])).unwrap();
        }
        writer.seal(serde_json::json!({ "step": step })).unwrap();
        index = index.after_save(step, Some(step) == best, 99);
    }
    run.write_index(&index).unwrap();
}

pub(crate) fn started(step: u64, total_steps: u64) -> Event {
    Event::Started { run: "x".into(), step, total_steps, plan: serde_json::Value::Null }
}

pub(crate) fn step(step: u64) -> Event {
    Event::Step {
        step,
        epoch: step as f64 / 100.0,
        loss: 1.0 / step as f64,
        set_losses: BTreeMap::new(),
        learning_rate: 2e-5,
        grad_norm: 1.5,
        examples: 32 * step,
        tokens: 900 * step,
        examples_per_second: 10.0,
        tokens_per_second: 300.0,
        elapsed_seconds: step as f64,
        memory: None,
    }
}

pub(crate) fn evaluated(step: u64, score: f64, best: bool) -> Event {
    let scores = BTreeMap::from([("ndcg".to_owned(), score), ("mrr".to_owned(), score / 2.0)]);
    Event::Evaluated {
        step,
        epoch: step as f64 / 100.0,
        scores,
        metric: "ndcg".into(),
        best,
        elapsed_seconds: 1.0,
    }
}

pub(crate) fn finished(step: u64, outcome: Outcome, best_step: Option<u64>) -> Event {
    Event::Finished { step, outcome, best_step, message: String::new() }
}
