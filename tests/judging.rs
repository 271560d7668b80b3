//! What an evaluation tells beside its scores, and pairs that are left out because a person marked them as wrong.

use std::path::Path;

use serde_json::{Value, json};

use crate::place::{Place, model, text_of};

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A place with the bundled sample and a config that trains two steps on it, leaving out what `x.jsonl` names.
fn place(excluded: &[&Value]) -> Place {
    let place = Place::new();
    place.write("train.jsonl", sample("train.jsonl"));
    place.write("dev.jsonl", sample("dev.jsonl"));
    place.write("x.jsonl", lines(excluded));
    let base = model("bert-mean-norm");
    place.write(
        "x.toml",
        format!(
            "[model]\nbase = {base:?}\n[data]\ntrain = [\"train.jsonl\"]\neval = [\"dev.jsonl\"]\nexclude = [\"x.jsonl\"]\n\
             [train]\nmax_steps = 2\neval_steps = 1\nlogging_steps = 1\n"
        ),
    );
    place
}

fn lines(values: &[&Value]) -> String {
    values.iter().fold(String::new(), |lines, value| lines + &value.to_string() + "\n")
}

/// The pair of a line of a sample file, as the dashboard marks it.
fn pair(file: &str, line: usize) -> Value {
    let row: Value = serde_json::from_str(sample(file).lines().nth(line).unwrap()).unwrap();
    json!({"query": row["anchor"], "positive": row["positive"]})
}

fn events(place: &Place, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(place.path("r/events.jsonl")).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == kind).collect()
}

#[test]
fn excluded_pairs_are_neither_learned_from_nor_judged_by() {
    let place = place(&[&pair("train.jsonl", 3), &pair("train.jsonl", 7), &pair("dev.jsonl", 5)]);
    let plan = place.ok(&["config", "check", "x.toml"]);
    assert!(plan.contains("398 pairs\nleft out  2 excluded pairs to learn from, 1 to judge by\n"), "{plan}");
    assert!(plan.contains("99 queries"), "{plan}");
    place.ok(&["train", "x.toml", "--run", "r"]);
    let asked = events(&place, "worst_queries")[0].to_string();
    assert!(!asked.contains(pair("dev.jsonl", 5)["query"].as_str().unwrap()), "{asked}");
    let report = place.ok(&["data", "inspect", "train.jsonl", "--exclude", "x.jsonl", "--eval", "dev.jsonl"]);
    assert!(report.contains("398 pairs") && report.contains("left out as excluded     2"), "{report}");

    place.write("x.jsonl", lines(&[&pair("train.jsonl", 3)]));
    let more = ["train", "--resume", "r", "--set", "train.max_steps=3"];
    let message = place.refused(&more);
    assert!(message.contains("`x.jsonl` is not the file that the run started with"), "{message}");
    place.ok(&[&more[..], &["--allow-changed", "data"]].concat());
}

/// The split is that of the whole data, so that scores before and after an exclusion can be compared.
#[test]
fn an_exclusion_moves_no_other_example() {
    let held_out = |excluded: &[&Value]| {
        let place = place(excluded);
        place.ok(&["train", "x.toml", "--run", "r", "--set", "data.eval=[]"]);
        let event = &events(&place, "started")[0];
        (event["plan"]["held_out"].as_u64().unwrap(), event["plan"]["excluded"].clone())
    };
    assert_eq!(held_out(&[]), (40, json!([0, 0])));
    let (held, excluded) = held_out(&[&pair("train.jsonl", 3)]);
    assert_eq!((held, excluded[0].as_u64().unwrap() + excluded[1].as_u64().unwrap()), (40, 1));
}

#[test]
fn an_exclusion_that_is_met_nowhere_is_warned_of_and_a_bad_one_named() {
    let place = place(&[&pair("train.jsonl", 3), &json!({"query": "never", "positive": "asked"})]);
    for args in
        [&["config", "check", "x.toml"][..], &["data", "inspect", "train.jsonl", "--exclude", "x.jsonl"]]
    {
        let output = place.run(args);
        text_of(&output);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("warning: 1 of the 2 ") && said.contains("none of the "), "{said}");
    }
    place.write("x.jsonl", lines(&[&pair("train.jsonl", 3), &json!({"query": "half"})]));
    for args in [&["train", "x.toml"][..], &["data", "inspect", "train.jsonl", "--exclude", "x.jsonl"]] {
        let message = place.refused(args);
        assert!(message.contains("`x.jsonl` line 2") && message.contains("`positive`"), "{message}");
    }
    std::fs::remove_file(place.path("x.jsonl")).unwrap();
    for args in [&["train", "x.toml"][..], &["data", "inspect", "train.jsonl", "--exclude", "x.jsonl"]] {
        assert!(place.refused(args).contains("cannot read `x.jsonl`"));
    }
}

