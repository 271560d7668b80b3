//! The bundled sample keeps what its README promises: counts, disjoint splits, no templates.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::{Map, Value};

type Row = Map<String, Value>;

#[test]
fn the_sample_has_its_files_columns_and_counts() {
    for (file, count, columns) in [
        ("train.jsonl", 400, &["anchor", "positive"][..]),
        ("dev.jsonl", 100, &["anchor", "positive"]),
        ("scored.jsonl", 40, &["sentence1", "sentence2", "score"]),
        ("intents.jsonl", 60, &["text", "label"]),
        ("duplicates.jsonl", 36, &["question1", "question2", "is_duplicate"]),
        ("translations.jsonl", 30, &["en", "de", "fr"]),
        ("nli-triplets.jsonl", 32, &["anchor", "positive", "negative"]),
    ] {
        let rows = rows(file);
        assert_eq!(rows.len(), count, "{file}");
        for (number, row) in rows.iter().enumerate() {
            let names: Vec<&String> = row.keys().collect();
            assert_eq!(names, columns, "{file}, line {}", number + 1);
        }
    }
}

#[test]
fn no_text_of_the_sample_occurs_twice() {
    let mut seen = HashSet::new();
    for (anchor, positive) in pairs() {
        for text in [anchor, positive] {
            assert_eq!(text.trim(), text);
            assert!(!text.is_empty());
            assert!(seen.insert(text.to_lowercase()), "occurs twice, in or between train and dev: {text}");
        }
    }
    let mut seen = HashSet::new();
    for row in rows("scored.jsonl") {
        let pair = (text(&row, "sentence1"), text(&row, "sentence2"));
        assert!(seen.insert(pair.clone()), "occurs twice: {pair:?}");
    }
}

#[test]
fn every_intent_has_ten_texts_and_none_occurs_twice() {
    let mut texts: HashMap<String, HashSet<String>> = HashMap::new();
    for row in rows("intents.jsonl") {
        texts.entry(text(&row, "label")).or_default().insert(text(&row, "text").to_lowercase());
    }
    assert_eq!(texts.values().map(HashSet::len).collect::<Vec<_>>(), [10; 6]);
}

#[test]
fn scores_of_the_sample_lie_between_0_and_1() {
    for row in rows("scored.jsonl") {
        let score = row["score"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&score), "{row:?}");
    }
}

/// Templates would let a model shine by learning a pattern; here under 3 % of the pairs may share more than half of
/// their word 3-grams with another pair, measured as |A ∩ B| / min(|A|, |B|).
#[test]
fn the_sample_is_not_made_from_templates() {
    let grams: Vec<HashSet<String>> =
        pairs().into_iter().map(|(anchor, positive)| word_3_grams(&format!("{anchor} {positive}"))).collect();
    let alike = (0..grams.len())
        .filter(|&a| (0..grams.len()).any(|b| a != b && share(&grams[a], &grams[b]) > 0.5))
        .count();
    assert!(alike * 100 < grams.len() * 3, "{alike} of {} pairs look like another", grams.len());
}

#[test]
fn the_measure_of_templates_sees_one() {
    let grams = |text: &str| word_3_grams(text);
    let rule = grams("How long is the warranty on a tyre? It is two years.");
    assert!(share(&rule, &grams("How long is the warranty on a frame? It is two years.")) > 0.5);
    assert!(share(&rule, &grams("Grease the seatpost once a year, in spring.")) == 0.0);
    // a, b, c, d -> {abc, bcd}; b, c, d, e, f -> {bcd, cde, def}: one of min(2, 3).
    assert!(share(&grams("a b c d"), &grams("B c, d e f")) == 0.5);
}

fn word_3_grams(text: &str) -> HashSet<String> {
    let text = text.to_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.windows(3).map(|gram| gram.join(" ")).collect()
}

fn share(a: &HashSet<String>, b: &HashSet<String>) -> f64 {
    a.intersection(b).count() as f64 / a.len().min(b.len()).max(1) as f64
}

/// Anchor and positive of the training and the held-out pairs.
fn pairs() -> Vec<(String, String)> {
    let all = [rows("train.jsonl"), rows("dev.jsonl")].concat();
    all.iter().map(|row| (text(row, "anchor"), text(row, "positive"))).collect()
}

fn text(row: &Row, column: &str) -> String {
    row[column].as_str().unwrap().to_owned()
}

fn rows(file: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file);
    let lines = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
