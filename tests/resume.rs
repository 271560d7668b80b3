//! A run that stops, for whatever reason, goes on as if nothing had happened: at its end are the same bytes.

mod kill;
mod remining;
pub mod run;
mod streaming;

use kill::{Moment, killed};
use run::{Place, REFERENCE, Run, STEPS, message, pause, signal};
use std::process::Child;

use crate::golden::Tensors;

#[test]
fn threads_and_other_save_steps_give_the_same_bytes() {
    let place = Place::new();
    for (name, args) in [
        ("one-thread", ["--threads", "1"]),
        ("two-threads", ["--threads", "2"]),
        ("five-threads", ["--threads", "5"]),
        ("saved-elsewhere", ["--set", "train.save_steps=7"]),
        ("never-saved", ["--set", "train.save_steps=0"]),
    ] {
        assert_eq!(place.finished(name, &args).bytes(STEPS), *REFERENCE, "{name}");
    }
}

#[test]
fn a_signal_ends_the_run_after_the_step_and_says_how_to_go_on() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        if name == "HUP" && hanging_up_is_ignored() {
            continue;
        }
        let place = Place::new();
        let (run, child) = signalled(&place, name, |child| child.wait().unwrap().code() == Some(code));
        let output = child.wait_with_output().unwrap();
        assert!(message(&output).contains("train --resume x"), "{}", message(&output));
        assert_eq!(run.whole().last(), run.events("finished").last(), "the step it ended at is saved");
        let output = place.train(&["--resume", "x"]).output().unwrap();
        assert!(output.status.success(), "{}", message(&output));
        run.assert_as_if_nothing_had_happened(name);
        // Scores are told against the baseline, which this process has not seen.
        let told = message(&output);
        let last = told.lines().find(|line| line.starts_with("step 42  cosine_ndcg@10 "));
        assert!(last.is_some_and(|line| line.contains(" (+") || line.contains(" (-")), "{told}");
    }
}

/// Whether these tests run under `nohup`, whose children are to outlive the terminal.
fn hanging_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1
}

/// A run that got a signal between its first and its last step, as `caught` tells.
fn signalled(place: &Place, name: &str, caught: impl Fn(&mut Child) -> bool) -> (Run, Child) {
    for _ in 0..100 {
        let run = place.run("x");
        let _ = std::fs::remove_dir_all(&run.0);
        let mut child = place.start("x", &[]);
        while run.events("step").is_empty() {
            pause();
        }
        signal(&child, name);
        if caught(&mut child) {
            return (run, child);
        }
        signal(&child, "CONT");
        assert!(child.wait().unwrap().success(), "neither caught nor finished");
    }
    panic!("no SIG{name} fell between two steps in 100 tries");
}

#[test]
fn one_process_trains_a_run_at_a_time() {
    let place = Place::new();
    let run = place.run("x");
    let (_, mut child) = signalled(&place, "STOP", |_| run.events("finished").is_empty());
    let message = place.refused(&["--resume", "x"]);
    assert!(message.contains("another temper process is training in `x`"), "{message}");
    signal(&child, "CONT");
    assert!(child.wait().unwrap().success());
    run.assert_as_if_nothing_had_happened("the refused one changed nothing");
}

