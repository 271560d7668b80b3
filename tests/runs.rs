//! Runs looked at, compared, exported, pruned and repeated, as a person types it.

use serde_json::Value;

use crate::place::{self, model, text_of};
use crate::resume::run::{Place, REFERENCE, Run, STEPS, message, pause, signal};

/// stderr of a command that must be refused with code 2.
fn refused(place: &Place, args: &[&str]) -> String {
    let output = place.temper(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", message(&output));
    message(&output)
}

fn json(place: &Place, args: &[&str]) -> Value {
    serde_json::from_str(&text_of(&place.temper(args))).unwrap()
}

/// Name and status of every run in the place.
fn statuses(place: &Place) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let listed = json(place, &["runs", "--root", ".", "--json"]);
    listed.as_array().unwrap().iter().map(|run| (text(&run["run"]), text(&run["status"]))).collect()
}

fn copy_of(run: &Run, name: &str) {
    let copied = std::process::Command::new("cp")
        .args(["-r".as_ref(), run.0.as_os_str(), run.0.with_file_name(name).as_os_str()])
        .status();
    assert!(copied.unwrap().success());
}

#[test]
fn a_rerun_ends_with_the_same_bytes() {
    let place = Place::new();
    let run = place.finished("x", &["--threads", "1"]);
    let said = text_of(&place.temper(&["rerun", "x", "--run", "again"]));
    assert!(said.contains("the model is the same as x@42, byte for byte"), "{said}");
    let again = place.run("again");
    assert_eq!(again.bytes(STEPS), run.bytes(STEPS));
    assert_eq!(again.bytes(STEPS), *REFERENCE);
    let compared = text_of(&place.temper(&["runs", "compare", "x", "again"]));
    assert!(compared.contains("the configs are the same") && !compared.contains("(differs)"), "{compared}");
}

#[test]
fn changed_data_are_not_trained_on_unasked() {
    let place = Place::new();
    place.finished("x", &[]);
    let data = place.path("train.jsonl");
    let text = std::fs::read_to_string(&data).unwrap();
    std::fs::write(&data, text.replacen("Wet lube or dry", "Dry lube or wet", 1)).unwrap();
    let again = ["rerun", "x", "--run", "again"];
    let said = refused(&place, &again);
    assert!(said.contains("`train.jsonl` has 105834 bytes with the hash"), "{said}");
    assert!(said.contains("--allow-changed data") && !place.path("again").exists(), "{said}");
    let said = text_of(&place.temper(&[&again[..], &["--allow-changed", "data"]].concat()));
    assert!(said.contains("the model differs from x@42"), "{said}");
    std::fs::remove_file(data).unwrap();
    assert!(refused(&place, &["rerun", "x"]).contains("`train.jsonl` is missing"));
}

#[test]
fn another_base_is_not_trained_from_unasked() {
    let place = place::Place::new();
    place.copy_model("bert-mean-norm", "base");
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/train.jsonl");
    place.ok(&["init", data, "--base", "base", "-o", "x.toml"]);
    let short = ["--set", "train.max_steps=3", "--set", "train.learning_rate=1e-3"];
    place.ok(&[&["train", "x.toml", "--run", "x"], &short[..]].concat());
    place.ok(&["export", "x@last", "base", "--force"]);
    let said = place.refused(&["rerun", "x", "--run", "again"]);
    assert!(
        said.contains("base `base` has the fingerprint") && said.contains("--allow-changed base"),
        "{said}"
    );
    place.ok(&["rerun", "x", "--run", "again", "--allow-changed", "base"]);
    // What `--set` names needs no permission.
    let base = format!("model.base={}", model("bert-mean-norm"));
    place.ok(&["rerun", "x", "--run", "third", "--set", &base]);
}

#[test]
fn another_teacher_is_learned_from_when_it_is_asked_for() {
    let place = place::Place::new();
    place.write("train.tsv", "anchor\tpositive\na\tb\nc\td\ne\tf\n");
    let [base, other] = ["bert-mean-norm", "roberta-mean-norm"].map(model);
    place.write(
        "x.toml",
        format!(
            "[model]\nbase = {base:?}\n[data]\ntrain = [\"train.tsv\"]\nheld_out = 0\n[loss]\nname = \"mse\"\n\
             teacher = {base:?}\n[train]\nmax_steps = 1\n"
        ),
    );
    place.ok(&["train", "x.toml", "--run", "x"]);
    place.ok(&["rerun", "x", "--run", "again", "--set", &format!("loss.teacher={other}")]);
    // What else is other is told all the same.
    place.write("train.tsv", "anchor\tpositive\na\tb\nc\td\ne\tg\n");
    let said = place.refused(&["rerun", "x", "--run", "third", "--set", &format!("loss.teacher={other}")]);
    assert!(said.contains("`train.tsv` has"), "{said}");
}

