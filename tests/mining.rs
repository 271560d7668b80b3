//! `temper mine` against the reference, what it writes against what trains, and what it refuses.

use serde_json::{Value, json};
use temper_data::bm25::Bm25;

use crate::golden;
use crate::place::{Place, model};

/// One JSON value a line.
fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn jsonl(rows: impl Iterator<Item = Value>) -> String {
    rows.map(|row| row.to_string() + "\n").collect()
}

/// The same command line as a call of the reference with these options.
fn arguments(options: &Value) -> Vec<String> {
    let mut arguments = Vec::new();
    for (name, value) in options.as_object().unwrap() {
        let option = match name.as_str() {
            "sampling_strategy" => "--sampling".to_owned(),
            "output_format" => "--format".to_owned(),
            "output_scores" => "--scores".to_owned(),
            name => format!("--{}", name.replace('_', "-")),
        };
        arguments.push(option);
        match value {
            Value::Bool(_) => {}
            Value::String(text) => arguments.push(text.clone()),
            number => arguments.push(number.to_string()),
        }
    }
    arguments
}

/// The texts of a row by their place among all, then its scores or its label.
fn numbered(row: &Value, texts: &[&str]) -> (Vec<usize>, Vec<f64>) {
    let values = row.as_object().unwrap().values();
    let place = |text: &str| texts.iter().position(|other| *other == text).unwrap();
    let numbers = values.clone().filter(|value| !value.is_string()).flat_map(numbers);
    (values.filter_map(Value::as_str).map(place).collect(), numbers.collect())
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

#[test]
fn the_same_negatives_as_the_reference() {
    let golden = golden::folder().join("mining/cases.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let texts: Vec<&str> =
        golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let text = |place: &Value| texts[place.as_u64().unwrap() as usize];
    let place = Place::new();
    let pairs = golden["pairs"].as_array().unwrap().iter();
    place.write("pairs.jsonl", jsonl(pairs.map(|p| json!({"anchor": text(&p[0]), "positive": text(&p[1])}))));
    let corpus = golden["corpus"].as_array().unwrap().iter();
    place.write("corpus.jsonl", jsonl(corpus.map(|place| json!({"text": text(place)}))));
    let model = model("bert-mean-norm");
    for case in golden["cases"].as_array().unwrap() {
        let mut arguments = arguments(&case["options"]);
        if case["corpus"] == true {
            arguments.extend(["--corpus".to_owned(), "corpus.jsonl".to_owned()]);
        }
        let mut all = vec!["mine", "pairs.jsonl", "--no-cache", "--model", &model];
        all.extend(arguments.iter().map(String::as_str));
        let found = rows(&place.ok(&all));
        let expected = case["rows"].as_array().unwrap();
        assert!(!expected.is_empty() && found.len() == expected.len(), "{all:?}: {}", found.len());
        for (found, expected) in found.iter().zip(expected) {
            let (places, scores) = numbered(found, &texts);
            assert_eq!(
                places.as_slice(),
                numbers(&expected[0]).into_iter().map(|p| p as usize).collect::<Vec<_>>(),
                "{all:?}"
            );
            let wanted: Vec<f64> = expected.as_array().unwrap()[1..].iter().flat_map(numbers).collect();
            let near =
                scores.len() == wanted.len() && scores.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(near, "{all:?}: {scores:?}, reference {wanted:?}");
        }
    }
}

const PAIRS: &str = "\
{\"question\": \"how do I oil a chain\", \"answer\": \"drip oil on the chain\"}
{\"question\": \"how do I fix a flat tyre\", \"answer\": \"patch the tube of the tyre\"}
{\"question\": \"what oil for a fork\", \"answer\": \"fork oil of the right weight\"}
{\"question\": \"how often to oil a chain\", \"answer\": \"oil the chain every 200 km\"}
";

#[test]
fn what_is_mined_by_words_trains_as_it_is() {
    let place = Place::new();
    place.write("pairs.jsonl", PAIRS);
    let triplets = place.ok(&["mine", "pairs.jsonl", "--bm25", "-n", "1"]);
    let first = &rows(&triplets)[0];
    assert_eq!(first["negative"], "oil the chain every 200 km", "{first}");
    for format in ["triplet", "n-tuple", "labeled-pair"] {
        let args =
            ["mine", "pairs.jsonl", "--bm25", "-n", "2", "--scores", "--format", format, "-o", "out.jsonl"];
        assert_eq!(place.ok(&args), "");
        let report: Value =
            serde_json::from_str(&place.ok(&["data", "inspect", "out.jsonl", "--json"])).unwrap();
        let kind = if format == "labeled-pair" { "scored" } else { "triplets" };
        assert!(report["kind"].to_string().contains(kind), "{format}: {report}");
    }
}

#[test]
fn random_negatives_repeat_with_their_seed() {
    let place = Place::new();
    place.write("pairs.jsonl", PAIRS);
    let model = model("bert-mean-norm");
    let of = |seed: &str| {
        let args = ["mine", "pairs.jsonl", "--no-cache", "--model", &model, "-n", "1", "--range-max", "4"];
        place.ok(&[&args[..], &["--sampling", "random", "--seed", seed]].concat())
    };
    assert_eq!(of("1"), of("1"));
    assert!(["2", "3", "4", "5"].iter().any(|seed| of(seed) != of("1")));
}

#[test]
fn what_cannot_be_mined_is_refused() {
    let place = Place::new();
    place.write("pairs.jsonl", PAIRS);
    place.write("scored.jsonl", "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"score\": 0.5}\n");
    for (args, problem) in [
        (&["pairs.jsonl"][..], "--model"),
        (&["scored.jsonl", "--bm25"], "scored pairs"),
        (&["pairs.jsonl", "--bm25", "-n", "0"], "nothing to mine"),
        (&["pairs.jsonl", "--bm25", "--range-min", "5", "--range-max", "6"], "there are not 3"),
        (&["pairs.jsonl", "--bm25", "--include-positives"], "n-tuple"),
        (&["pairs.jsonl", "--bm25", "--corpus", "none.jsonl"], "none.jsonl"),
        (&["pairs.jsonl", "--bm25", "-o", "mined.csv"], "negatives are written as JSON lines"),
        // Before anything is computed.
        (&["pairs.jsonl", "--model", "none", "-o", "no/such/place.jsonl"], "no/such/place.jsonl"),
        (&["pairs.jsonl", "--model", "./none", "-o", "pairs.jsonl"], "none"),
    ] {
        let output = place.run(&[&["mine"], args].concat());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && errors.contains(problem), "{args:?}: {errors}");
    }
    assert_eq!(std::fs::read_to_string(place.path("pairs.jsonl")).unwrap(), PAIRS);
    assert_eq!(std::fs::read_dir(place.path("")).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn bm25_scores_are_those_of_the_reference() {
    let text = std::fs::read_to_string(golden::folder().join("bm25.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let texts: Vec<String> = serde_json::from_value(cases["texts"].clone()).unwrap();
    let index = Bm25::new(&texts);
    for case in cases["queries"].as_array().unwrap() {
        let query = case["query"].as_str().unwrap();
        let expected: Vec<f32> = serde_json::from_value(case["scores"].clone()).unwrap();
        let found = index.scores(query);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 5e-6, "{query}: {found}, expected {expected}");
        }
    }
}
