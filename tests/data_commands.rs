//! `temper data split` and `convert`, and bad rows in all the data commands.

use std::collections::HashSet;

use serde_json::Value;

use crate::place::{Place, model};

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

/// What the `datasets` library wrote, two shards and a split to judge by: `tests/fixtures/make_hub_dataset.py`.
fn hub_dataset() -> String {
    format!("{}/tests/fixtures/hub-dataset", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn folders_of_the_hub_are_read_by_split() {
    let place = Place::new();
    let folder = hub_dataset();
    let triplets = format!("{folder}/triplet");
    let told = place.ok(&["data", "inspect", &triplets]);
    assert!(told.contains("7 triplets") && told.contains("train-00001-of-00002.parquet: 3 rows"), "{told}");
    assert!(place.ok(&["data", "inspect", &triplets, "--split", "dev"]).contains("2 triplets"));
    let refused = place.refused(&["data", "inspect", &folder]);
    assert!(refused.contains("several data sets: `pair-class`, `triplet`"), "{refused}");
    let refused = place.refused(&["mine", "--bm25", &triplets, "--split", "test"]);
    assert!(refused.contains("no split `test`; it has `train`, `validation`"), "{refused}");
    place.ok(&[
        "data",
        "convert",
        &format!("{folder}/pair-class"),
        "--columns",
        "class=label",
        "-o",
        "nli.jsonl",
    ]);
    let text = std::fs::read_to_string(place.path("nli.jsonl")).unwrap();
    assert_eq!(
        text.lines().next(),
        Some("{\"sentence1\":\"premise 0\",\"sentence2\":\"hypothesis 0\",\"class\":0}")
    );
    let scores = place.ok(&["eval", &model("bert-mean-norm"), &triplets, "--json"]);
    let scores: Value = serde_json::from_str(&scores).unwrap();
    assert_eq!((&scores["task"], &scores["texts"]), (&"triplets".into(), &6.into()));
}

#[test]
fn a_config_names_folders_of_the_hub() {
    let place = Place::new();
    let folder = format!("{}/triplet", hub_dataset());
    let base = model("bert-mean-norm");
    let list = format!("[\"{folder}\"]");
    place.write("x.toml", format!("[model]\nbase = \"{base}\"\n[data]\ntrain = {list}\neval = {list}\n"));
    let plan = place.ok(&["config", "check", "x.toml"]);
    assert!(plan.contains("7 triplets") && plan.contains("validation-00000-of-00001.parquet"), "{plan}");
    place.ok(&["train", "x.toml", "--run", "r", "--set", "train.num_train_epochs=1"]);
    let manifest = std::fs::read_to_string(place.path("r/manifest.json")).unwrap();
    assert_eq!(manifest.matches(".parquet").count(), 3, "{manifest}");
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