/// What a loss owns, and what it leaves to chance, goes on as the encoder does.
#[test]
fn losses_with_parameters_and_draws_resume_with_the_same_bytes() {
    let twice =
        ["--set", "data.columns={anchor=\"positive\", positive=\"positive\"}", "--set", "data.held_out=0"];
    let classes = ["--set", "data.train=[\"nli.jsonl\"]", "--set", "data.held_out=0"];
    let layers = "loss.adaptive_layers={n_layers_per_step=1}";
    let two_d =
        ["--set", "loss.matryoshka_dims=[16, 8, 4]", "--set", "loss.n_dims_per_step=1", "--set", layers];
    let place = Place::new();
    let nli = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nli.jsonl");
    std::fs::copy(nli, place.path("nli.jsonl")).unwrap();
    for (loss, settings) in [
        ("softmax", &classes[..]),
        ("contrastive_tension", &twice),
        ("contrastive_tension_in_batch", &[&twice[..], &["--set", "loss.mini_batch_size=3"]].concat()),
        ("multiple_negatives_ranking", &two_d),
    ] {
        let name = format!("loss.name={loss}");
        let args = [&["--set", &name, "--set", "train.max_steps=12"], settings].concat();
        let whole = place.finished(&format!("{loss}-whole"), &args);
        let run = place.finished(loss, &args);
        assert!(run.whole().contains(&10), "{loss}: {:?}", run.whole());
        place.resumed(&format!("{loss}@10"), &[]);
        assert_eq!(run.bytes(12), whole.bytes(12), "{loss}");
        let parameters = Tensors::read(&run.checkpoint(12).join("optimizer.safetensors")).names();
        let owned = parameters.iter().filter(|name| name.starts_with("parameter#")).count();
        assert_eq!(owned > 0, loss != "multiple_negatives_ranking", "{loss}");
        let trained = parameters.iter().filter(|name| name.starts_with("owned.") && name.ends_with("#first"));
        assert_eq!(trained.count(), owned, "{loss}: every parameter of the loss is trained");
    }
}

/// Which texts of a class meet in a batch is a function of the epoch, and not of what came before.
#[test]
fn batches_by_label_resume_with_the_same_bytes() {
    let place = Place::new();
    let intents = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/intents.jsonl");
    std::fs::copy(intents, place.path("intents.jsonl")).unwrap();
    let args = [
        "--set",
        "data.train=[\"intents.jsonl\"]",
        "--set",
        "loss.name=batch_hard_soft_margin_triplet",
        "--set",
        "train.max_steps=12",
    ];
    let whole = place.finished("whole", &args);
    let run = place.finished("x", &args);
    place.resumed("x@10", &[]);
    assert_eq!(run.bytes(12), whole.bytes(12));
    let streamed = place.finished("streamed", &[&args[..], &["--set", "data.streaming=true"]].concat());
    assert_eq!(streamed.bytes(12), whole.bytes(12));
    let shuffled = place.finished("y", &[&args[..], &["--set", "train.batch_sampler=shuffle"]].concat());
    assert_ne!(shuffled.bytes(12), whole.bytes(12), "grouped by default");
}

/// With a constant rate the schedule does not know how long the run will be.
#[test]
fn an_extended_run_equals_one_that_was_as_long_from_the_start() {
    let constant = ["--set", "train.lr_scheduler_type=constant", "--set", "train.warmup_ratio=0"];
    let place = Place::new();
    let long = place.finished("long", &[&constant[..], &["--set", "train.num_train_epochs=3"]].concat());
    let run = place.finished("x", &constant);
    assert_eq!(run.whole().last(), Some(&STEPS));
    place.resumed("x", &["--set", "train.num_train_epochs=3"]);
    assert_eq!(run.bytes(63), long.bytes(63));
    assert_eq!(run.events("step"), (1..=63).collect::<Vec<_>>());
    // The extension is the run's own config from now on.
    place.resumed("x", &[]);
    assert_eq!(run.whole().last(), Some(&63));
}

#[test]
fn a_changed_config_is_refused_until_allowed() {
    let place = Place::new();
    let run = place.finished("x", &["--set", "train.num_train_epochs=1"]);
    let message = place.refused(&["--resume", "x", "--set", "train.learning_rate=1e-4"]);
    assert!(message.contains("config changed") && message.contains("--allow-changed config"), "{message}");
    let config = run.0.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("num_train_epochs = 1", "num_train_epochs = 2")).unwrap();
    let message = place.refused(&["--resume", "x"]);
    assert!(message.contains("config.toml was edited"), "{message}");
    assert_eq!(run.whole().last(), Some(&21), "a refusal changes nothing");
    place.resumed("x", &["--allow-changed", "config"]);
    assert_eq!(run.whole().last(), Some(&STEPS));
    // What was allowed once is the run's own from then on.
    place.resumed("x", &[]);
}

