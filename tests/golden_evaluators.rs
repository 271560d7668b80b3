//! The metrics against numbers computed by sentence-transformers' evaluators.
#![allow(clippy::unwrap_used)]

use safetensors::SafeTensors;
use serde_json::Value;
use temper_eval::{Scores, classification, retrieval, sts, triplet};
use temper_vectors::{Embeddings, Similarity};

use crate::golden;

/// Absolute for scores; thresholds, which have the scale of the embeddings, may miss by this share.
const TOLERANCE: f64 = 1e-5;

#[test]
fn golden_evaluators() {
    let folder = golden::folder().join("evaluators");
    let text = std::fs::read_to_string(folder.join("evaluators.json")).unwrap();
    let bytes = std::fs::read(folder.join("evaluators.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();

    let mut checked = 0;
    let mut failures = Vec::new();
    for case in golden["cases"].as_array().unwrap() {
        let case = Case { json: case, tensors: &tensors };
        match case.scores() {
            Some(scores) => {
                failures.extend(case.differences(&scores));
                checked += 1;
            }
            None => golden::leave_out(case.name(), case.evaluator(), golden::UNSUPPORTED_EVALUATORS),
        }
    }
    assert!(checked > 0);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

struct Case<'a> {
    json: &'a Value,
    tensors: &'a SafeTensors<'a>,
}

impl<'a> Case<'a> {
    fn name(&self) -> &'a str {
        self.json["name"].as_str().unwrap()
    }

    /// The class or function, without its arguments.
    fn evaluator(&self) -> &'a str {
        self.json["evaluator"].as_str().unwrap().split('(').next().unwrap()
    }

    /// What temper computes; none for an evaluator that it does not have.
    fn scores(&self) -> Option<Scores> {
        let all = &Similarity::ALL;
        let labels = &self.json["labels"];
        let scores = match self.json["evaluator"].as_str().unwrap() {
            "EmbeddingSimilarityEvaluator" => {
                let gold: Vec<f64> = numbers(&labels["scores"]);
                sts::scores(&self.embeddings("emb1"), &self.embeddings("emb2"), &gold, all)
            }
            "BinaryClassificationEvaluator" => {
                let labels: Vec<bool> =
                    numbers(&labels["labels"]).into_iter().map(|label| label == 1.0).collect();
                classification::scores(&self.embeddings("emb1"), &self.embeddings("emb2"), &labels, all)
            }
            "TripletEvaluator" => {
                let margin =
                    |similarity: Similarity| labels["margin"][similarity.name()].as_f64().unwrap_or(0.0);
                let margins = all.map(|similarity| (similarity, margin(similarity) as f32));
                let [anchors, positives, negatives] =
                    ["anchor", "positive", "negative"].map(|column| self.embeddings(column));
                triplet::scores(&anchors, &positives, &negatives, &margins)
            }
            "InformationRetrievalEvaluator" => {
                let queries = self.embeddings("queries");
                let relevant: Vec<Vec<usize>> = (0..queries.rows())
                    .map(|query| &labels["relevant"][query.to_string()])
                    .map(|rows| numbers(rows).into_iter().map(|row| row as usize).collect())
                    .collect();
                retrieval::scores(&queries, &self.embeddings("corpus"), &relevant, all)
            }
            _ => return None,
        };
        Some(scores.unwrap())
    }

    fn embeddings(&self, key: &str) -> Embeddings {
        let view = self.tensors.tensor(&format!("{}/{key}", self.name())).unwrap();
        let values = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        Embeddings::from_values(view.shape()[1], values).unwrap()
    }

    /// Every expected score that is missing or off.
    fn differences(&self, scores: &Scores) -> Vec<String> {
        let expected = self.json["expected"].as_object().unwrap();
        assert!(!expected.is_empty(), "case {} expects nothing", self.name());
        let wrong = |metric: &String, expected: f64| {
            let scale = if metric.ends_with("threshold") { expected.abs().max(1.0) } else { 1.0 };
            let found = scores.get(metric).copied();
            let near = found.is_some_and(|found| (found - expected).abs() <= TOLERANCE * scale);
            (!near).then(|| format!("{}: {metric} is {found:?}, expected {expected}", self.name()))
        };
        expected.iter().filter_map(|(metric, value)| wrong(metric, value.as_f64().unwrap())).collect()
    }
}

/// The numbers of a JSON array; none where there is no array.
fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().into_iter().flatten().map(|value| value.as_f64().unwrap()).collect()
}
