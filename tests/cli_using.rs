//! The commands that use and judge a model, as a person runs them: on the small golden models.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use temper_vectors::{Embeddings, Precision};

use crate::place::{Place, model, text_of};

const TEXTS: &str =
    "a cat sits\nthe dog runs far away from here\n\nrain in the morning\nrain in the morning\n";

fn vectors_of(jsonl: &str) -> Embeddings {
    let rows: Vec<Vec<f32>> = jsonl
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|row| serde_json::from_value(row["embedding"].clone()).unwrap())
        .collect();
    Embeddings::from_rows(&rows).unwrap()
}

fn difference(a: &Embeddings, b: &Embeddings) -> f32 {
    assert_eq!((a.rows(), a.dim), (b.rows(), b.dim));
    a.values.iter().zip(&b.values).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[test]
fn embed_writes_the_same_vectors_to_all_four_formats() {
    let place = Place::new();
    place.write("texts.txt", TEXTS);
    let model = model("bert-mean-norm");
    let printed = vectors_of(&place.ok(&["embed", &model, "texts.txt"]));
    assert_eq!((printed.rows(), printed.dim), (5, 32));
    assert_eq!(printed.row(3), printed.row(4), "equal texts, equal vectors");
    assert_ne!(printed.row(0), printed.row(1));
    let fingerprint: Value = serde_json::from_str(&place.ok(&["info", &model, "--json"])).unwrap();
    for name in ["v.npy", "v.safetensors", "v.jsonl", "v.parquet"] {
        assert_eq!(place.ok(&["embed", &model, "texts.txt", "-o", name]), "");
        let (vectors, provenance) = temper_vectors::read(&place.path(name)).unwrap();
        assert!(difference(&printed, &vectors) < 1e-6, "{name}");
        if name != "v.jsonl" {
            let provenance = provenance.unwrap();
            assert_eq!(provenance.fingerprint, fingerprint["fingerprint"].as_str().unwrap());
            assert_eq!(provenance.precision, Precision::F32);
        }
    }
}

#[test]
fn int8_is_near_f32_at_any_thread_count_and_says_what_it_is() {
    let place = Place::new();
    place.write("texts.txt", TEXTS);
    for model in ["bert-mean-norm", "bert-cls", "bert-max-dense"].map(model) {
        let f32 = vectors_of(&place.ok(&["embed", &model, "texts.txt"])).normalized();
        let printed = place.ok(&["--threads", "1", "embed", &model, "texts.txt", "--precision", "int8"]);
        assert_eq!(
            printed,
            place.ok(&["--threads", "3", "embed", &model, "texts.txt", "--precision", "int8"])
        );
        let int8 = vectors_of(&printed).normalized();
        for row in 0..f32.rows() {
            let cosine: f32 = f32.row(row).iter().zip(int8.row(row)).map(|(x, y)| x * y).sum();
            assert!(cosine > 0.999 && f32.row(row) != int8.row(row), "{model}, row {row}: {cosine}");
        }
        place.ok(&["embed", &model, "texts.txt", "--precision", "int8", "-o", "v.npy"]);
        let provenance = temper_vectors::read(&place.path("v.npy")).unwrap().1.unwrap();
        assert_eq!(provenance.precision, Precision::Int8);
    }
}

#[test]
fn embed_reads_lines_fields_columns_stdin_and_arguments_alike() {
    let place = Place::new();
    let model = model("bert-mean-norm");
    place.write("t.txt", "one cat\ntwo dogs\n");
    place.write("t.jsonl", "{\"id\": 1, \"body\": \"one cat\"}\n{\"id\": 2, \"body\": \"two dogs\"}\n");
    place.write("t.csv", "title,body\nx,one cat\ny,two dogs\n");
    let expected = place.ok(&["embed", &model, "t.txt"]);
    assert_eq!(place.ok(&["embed", &model, "t.jsonl"]), expected);
    assert_eq!(place.ok(&["embed", &model, "t.csv", "--field", "body"]), expected);
    assert_eq!(place.ok(&["embed", &model, "--text", "one cat", "--text", "two dogs"]), expected);
    for args in [vec!["embed", &model], vec!["embed", &model, "-"], vec!["embed", &model, "-", "-o", "-"]] {
        assert_eq!(text_of(&place.run_with(&args, "one cat\ntwo dogs\n")), expected, "{args:?}");
    }
    if Path::new("/dev/stdin").exists() {
        // A pipe by its name can be read once only, and must not be replaced by a file.
        let args = ["embed", &model, "/dev/stdin", "-o", "/dev/stdout"];
        assert_eq!(text_of(&place.run_with(&args, "one cat\ntwo dogs\n")), expected);
    }
    let twice = place.ok(&["embed", &model, "t.txt", "t.jsonl"]);
    assert_eq!(twice, format!("{expected}{expected}"));
}

#[test]
fn embed_keeps_the_order_over_many_chunks() {
    let place = Place::new();
    let words = ["rain", "cat sits", "the dog runs", "morning in the far away town of cats", ""];
    let texts: String =
        (0..700).map(|row| [words[row % words.len()], &row.to_string(), "\n"].join(" ")).collect();
    place.write("many.txt", &texts);
    let printed = place.ok(&["embed", &model("bert-mean-norm"), "many.txt"]);
    let told: Vec<String> = printed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, texts.lines().collect::<Vec<_>>());
    let alone = vectors_of(&place.ok(&["embed", &model("bert-mean-norm"), "--text", &told[333]]));
    let row = Embeddings::from_rows(&[vectors_of(&printed).row(333)]).unwrap();
    assert!(difference(&alone, &row) < 1e-6);
}

