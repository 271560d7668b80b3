//! What is around the commands: devices, help, completions, manual pages, the log.
#![allow(clippy::unwrap_used)]

use serde_json::Value;

use crate::golden;
use crate::place::{Place, model};

#[test]
fn devices_are_listed_with_what_they_are_or_what_is_missing() {
    let place = Place::new();
    let rows: Vec<Value> = serde_json::from_str(&place.ok(&["devices", "--json"])).unwrap();
    let lines = place.ok(&["devices"]);
    assert_eq!(rows.len(), lines.lines().count());
    assert_eq!(rows.iter().filter(|row| row["auto"] == true).count(), 1);
    assert_eq!((&rows[0]["device"], &rows[0]["usable"]), (&"cpu".into(), &true.into()));
    for (row, line) in rows.iter().zip(lines.lines()) {
        assert!(line.starts_with(row["device"].as_str().unwrap()), "{line}");
        assert!(line.contains(row["about"].as_str().unwrap()), "{line}");
        assert_eq!(row["usable"] == true, row["remedy"].is_null(), "{row}");
    }
}

/// Whatever keeps a device from being used: one message with a remedy, from every command, before any work.
#[test]
fn a_device_that_cannot_be_used_is_refused_everywhere() {
    let place = Place::new();
    let model = model("bert-mean-norm");
    let missing: Vec<Value> = serde_json::from_str(&place.ok(&["devices", "--json"])).unwrap();
    place.write("c.toml", format!("[model]\nbase = {model:?}\n[data]\ntrain = [\"t.jsonl\"]\n"));
    place.write("t.jsonl", "{\"anchor\": \"a\", \"positive\": \"b\"}\n".repeat(9));
    // No machine has as many GPUs as this.
    let missing =
        missing.iter().filter(|row| row["usable"] == false).map(|row| row["device"].as_str().unwrap());
    for device in missing.chain(["cuda:99"]) {
        for args in [
            &["embed", &model, "--text", "x"][..],
            &["similarity", &model, "x", "y"],
            &["eval", &model, "t.jsonl"],
            &["info", &model],
            &["train", "c.toml", "--run", "r"],
        ] {
            let errors = place.refused(&[args, &["--device", device]].concat());
            assert!(
                errors.starts_with(&format!("error: the device `{device}` cannot be used: ")),
                "{errors}"
            );
            assert!(errors.contains("\nhint: ") && errors.contains("--device cpu"), "{errors}");
            assert_eq!(errors.lines().count(), 2, "{errors}");
        }
    }
    assert!(!place.path("r").exists());
    let errors = place.refused(&["embed", &model, "--text", "x", "--device", "gpu"]);
    assert!(errors.contains("`gpu` is no device; known: auto, cpu, cuda, cuda:N, ndarray"), "{errors}");
    let errors = place.refused(&["train", "c.toml", "--set", "device=gpu"]);
    assert!(errors.contains("`gpu` is no device"), "{errors}");
}

/// `auto` is the CPU where there is no GPU, and the device of the tests gives its vectors to a few last digits.
#[test]
fn the_device_changes_no_vector() {
    let place = Place::new();
    let model = model("bert-mean-norm");
    let of = |device: &str| -> Vec<f32> {
        let printed = place.ok(&["embed", &model, "--text", "the dog runs", "--device", device]);
        serde_json::from_value(serde_json::from_str::<Value>(&printed).unwrap()["embedding"].clone()).unwrap()
    };
    let cpu = of("cpu");
    for device in ["auto".to_owned(), golden::device_name().to_string()] {
        assert!(golden::max_difference(&of(&device), &cpu) <= 1e-5, "{device}");
    }
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.ok(&["completions", shell]);
        assert!(script.contains("similarity") && script.contains("log-file"), "{shell}");
    }
    assert!(place.ok(&["man"]).contains("temper\\-embed"));
    place.ok(&["man", "pages"]);
    let page = std::fs::read_to_string(place.path("pages/temper-embed.1")).unwrap();
    assert!(page.contains("Examples:") && page.contains("truncate"), "{page}");
    assert!(place.path("pages/temper.1").is_file() && place.path("pages/temper-config-check.1").is_file());
}

#[test]
fn the_log_file_holds_what_was_said_and_more() {
    let place = Place::new();
    let model = model("bert-mean-norm");
    let logged = |args: &[&str]| {
        let before = std::fs::read_to_string(place.path("log")).unwrap_or_default();
        let output = place.run(&[args, &["--log-file", "log"]].concat());
        let log = std::fs::read_to_string(place.path("log")).unwrap();
        let added = log.strip_prefix(&before).unwrap().to_owned();
        (String::from_utf8(output.stderr).unwrap(), added)
    };
    let embed = ["embed", &model, "--text", "x", "-o", "v.npy"];
    let (said, log) = logged(&[&embed[..], &["--quiet"]].concat());
    assert_eq!(said, "");
    for what in
        ["Z debug   temper ", "Z debug   read `", "Z note    1 vectors of 32", "Z debug   ended after"]
    {
        assert!(log.contains(what), "no {what} in {log}");
    }
    let (said, _) = logged(&[&embed[..], &["--verbose"]].concat());
    for line in ["threads, ", "to cpu in ", "1 vectors of 32", "ended after"] {
        assert!(said.contains(line), "no {line} in {said}");
    }
    let (said, log) = logged(&["embed", "nowhere", "--text", "x"]);
    assert!(said.starts_with("error: ") && said.contains("\nhint: "), "{said}");
    assert!(
        log.contains(&format!("Z error   {}", &said.lines().next().unwrap()["error: ".len()..])),
        "{log}"
    );
    assert!(place.refused(&["devices", "--log-file", "no/such/folder/log"]).contains("no/such/folder/log"));
    assert!(place.refused(&["devices", "-q", "-v"]).contains("hint: `--help`"));
}
