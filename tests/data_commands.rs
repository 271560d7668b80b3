//! `temper data split` and `convert`.

use std::collections::HashSet;

use serde_json::Value;

use crate::place::Place;

fn texts(place: &Place, name: &str) -> HashSet<String> {
    let text = std::fs::read_to_string(place.path(name)).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.flat_map(|row| [row["anchor"].to_string(), row["positive"].to_string()]).collect()
}

#[test]
fn parts_share_no_text_and_are_not_replaced() {
    let place = Place::new();
    let row = |i: usize| format!("{{\"q\": \"question {}\", \"a\": \"answer {i}\"}}\n", i / 2);
    place.write("all.jsonl", (0..100).map(row).collect::<String>());
    let split =
        ["data", "split", "all.jsonl", "--columns", "anchor=q,positive=a", "-o", "parts", "--test", "0.2"];
    let told = place.ok(&split);
    assert!(told.contains("dev          10") && told.contains("test         20"), "{told}");
    let parts = ["parts/train.jsonl", "parts/dev.jsonl", "parts/test.jsonl"].map(|name| texts(&place, name));
    assert_eq!(parts.iter().map(HashSet::len).sum::<usize>(), 150);
    assert!(parts[0].is_disjoint(&parts[1]) && parts[0].is_disjoint(&parts[2]));
    assert!(place.refused(&split).contains("is there already"));
    let none = ["data", "split", "all.jsonl", "-o", "x", "--dev", "0.7", "--test", "0.5"];
    assert!(place.refused(&none).contains("leave no parts"));
}

#[test]
fn files_of_any_format_become_one_with_the_usual_names() {
    let place = Place::new();
    place.write("a.csv", "frage,antwort\n\"x, y\",z\n");
    let convert = ["data", "convert", "a.csv", "--columns", "anchor=frage,positive=antwort", "-o"];
    place.ok(&[&convert[..], &["a.jsonl"]].concat());
    let text = std::fs::read_to_string(place.path("a.jsonl")).unwrap();
    assert_eq!(text, "{\"anchor\":\"x, y\",\"positive\":\"z\"}\n");
    assert!(place.refused(&[&convert[..], &["a.jsonl"]].concat()).contains("is there already"));
    place.ok(&[&convert[..], &["a.jsonl", "--force"]].concat());
    assert!(place.refused(&[&convert[..], &["a.parquet"]].concat()).contains("parquet"));
    let nowhere = place.run(&["data", "convert", "a.jsonl", "-o", "no/place.tsv"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8(nowhere.stderr).unwrap().contains("no/place.tsv"));
}

const TRAIN: &str = "\
{\"anchor\": \"how do I oil a chain\", \"positive\": \"drip oil on the chain\"}
{\"anchor\": \"how do I oil a chain\", \"positive\": \"drip oil on the chain\"}
{\"anchor\": \"how do I fix a flat tyre\", \"positive\": \"patch the tube\"}
{\"anchor\": \"what is judged\", \"positive\": \"what is judged\"}
";

#[test]
fn the_doctor_names_places_cleans_and_gates() {
    let place = Place::new();
    place.write("train.jsonl", TRAIN);
    place.write("dev.jsonl", "{\"anchor\": \"how do I fix a flat tyre\", \"positive\": \"glue\"}\n");
    let base = ["data", "doctor", "train.jsonl", "--eval", "dev.jsonl"];
    let told = place.ok(&base);
    for expected in ["train.jsonl:2  as train.jsonl:1", "its anchor is in dev.jsonl:1", "same_text"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let files = ["--json", "--cleaned", "clean.jsonl", "--exclusions", "wrong.jsonl"];
    let report: Value = serde_json::from_str(&place.ok(&[&base[..], &files].concat())).unwrap();
    assert_eq!(report["findings"].as_array().unwrap().len(), 3);
    assert_eq!((&report["kept"], &report["checks"][0]["share"]), (&1.into(), &0.25.into()));
    let clean = std::fs::read_to_string(place.path("clean.jsonl")).unwrap();
    assert_eq!(clean.lines().count(), 1);
    let wrong = std::fs::read_to_string(place.path("wrong.jsonl")).unwrap();
    assert!(wrong.lines().count() == 2 && wrong.contains("{\"query\":\"what is judged\""), "{wrong}");
    place.ok(&["data", "inspect", "train.jsonl", "--exclude", "wrong.jsonl"]);

    place.write("limits.toml", "duplicate = 0.25\nleak = 0.1\n");
    let gated = place.run(&[&base[..], &["--limits", "limits.toml"]].concat());
    let errors = String::from_utf8(gated.stderr).unwrap();
    assert_eq!(gated.status.code(), Some(1));
    assert!(errors.contains("above the limits: leak: 0.2500 of the examples, at most 0.1"), "{errors}");
    place.write("limits.toml", "leeks = 0.1\n");
    let errors = place.refused(&[&base[..], &["--limits", "limits.toml"]].concat());
    assert!(errors.contains("no check `leeks`") && errors.contains("near_leak"), "{errors}");
}

#[test]
fn with_a_model_the_doctor_sees_pairs_that_do_not_fit() {
    let place = Place::new();
    let row =
        |i: usize| format!("{{\"anchor\": \"word{i} w{i} x{i}\", \"positive\": \"word{i} w{i} x{i} y\"}}\n");
    let mut text: String = (0..20).map(row).collect();
    text.push_str("{\"anchor\": \"word1 w1 x1 z\", \"positive\": \"word9 q\"}\n");
    place.write("train.jsonl", text);
    let model = crate::place::model("bert-mean-norm");
    let args = ["data", "doctor", "train.jsonl", "--no-cache", "--model", &model, "--rank", "1", "--json"];
    let report: Value = serde_json::from_str(&place.ok(&args)).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let weak = findings.iter().any(|f| f["check"] == "weak_positive" && f["place"] == "train.jsonl:21");
    assert!(weak && report["false_negative_in_batch"].as_f64().unwrap() > 0.0, "{report}");
    assert!(
        place
            .refused(&["data", "doctor", "train.jsonl", "--model", &model, "--rank", "0"])
            .contains("--rank")
    );
}

#[test]
fn a_bad_row_ends_the_command_or_is_left_out_and_told() {
    let place = Place::new();
    place.write("bad.jsonl", "{\"anchor\": \"a b\", \"positive\": \"c d\"}\n{\"anchor\": \"a\"}\n");
    for command in [&["data", "doctor"][..], &["data", "convert", "-o", "out.jsonl"], &["mine", "--bm25"]] {
        let errors = place.refused(&[command, &["bad.jsonl"]].concat());
        assert!(errors.contains("bad.jsonl:2") && errors.contains("--skip-bad-rows"), "{errors}");
        let output = place.run(&[command, &["bad.jsonl", "--skip-bad-rows"]].concat());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && told.contains("bad rows left out: 1"), "{told}");
    }
    assert!(place.refused(&["data", "doctor", "bad.jsonl", "--limits", "none.toml"]).contains("none.toml"));
}