#[test]
fn embed_cuts_normalizes_and_prompts() {
    let place = Place::new();
    let model = model("bert-max-dense");
    let of = |args: &[&str]| {
        vectors_of(&place.ok(&[&["embed", &model, "--text", "a cat sits"], args].concat())).values
    };
    let plain = of(&[]);
    assert_eq!(of(&["--truncate-dim", "5"]), plain[..5]);
    let unit = of(&["--truncate-dim", "5", "--normalize"]);
    assert!((unit.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    let prompted = vectors_of(&place.ok(&["embed", &model, "--text", "query: a cat sits"])).values;
    assert_eq!(of(&["--prompt-text", "query: "]), prompted);
}

#[test]
fn similarity_is_a_number_a_matrix_or_a_column() {
    let place = Place::new();
    let model = model("bert-mean-norm");
    let same: f32 = place.ok(&["similarity", &model, "a cat", "a cat"]).trim().parse().unwrap();
    assert!((same - 1.0).abs() < 1e-5);
    let near = place.ok(&["similarity", &model, "a cat", "the dog runs"]);
    place.write("p.tsv", "sentence1\tsentence2\na cat\ta cat\na cat\tthe dog runs\n");
    let column = place.ok(&["similarity", &model, "--pairs", "p.tsv"]);
    assert_eq!(column.lines().count(), 2);
    assert!(column.ends_with(&near), "{column} and {near}");
    let piped =
        place.run_with(&["similarity", &model, "--pairs", "-"], "a cat\ta cat\na cat\tthe dog runs\n");
    assert_eq!(text_of(&piped), column);
    let matrix = place.ok(&["similarity", &model, "a cat", "the dog runs", "rain"]);
    assert_eq!(matrix.lines().count(), 4, "{matrix}");
    let json = place.ok(&["similarity", &model, "a", "b", "c", "--json", "--similarity", "euclidean"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["similarity"], "euclidean");
    assert_eq!(json["matrix"][2][2], 0.0);
}

#[test]
fn info_tells_the_contract_and_the_same_fingerprint_every_time() {
    let place = Place::new();
    let json = || -> Value {
        serde_json::from_str(&place.ok(&["info", &model("bert-max-dense"), "--json"])).unwrap()
    };
    let info = json();
    assert_eq!((&info["contract"]["max_seq_length"], &info["dim"]), (&32.into(), &16.into()));
    assert_eq!(info["precision"], "f32");
    assert_eq!(info["warnings"], serde_json::json!([]));
    assert_eq!(info["fingerprint"], json()["fingerprint"]);
    let text = place.ok(&["info", &model("bert-max-dense")]);
    assert!(text.contains(info["fingerprint"].as_str().unwrap()), "{text}");
}

#[test]
fn eval_scores_what_the_file_holds() {
    let place = Place::new();
    let model = model("bert-mean-norm");
    place.write("pairs.csv", "question,reply\na cat,a cat\nrain,rain\n");
    place.write(
        "scored.jsonl",
        "{\"sentence1\": \"a cat\", \"sentence2\": \"a cat\", \"label\": 1}\n\
         {\"sentence1\": \"a cat\", \"sentence2\": \"rain\", \"label\": 0}\n",
    );
    let columns = ["eval", &model, "pairs.csv", "--columns", "anchor=question,positive=reply"];
    assert!(place.ok(&columns).contains("cosine_ndcg@10 1.0000"));
    let lines = place.ok(&["eval", &model, "scored.jsonl", "scored.jsonl", "--json"]);
    assert_eq!(lines.lines().count(), 2);
    let json: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&json["task"], &json["data"]), (&"pair_classification".into(), &"scored.jsonl".into()));
    assert_eq!(json["scores"][json["metric"].as_str().unwrap()], 1.0);
    assert_eq!(json["fingerprint"].as_str().unwrap().len(), 32);
}

#[test]
fn an_export_computes_the_same_and_names_its_source() {
    let place = Place::new();
    place.write("texts.txt", TEXTS);
    for name in ["bert-mean-norm", "bert-max-dense", "bert-mean-cls-concat"] {
        let source = model(name);
        assert_eq!(place.ok(&["export", &source, name]).trim(), name);
        let before = vectors_of(&place.ok(&["embed", &source, "texts.txt"]));
        let after = vectors_of(&place.ok(&["embed", name, "texts.txt"]));
        assert!(difference(&before, &after) <= 1e-6, "{name}");
        assert!(std::fs::read_to_string(place.path(name).join("README.md")).unwrap().contains("Provenance"));
    }
    let refused = place.refused(&["export", &model("bert-cls"), "bert-mean-norm"]);
    assert!(refused.contains("is not empty") && refused.contains("--force"), "{refused}");
    place.ok(&["export", "bert-mean-norm", "half", "--precision", "f16", "--truncate-dim", "8"]);
    place.ok(&["export", "bert-mean-norm", "half", "--precision", "f16", "--force"]);
    place.ok(&["embed", "half", "texts.txt", "-o", "half.npy"]);
    place.ok(&["embed", &model("bert-mean-norm"), "texts.txt", "-o", "whole.npy"]);
    let origin = |name: &str| temper_vectors::read_provenance(&place.path(name)).unwrap().unwrap();
    let note = temper_vectors::check_compatible(&origin("half.npy"), &origin("whole.npy"), false).unwrap();
    assert!(note.unwrap().contains("f16"));
}

#[test]
fn data_inspect_counts_and_shows_bad_rows() {
    let place = Place::new();
    place.write("train.tsv", "anchor\tpositive\na cat\tsits\na cat\tsits\n\tempty\nrain\tfalls\n");
    place.write("dev.tsv", "anchor\tpositive\nrain\tpours\n");
    let model = model("bert-mean-norm");
    let args = ["data", "inspect", "train.tsv", "--eval", "dev.tsv", "--model", &model];
    let text = place.ok(&args);
    assert!(text.contains("train.tsv:4: column `anchor`: empty text"), "{text}");
    let report: Value = serde_json::from_str(&place.ok(&[&args[..], &["--json"]].concat())).unwrap();
    assert_eq!(report["duplicate_examples"], 1);
    assert_eq!((&report["bad_rows"], &report["overlap"]["texts"]), (&1.into(), &1.into()));
    assert!(report["columns"][0]["tokens"]["p50"].as_u64().unwrap() >= 3);
}

#[test]
fn a_plain_folder_warns_about_the_pooling_unless_it_is_named() {
    let place = Place::new();
    place.copy_model("bert-cls", "plain");
    std::fs::remove_file(place.path("plain/modules.json")).unwrap();
    std::fs::remove_dir_all(place.path("plain/1_Pooling")).unwrap();
    let output = place.run(&["info", "plain"]);
    let warning = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(warning.starts_with("warning: ") && warning.contains("mean pooling is a guess"), "{warning}");
    assert!(place.run(&["info", "plain", "--pooling", "cls"]).stderr.is_empty());
    assert!(place.run(&["info", "plain", "--quiet"]).stderr.is_empty());
    let refused = place.refused(&["info", &model("bert-cls"), "--pooling", "max"]);
    assert!(refused.contains("says itself how it pools"), "{refused}");
}

#[test]
fn a_closed_pipe_is_no_error_and_a_full_one_is() {
    let place = Place::new();
    let texts = "rain in the morning\n".repeat(3000);
    place.write("many.txt", texts);
    let mut command = place.command(&["embed", &model("bert-mean-norm"), "many.txt"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));

    if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
        let output = place.command(&["info", &model("bert-mean-norm")]).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: failed to write to stdout\n"));
    }
}

