//! Texts that stay in their files make the same run.

use super::kill::{Moment, killed};
use super::run::{Place, REFERENCE, STEPS, message};

const STREAMING: [&str; 2] = ["--set", "data.streaming=true"];

#[test]
fn a_streamed_run_ends_with_the_same_bytes_killed_or_not() {
    let place = Place::new();
    let run = place.finished("whole", &STREAMING);
    run.assert_as_if_nothing_had_happened("streamed");
    for moment in [Moment::AfterStep(8), Moment::InsideSave(24)] {
        let run = killed(&place, "x", moment, &STREAMING);
        place.resumed("x", &[]);
        run.assert_as_if_nothing_had_happened(&format!("streamed, {moment:?}"));
    }
    // Where the texts are is no part of what is computed.
    let run = place.finished("y", &["--set", "data.streaming=false", "--set", "train.num_train_epochs=1"]);
    let args = ["--set", "train.num_train_epochs=2", "--allow-changed", "config"];
    place.resumed("y", &[&args[..], &STREAMING].concat());
    assert_eq!(run.whole().last(), Some(&STEPS));
}

#[test]
fn other_samplers_and_formats_stream_alike() {
    let place = Place::new();
    let csv = place.temper(&["data", "convert", "train.jsonl", "-o", "train.csv"]);
    assert!(csv.status.success(), "{}", message(&csv));
    for (name, sampler) in [("shuffle", "shuffle"), ("order", "sequential")] {
        let sampler = format!("train.batch_sampler={sampler}");
        let args = ["--set", &sampler, "--set", "train.num_train_epochs=1"];
        let memory = place.finished(name, &args);
        let files = place.finished(&format!("{name}-files"), &[&args[..], &STREAMING].concat());
        assert_eq!(files.bytes(21), memory.bytes(21), "{name}");
    }
    let csv = place.finished("csv", &[&["--set", "data.train=[\"train.csv\"]"][..], &STREAMING].concat());
    assert_eq!(csv.bytes(STEPS), *REFERENCE);
}

#[test]
fn a_file_that_changes_under_a_streamed_run_ends_it() {
    let place = Place::new();
    let child = place.start("x", &STREAMING);
    let run = place.run("x");
    while run.events("step").is_empty() {
        super::run::pause();
    }
    let data = place.path("train.jsonl");
    let text = std::fs::read(&data).unwrap();
    let changed = std::fs::OpenOptions::new().write(true).open(&data).unwrap();
    changed.set_len(0).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = message(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the file was changed while it was trained from"), "{said}");
    assert_eq!(run.whole().last(), run.events("step").last(), "the step before is saved");
    // Put back, it goes on to the same end.
    std::fs::write(&data, text).unwrap();
    place.resumed("x", &[]);
    assert_eq!(run.bytes(STEPS), *REFERENCE);
}
