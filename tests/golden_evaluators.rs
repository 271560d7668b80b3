//! The metrics against numbers computed by sentence-transformers' evaluators.
#![allow(clippy::unwrap_used)]

use safetensors::SafeTensors;
use serde_json::Value;
use temper_eval::labelled::{self, Labelled};
use temper_eval::probe::Probe;
use temper_eval::reranking::Candidates;
use temper_eval::{Scores, classification, paraphrases, reranking, retrieval, sts, triplet};
use temper_vectors::{Embeddings, PairLimits, Similarity, closest_pairs, communities, quantize, top_k};

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
        match (case.scores(), case.tool()) {
            (Some(scores), _) => failures.extend(case.differences(&scores)),
            (None, Some(right)) => failures.extend((!right).then(|| format!("{} differs", case.name()))),
            (None, None) => {
                golden::leave_out(case.name(), case.evaluator(), golden::UNSUPPORTED_EVALUATORS);
                continue;
            }
        }
        checked += 1;
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
            "RerankingEvaluator" => {
                let rows = |rows: &Value| numbers(rows).into_iter().map(|row| row as usize).collect();
                let queries = self.embeddings("queries");
                let mut candidates = vec![Candidates::default(); queries.rows()];
                for sample in labels["samples"].as_array().unwrap() {
                    candidates[sample["query"].as_u64().unwrap() as usize] = Candidates {
                        positives: rows(&sample["positive"]),
                        negatives: rows(&sample["negative"]),
                    };
                }
                reranking::scores(&queries, &self.embeddings("corpus"), &candidates)
            }
            "ParaphraseMiningEvaluator" => {
                let pairs = labels["duplicates"].as_array().unwrap().iter().map(numbers);
                let mut duplicates = pairs.map(|pair| (pair[0] as usize, pair[1] as usize)).collect();
                if labels["add_transitive_closure"] == true {
                    duplicates = paraphrases::transitive_closure(&duplicates);
                }
                let sentences = self.embeddings("sentences");
                paraphrases::scores(&sentences, &duplicates, PairLimits::default(), &mut |_| ())
            }
            _ => return None,
        };
        Some(scores.unwrap())
    }

    /// Whether a function gives what the reference's does; none for one that temper does not have.
    fn tool(&self) -> Option<bool> {
        let expected = &self.json["expected"];
        Some(match self.evaluator() {
            "util.semantic_search" => {
                let (corpus, queries) = (self.embeddings("corpus"), self.embeddings("queries"));
                let cosine = |rows| Similarity::Cosine.prepare(rows);
                let hits = top_k(&cosine(&corpus), &cosine(&queries), 10);
                let same = |(hit, expected): (&temper_vectors::Hit, &Value)| {
                    expected[0] == hit.row && near(&expected[1], hit.score)
                };
                let all = expected["hits"].as_array().unwrap();
                assert_eq!(all.len(), 20, "the first queries");
                hits.iter()
                    .zip(all)
                    .all(|(hits, expected)| hits.iter().zip(expected.as_array().unwrap()).all(same))
            }
            "util.paraphrase_mining_embeddings" => {
                let sentences = self.embeddings("sentences");
                let limits = PairLimits { top_k: 5, ..PairLimits::default() };
                let pairs = closest_pairs(&Similarity::Cosine.prepare(&sentences), limits, &mut |_| ());
                let expected = expected["pairs"].as_array().unwrap();
                assert!(expected.len() == 50 && pairs.len() > 50);
                pairs.iter().zip(expected).all(|(pair, expected)| {
                    near(&expected[0], pair.score) && expected[1] == pair.first && expected[2] == pair.second
                })
            }
            "util.community_detection" => {
                let found = communities(&self.embeddings("sentences"), 0.6, 2, &mut |_| ());
                serde_json::json!(found) == expected["clusters"]
            }
            "quantize_embeddings" => {
                let all = self.embeddings("sentences");
                let some = Embeddings::from_values(all.dim, all.values[..20 * all.dim].to_vec()).unwrap();
                let scale = quantize::Scale::calibrate(&all).unwrap();
                let bytes =
                    |values: Vec<i8>| values.into_iter().map(|value| value as u8).collect::<Vec<u8>>();
                [
                    ("uint8", scale.to_u8(&some).unwrap()),
                    ("int8", bytes(scale.to_i8(&some).unwrap())),
                    ("ubinary", quantize::to_bits(&some)),
                    ("binary", bytes(quantize::to_signed_bits(&some))),
                ]
                .iter()
                .all(|(key, found)| {
                    self.tensors.tensor(&format!("{}/{key}", self.name())).unwrap().data() == found
                })
            }
            _ => return None,
        })
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

/// Whether a score is that of the file, which has six decimals.
fn near(expected: &Value, found: f32) -> bool {
    (expected.as_f64().unwrap() - f64::from(found)).abs() < 2e-6
}

/// The numbers of a JSON array; none where there is no array.
fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().into_iter().flatten().map(|value| value.as_f64().unwrap()).collect()
}

/// Every score beside scikit-learn's, and every class that the logistic regression predicts.
#[test]
fn golden_labelled() {
    let text = std::fs::read_to_string(golden::folder().join("labelled/cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    for case in &cases {
        let rows: Vec<Vec<f32>> = serde_json::from_value(case["vectors"].clone()).unwrap();
        let classes: Vec<usize> = serde_json::from_value(case["classes"].clone()).unwrap();
        let (fit_rows, judged_rows) = rows.split_at(case["fit"].as_u64().unwrap() as usize);
        let (fit_classes, judged_classes) = classes.split_at(fit_rows.len());
        let of = |rows: &[Vec<f32>]| Embeddings::from_rows(rows).unwrap();
        let (fit_vectors, judged_vectors) = (of(fit_rows), of(judged_rows));
        let fit = Labelled { vectors: &fit_vectors, classes: fit_classes };
        let judged = Labelled { vectors: &judged_vectors, classes: judged_classes };
        let compute = || {
            let mut scores = labelled::classification_scores(&fit, &judged).unwrap();
            scores.extend(labelled::clustering_scores(&judged).unwrap());
            scores
        };
        let scores = compute();
        for (name, expected) in case["scores"].as_object().unwrap() {
            let (found, expected) = (scores[name], expected.as_f64().unwrap());
            assert!((found - expected).abs() < 1e-9, "{name} is {found}, expected {expected}");
        }
        let all = of(&rows);
        let others = labelled::neighbour_scores(&Labelled { vectors: &all, classes: &classes }).unwrap();
        for (name, expected) in case["others"].as_object().unwrap() {
            let (found, expected) = (others[name], expected.as_f64().unwrap());
            assert!((found - expected).abs() < 1e-9, "{name} of the others is {found}, expected {expected}");
        }
        let count = classes.iter().max().unwrap() + 1;
        let predicted = Probe::fit(&fit_vectors, fit_classes, count).predict(&judged_vectors);
        assert_eq!(serde_json::json!(predicted), case["logistic"]);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(compute), scores, "on one thread");
    }
}