#[test]
fn bad_models_are_refused_with_the_file_and_the_remedy() {
    let place = Place::new();
    let refused = place.refused(&["info", "nowhere"]);
    assert!(refused.contains("`nowhere` is neither a model folder nor a run"), "{refused}");

    place.copy_model("bert-mean-norm", "cut");
    let weights = std::fs::read(place.path("cut/model.safetensors")).unwrap();
    place.write("cut/model.safetensors", &weights[..weights.len() / 2]);
    let refused = place.refused(&["info", "cut"]);
    assert!(refused.contains("model.safetensors`: not a whole safetensors file"), "{refused}");

    place.copy_model("bert-mean-norm", "wide");
    let config = std::fs::read_to_string(place.path("wide/config.json")).unwrap();
    place.write("wide/config.json", config.replace("\"hidden_size\": 32", "\"hidden_size\": 64"));
    let refused = place.refused(&["embed", "wide", "--text", "x"]);
    assert!(refused.contains("64") && refused.contains("wide"), "{refused}");

    place.copy_model("bert-mean-norm", "mute");
    std::fs::remove_file(place.path("mute/tokenizer.json")).unwrap();
    let refused = place.refused(&["similarity", "mute", "a", "b"]);
    assert!(refused.contains("no `tokenizer.json`"), "{refused}");
}