#[test]
fn changed_data_are_refused_until_allowed() {
    let place = Place::new();
    let run = place.finished("x", &["--set", "train.num_train_epochs=1"]);
    let data = place.path("train.jsonl");
    let text = std::fs::read_to_string(&data).unwrap();
    std::fs::write(&data, text.replacen("Can cartridge", "May cartridge", 1)).unwrap();
    let longer = ["--resume", "x", "--set", "train.num_train_epochs=2"];
    let message = place.refused(&longer);
    assert!(
        message.contains("`train.jsonl` is not the file") && message.contains("--allow-changed data"),
        "{message}"
    );
    place.resumed("x", &["--set", "train.num_train_epochs=2", "--allow-changed", "data"]);
    assert_eq!(run.whole().last(), Some(&STEPS));
    place.resumed("x", &[]);
}

#[test]
fn a_damaged_checkpoint_is_refused_and_another_one_goes_on() {
    let place = Place::new();
    let run = place.finished("x", &[]);
    let weights = run.checkpoint(STEPS).join("model/model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let message = place.refused(&["--resume", "x"]);
    assert!(message.contains("model/model.safetensors does not have the hash"), "{message}");
    assert!(message.contains("use another checkpoint: x@40"), "{message}");
    place.resumed("x@40", &[]);
    run.assert_as_if_nothing_had_happened("from the checkpoint before the damaged one");
}

/// The step that it fails at is saved, and judged when the run goes on.
#[test]
fn an_evaluation_that_fails_loses_no_step() {
    let place = Place::new();
    let run = place.finished("x", &[]);
    let by = |metric: &str, run: &str| {
        let metric = format!("train.metric_for_best_model={metric}");
        ["--resume", run, "--allow-changed", "config", "--set", &metric].map(str::to_owned)
    };
    let said = place.refused(&by("none", "x@40").each_ref().map(String::as_str));
    assert!(said.contains("`none` is not among the scores"), "{said}");
    assert_eq!((run.whole().last(), run.events("evaluated").last()), (Some(&STEPS), Some(&40)));
    let output = place.train(&by("cosine_ndcg@10", "x").each_ref().map(String::as_str)).output().unwrap();
    assert!(output.status.success(), "{}", message(&output));
    assert_eq!(run.bytes(STEPS), *REFERENCE);
    assert_eq!(run.events("evaluated"), [0, 10, 20, 30, 40, 42]);
}

#[test]
fn another_instruction_set_is_warned_of() {
    let place = Place::new();
    let manifest = place.finished("x", &[]).0.join("manifest.json");
    let mut papers: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    papers["instruction_set"] = "abacus".into();
    std::fs::write(&manifest, papers.to_string()).unwrap();
    let output = place.train(&["--resume", "x"]).output().unwrap();
    assert!(message(&output).contains("warning: the run was started with the instruction set abacus"));
}

/// A file size limit answers a write as a full disk does.
#[test]
fn a_full_disk_while_checkpointing_loses_nothing() {
    let place = Place::new();
    let run = killed(&place, "x", Moment::InsideSave(10), &[]);
    let before = run.whole();
    // 51 kB: the weights or the moments do not fit, everything else does.
    let output = place.train_with_file_limit(100, &["--resume", "x"]);
    let said = message(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(said.contains("failed to write `x/checkpoints/.step-"), "{said}");
    assert!(said.contains("make room"), "{said}");
    assert_eq!(
        (run.whole(), run.half()),
        (before, vec![]),
        "the earlier ones are kept, and the disk is freed"
    );
    place.resumed("x", &[]);
    run.assert_as_if_nothing_had_happened("after making room");
}

#[test]
fn a_log_that_cannot_be_written_does_not_stop_the_run() {
    let place = Place::new();
    let run = place.finished("x", &["--set", "train.num_train_epochs=1"]);
    // The log alone reaches the limit of one MiB.
    let empty = r#"{"time":1.0,"event":"warned","step":0,"message":""}"#.to_owned() + "\n";
    let padded = empty.replace("\"\"", &format!("\"{}\"", "x".repeat((1 << 20) - empty.len() - 10)));
    std::fs::write(run.0.join("events.jsonl"), padded).unwrap();
    let output = place.train_with_file_limit(2048, &["--resume", "x", "--set", "train.num_train_epochs=2"]);
    assert!(output.status.success(), "{}", message(&output));
    assert_eq!(
        message(&output).matches("the event log has gaps from here on").count(),
        1,
        "{}",
        message(&output)
    );
    assert_eq!(run.whole().last(), Some(&STEPS));
}