#[test]
fn every_evaluation_tells_similarities_and_the_worst_queries() {
    let place = place(&[]);
    place.ok(&["train", "x.toml", "--run", "r"]);
    let similarities = events(&place, "similarities");
    let steps: Vec<u64> = similarities.iter().map(|event| event["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [0, 1, 2]);
    for side in ["positive", "hardest_negative"] {
        let counts = similarities[0][side]["counts"].as_array().unwrap();
        assert_eq!(counts.iter().map(|count| count.as_u64().unwrap()).sum::<u64>(), 100, "{side}");
    }
    let worst = &events(&place, "worst_queries")[2]["queries"];
    assert_eq!(worst.as_array().unwrap().len(), 24);
    if cfg!(target_os = "linux") {
        assert!(events(&place, "step")[0]["memory"].as_u64().unwrap() > 1 << 20);
    }

    // A judge of the same checkpoint tells the same.
    let told: Value =
        serde_json::from_str(&place.ok(&["eval", "r@2", "dev.jsonl", "--worst", "24", "--json"])).unwrap();
    assert_eq!(told["worst"], *worst);
    let first = &worst[0];
    assert!(worst[0]["rank"].as_u64() >= worst[23]["rank"].as_u64());
    let rows: Vec<Value> =
        sample("dev.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.iter().any(|row| row["anchor"] == first["query"] && row["positive"] == first["positive"]));
    assert_eq!(first["confusers"].as_array().unwrap().len(), 5);
    let text = place.ok(&["eval", "r@2", "dev.jsonl", "--worst", "1"]);
    assert_eq!(text.matches("rank ").count(), 1, "{text}");
}

const RERANKING: &str = "{\"query\": \"a cat\", \"positive\": [\"a cat\", \"a kitten\"], \"negative\": [\"rain\"]}\n\
                         {\"query\": \"rain\", \"positive\": [\"rain\"], \"negative\": [\"a cat\", \"the sun\"]}\n";
const MINING: &str = "{\"id\": \"a\", \"text\": \"a cat\", \"duplicates\": [\"c\"]}\n{\"id\": \"b\", \"text\": \"rain\"}\n\
                      {\"id\": \"c\", \"text\": \"a cat\"}\n";

#[test]
fn rows_with_lists_are_reranking_and_rows_with_duplicates_paraphrase_mining() {
    let place = Place::new();
    let model = model("bert-mean-norm");
    place.write("ask.jsonl", RERANKING);
    place.write("mine.jsonl", MINING);
    let lines = place.ok(&["eval", &model, "ask.jsonl", "mine.jsonl", "--json"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["task"], &lines[0]["metric"]), (&json!("reranking"), &json!("ndcg@10")));
    assert_eq!(lines[0]["scores"]["mrr@10"], 1.0, "a text itself is closest");
    assert_eq!(
        (&lines[1]["task"], &lines[1]["metric"]),
        (&json!("paraphrase_mining"), &json!("average_precision"))
    );
    assert_eq!(lines[1]["scores"]["f1"], 1.0);
    let table = place.ok(&["eval", &model, "mine.jsonl"]);
    assert!(table.contains("3 texts, 1 pairs of duplicates: average_precision 1.0000"), "{table}");

    place.write("mine.jsonl", MINING.replace("[\"c\"]", "[\"c\", \"x\"]"));
    assert!(
        place
            .refused(&["eval", &model, "mine.jsonl"])
            .contains("mine.jsonl:1: column `duplicates`: the id `x`")
    );
    let skipped = place.run(&["eval", &model, "mine.jsonl", "--skip-bad-rows"]);
    assert!(
        String::from_utf8_lossy(&skipped.stderr)
            .contains("warning: bad rows left out: 1; the first: mine.jsonl:1")
    );
    assert!(text_of(&skipped).contains("average_precision 1.0000"));
}

#[test]
fn a_run_is_judged_by_reranking_and_paraphrase_mining_too() {
    let place = place(&[]);
    place.write("ask.jsonl", RERANKING);
    place.write("mine.jsonl", MINING);
    place.ok(&["train", "x.toml", "--run", "r", "--set", "data.eval=[\"ask.jsonl\", \"mine.jsonl\"]"]);
    let scores = &events(&place, "evaluated")[0]["scores"];
    assert!(scores["ask_ndcg@10"].is_f64() && scores["mine_average_precision"].is_f64(), "{scores}");
}

/// Nothing can follow gold scores that are all the same: every correlation is NaN.
#[test]
fn a_run_without_a_score_that_is_a_number_has_no_best_and_goes_on() {
    let place = place(&[]);
    let row = |text: &str| json!({"sentence1": text, "sentence2": "rain", "score": 0.5});
    place.write("same.jsonl", lines(&[&row("a cat"), &row("a dog"), &row("the sun")]));
    place.ok(&["train", "x.toml", "--run", "r", "--set", "data.eval=[\"same.jsonl\"]"]);
    let evaluated = events(&place, "evaluated");
    assert!(evaluated.len() == 3 && evaluated.iter().all(|event| event["best"] == false), "{evaluated:?}");
    assert!(evaluated[0]["scores"]["spearman_cosine"].is_null(), "{evaluated:?}");
    place.ok(&["train", "--resume", "r", "--set", "train.max_steps=3"]);
    assert_eq!(events(&place, "finished").last().unwrap()["best_step"], Value::Null);
}

/// A tenth of eight pairs is one, with which nothing can be correlated.
#[test]
fn a_part_that_cannot_be_judged_by_is_trained_on() {
    let place = place(&[]);
    let row = |i: usize| json!({"sentence1": format!("a {i}"), "sentence2": format!("b {i}"), "score": i as f32 / 8.0});
    let rows: Vec<Value> = (0..8).map(row).collect();
    place.write("scored.jsonl", lines(&rows.iter().collect::<Vec<_>>()));
    place.write("one.jsonl", lines(&[&rows[3]]));
    let set = ["--set", "data.train=[\"scored.jsonl\"]", "--set", "loss={name='cosent'}", "--set"];
    let train = [&["train", "x.toml", "--run", "r"], &set[..]].concat();
    let refused = place.refused(&[&train[..], &["data.eval=[\"one.jsonl\"]"]].concat());
    assert!(
        refused.contains("`one.jsonl` says nothing about a model, since a correlation needs two"),
        "{refused}"
    );
    assert!(!place.path("r").exists());
    let output = place.run(&[&train[..], &["data.eval=[]"]].concat());
    text_of(&output);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("what would be held out, 1 of the examples, says nothing"), "{said}");
    assert!(said.contains("train     8 scored pairs\n"), "{said}");
}