#[test]
fn bad_input_is_refused_and_nothing_is_written() {
    let place = Place::new();
    let model = model("bert-mean-norm");
    place.write("latin1.txt", b"fine\nna\xefve\n");
    place.write("empty.jsonl", "");
    place.write("empty.txt", "");
    place.write("t.csv", "title,body\nx,one cat\n");
    place.write("t.txt", "one cat\n");
    for (args, message) in [
        (vec!["embed", &model, "latin1.txt", "-o", "out.npy"], "latin1.txt:2: not UTF-8"),
        (vec!["embed", &model, "missing.txt", "-o", "out.npy"], "`missing.txt`"),
        (vec!["embed", &model, "empty.txt", "-o", "out.npy"], "no texts to embed"),
        (vec!["embed", &model, "t.csv", "-o", "out.npy"], "name one with `--field`"),
        (
            vec!["embed", &model, "t.csv", "--field", "bod", "-o", "out.npy"],
            "no column `bod`\nhint: there are `title`, `body`",
        ),
        (vec!["embed", &model, "t.txt", "-o", "out.bin"], "`out.bin` does not name a vector format"),
        (vec!["embed", &model, "t.txt", "--format", "npy"], "needs a file"),
        (vec!["embed", &model, "t.txt", "--prompt", "qury", "-o", "out.npy"], "no prompt named `qury`"),
        (vec!["embed", &model, "t.txt", "--max-seq-length", "65"], "between 3 and the model's 64"),
        (vec!["embed", &model, "t.txt", "--truncate-dim", "33"], "between 1 and 32"),
        (vec!["eval", &model, "empty.jsonl"], "`empty.jsonl` is empty"),
        (vec!["eval", &model, "t.csv"], "no usual column names"),
        (vec!["eval", &model, "t.csv", "--columns", "anchor=title,positive=text"], "no column `text`"),
        (vec!["eval", &model, "."], "has no split `validation` or `test`"),
        (vec!["similarity", &model, "alone"], "give two or more"),
        (vec!["data", "inspect", "t.txt"], "unknown format `txt`"),
    ] {
        let refused = place.refused(&args);
        assert!(refused.contains(message), "{args:?}: {refused}");
        let outputs = std::fs::read_dir(place.path(""))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("out."));
        assert_eq!(outputs.count(), 0, "{args:?} left a file");
    }
}