#[test]
fn an_edited_config_is_not_repeated_unasked() {
    let place = Place::new();
    let run = place.finished("x", &["--set", "train.max_steps=1"]);
    let config = run.0.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("max_steps = 1", "max_steps = 2")).unwrap();
    let said = refused(&place, &["rerun", "x"]);
    assert!(said.contains("config.toml was edited") && said.contains("--allow-changed config"), "{said}");
    text_of(&place.temper(&["rerun", "x", "--run", "again", "--allow-changed", "config"]));
    assert_eq!(place.run("again").whole().last(), Some(&2));
}

#[test]
fn a_run_is_running_while_its_process_lives_and_no_copy_of_it_is() {
    let place = Place::new();
    let run = place.run("x");
    let mut child = place.start("x", &["--set", "train.num_train_epochs=2000"]);
    while run.events("step").is_empty() || !run.0.join("heartbeat.json").is_file() {
        pause();
    }
    let seen = |status: &str| ("x".to_owned(), status.to_owned());
    assert_eq!(statuses(&place), [seen("running")]);
    // A process that the machine has frozen lives.
    signal(&child, "STOP");
    copy_of(&run, "y");
    assert_eq!(statuses(&place), [seen("running"), ("y".to_owned(), "died".to_owned())]);
    let pruned = json(&place, &["runs", "prune", "--root", ".", "--json", "--yes", "x"]);
    assert_eq!(pruned.as_array().unwrap().len(), 0, "a living run is left alone");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(statuses(&place)[0], seen("died"));
    place.finished("z", &["--set", "train.max_steps=1"]);
    assert_eq!(statuses(&place)[2], ("z".to_owned(), "completed".to_owned()));
    assert!(!place.path("z/heartbeat.json").exists(), "it ended by itself");
}

#[test]
fn pruning_leaves_what_others_load() {
    let place = Place::new();
    let run = place.finished("x", &["--set", "train.save_total_limit=9"]);
    std::fs::create_dir(run.0.join("checkpoints/.step-000041.partial")).unwrap();
    let all = run.whole();
    let said = refused(&place, &["runs", "prune", "x"]);
    assert!(said.contains("--yes"), "{said}");
    assert_eq!((run.whole(), run.half()), (all.clone(), vec![41]), "nobody agreed");
    text_of(&place.temper(&["runs", "prune", "x", "--yes"]));
    let kept = run.whole();
    assert!(kept.len() <= 2 && kept.contains(&STEPS) && all.len() > 5, "{kept:?} of {all:?}");
    assert_eq!(run.half(), Vec::<u64>::new());
    assert_eq!(run.bytes(STEPS), *REFERENCE);
    place.resumed("x", &[]);

    let output = place.temper(&["runs", "prune", "x", "--yes", "--optimizer-state"]);
    assert!(message(&output).contains("NEVER be resumed") && output.status.success(), "{}", message(&output));
    text_of(&place.temper(&["export", "x", "exported"]));
    for reference in ["x", "x@best", "x@last"] {
        text_of(&place.temper(&["eval", reference, "train.jsonl"]));
    }
    let before = std::fs::read(run.0.join("events.jsonl")).unwrap();
    let said = place.refused(&["--resume", "x", "--set", "train.num_train_epochs=3"]);
    assert!(said.contains("its optimizer state was pruned"), "{said}");
    assert_eq!(std::fs::read(run.0.join("events.jsonl")).unwrap(), before, "a refusal changes nothing");
    text_of(&place.temper(&["rerun", "x", "--run", "again"]));
}

#[test]
fn runs_are_exported_step_by_step_and_in_a_line() {
    let place = Place::new();
    place.finished("x", &["--set", "train.max_steps=12"]);
    let steps = text_of(&place.temper(&["runs", "export", "x"]));
    assert_eq!(steps.lines().count(), 1 + 13, "a header, the baseline and 12 steps");
    assert!(steps.starts_with("run,step,time,train/epoch,train/loss,"), "{steps}");
    text_of(&place.temper(&["runs", "export", "x", "--summary", "-o", "x.csv"]));
    let summary = std::fs::read_to_string(place.path("x.csv")).unwrap();
    assert!(
        summary.contains("config.train.learning_rate") && summary.contains("\nx,completed,"),
        "{summary}"
    );
    let value = json(&place, &["runs", "export", "x", "--format", "json"]);
    assert_eq!(value[0]["history"].as_array().unwrap().len(), 13);
    assert_eq!(value[0]["summary"]["step"], 12);
}

#[test]
fn broken_runs_are_told_and_hide_no_other() {
    let place = Place::new();
    place.finished("x", &["--set", "train.max_steps=1"]);
    std::fs::create_dir_all(place.path("half/checkpoints")).unwrap();
    std::fs::create_dir(place.path("photos")).unwrap();
    let output = place.temper(&["runs", "--root", "."]);
    let listed = text_of(&output);
    assert!(listed.contains(" x ") && listed.contains("completed"), "{listed}");
    assert!(
        listed.contains("broken    ./half: `./half` is not a run folder: it has no manifest.json"),
        "{listed}"
    );
    assert!(message(&output).contains("not a run: ./photos"));
    assert!(refused(&place, &["runs", "show", "photos"]).contains("RUN `photos` is no run"));
}
