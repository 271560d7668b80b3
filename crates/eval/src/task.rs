//! Labelled examples that an encoder can be judged on, whatever file they came from.

use std::collections::HashMap;

use temper_data::{Dataset, Kind, Reranking, Retrieval, TextsWithDuplicates};
use temper_encoder::Encoder;
use temper_runs::WorstQuery;
use temper_vectors::{Embeddings, PairLimits, Similarity};

use crate::labelled::{self, Labelled};
use crate::placement::{Placement, worst_queries};
use crate::prompts::Prompts;
use crate::reranking::Candidates;
use crate::{Result, Scores, classification, paraphrases, reranking, retrieval, sts, triplet};

/// Closeness measures of a ranking; distances rank like cosine where vectors have unit length, at twice the work.
const RANKED_BY: [Similarity; 2] = [Similarity::Cosine, Similarity::Dot];

/// What an encoder is judged on.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Do a query's documents come first?
    Retrieval(Retrieval),
    /// Do similarities follow the scores that people gave?
    Sts {
        /// One side of every pair.
        first: Vec<String>,
        /// The other side.
        second: Vec<String>,
        /// How much the two belong together.
        gold: Vec<f64>,
    },
    /// Does a threshold tell the pairs that belong together from the others?
    Classification {
        /// One side of every pair.
        first: Vec<String>,
        /// The other side.
        second: Vec<String>,
        /// Whether the two belong together.
        labels: Vec<bool>,
    },
    /// Is the positive closer to the anchor than the negative?
    Triplets {
        /// The anchors.
        anchors: Vec<String>,
        /// Texts that belong to them.
        positives: Vec<String>,
        /// Texts that do not.
        negatives: Vec<String>,
    },
    /// Do a query's positives come first among its own candidates?
    Reranking {
        /// One a sample.
        queries: Vec<String>,
        /// The candidates of all, each text once.
        documents: Vec<String>,
        /// For each query its candidates among the documents.
        candidates: Vec<Candidates>,
    },
    /// Are the nearest texts of a text of its class?
    Labelled {
        /// The texts.
        texts: Vec<String>,
        /// The number of each text's class.
        classes: Vec<usize>,
        /// Texts and classes that classifiers are fitted on; without them the other texts are the neighbours.
        fit: Option<(Vec<String>, Vec<usize>)>,
    },
    /// Are the closest of all pairs those that say the same?
    Paraphrases(TextsWithDuplicates),
}

/// What an encoder came to in a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Every score by name.
    pub scores: Scores,
    /// How each query of retrieval fared by cosine; empty for the other tasks.
    pub placements: Vec<Placement>,
}

impl From<Scores> for Judgement {
    fn from(scores: Scores) -> Self {
        Self { scores, placements: Vec::new() }
    }
}

impl Task {
    /// Pairs are retrieval over the distinct positives; triplets are judged by their first negative; scored pairs
    /// are pair classification where every label is 0 or 1 and both occur, else STS; labelled texts are told apart by their
    /// neighbours. There is no task for classified pairs, of which only the loss's own classifier knows the classes.
    pub fn from_dataset(dataset: &Dataset) -> Option<Self> {
        let column =
            |place: usize| dataset.examples.iter().map(|example| example.texts[place].clone()).collect();
        let labels = || dataset.examples.iter().filter_map(|example| example.label);
        Some(match dataset.kind {
            Kind::Pairs => Self::Retrieval(Retrieval::from_dataset(dataset).unwrap_or_default()),
            Kind::Triplets { .. } => {
                Self::Triplets { anchors: column(0), positives: column(1), negatives: column(2) }
            }
            Kind::Scored => {
                let gold: Vec<f64> = labels().map(f64::from).collect();
                let (first, second) = (column(0), column(1));
                match binary(&gold) {
                    Some(labels) => Self::Classification { first, second, labels },
                    None => Self::Sts { first, second, gold },
                }
            }
            Kind::Labelled => {
                let classes = labels().map(|class| class as usize).collect();
                Self::Labelled { texts: column(0), classes, fit: None }
            }
            Kind::ClassifiedPairs => return None,
        })
    }

    /// Labelled texts that classifiers fitted on the first `fitted` of them are to tell apart.
    #[must_use]
    pub fn fitted_on(self, fitted: usize) -> Self {
        match self {
            Self::Labelled { mut texts, mut classes, .. } => {
                let judged = (texts.split_off(fitted), classes.split_off(fitted));
                Self::Labelled { texts: judged.0, classes: judged.1, fit: Some((texts, classes)) }
            }
            other => other,
        }
    }

    /// The candidates of all samples, equal texts embedded once.
    pub fn from_reranking(reranking: &Reranking) -> Self {
        let (mut documents, mut places) = (Vec::new(), HashMap::new());
        let mut place = |text: &String| {
            *places.entry(text.clone()).or_insert_with(|| {
                documents.push(text.clone());
                documents.len() - 1
            })
        };
        let candidates = reranking.samples.iter().map(|sample| Candidates {
            positives: sample.positives.iter().map(&mut place).collect(),
            negatives: sample.negatives.iter().map(&mut place).collect(),
        });
        let candidates = candidates.collect();
        let queries = reranking.samples.iter().map(|sample| sample.query.clone()).collect();
        Self::Reranking { queries, documents, candidates }
    }

    /// The kind of task, for people and files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Retrieval(_) => "retrieval",
            Self::Sts { .. } => "sts",
            Self::Classification { .. } => "pair_classification",
            Self::Triplets { .. } => "triplets",
            Self::Reranking { .. } => "reranking",
            Self::Labelled { .. } => "classification",
            Self::Paraphrases(_) => "paraphrase_mining",
        }
    }

    /// The score that sums the task up in one number; higher is better.
    pub fn default_metric(&self) -> &'static str {
        match self {
            Self::Retrieval(_) => "cosine_ndcg@10",
            Self::Sts { .. } => "spearman_cosine",
            Self::Classification { .. } => "cosine_ap",
            Self::Triplets { .. } => "cosine_accuracy",
            Self::Reranking { .. } => "ndcg@10",
            Self::Labelled { fit: None, .. } => "knn_accuracy",
            Self::Labelled { fit: Some(_), .. } => "logistic_accuracy",
            Self::Paraphrases(_) => "average_precision",
        }
    }

    /// The texts that are asked with: queries, anchors, first sentences.
    pub fn asked(&self) -> Vec<&str> {
        match self {
            Self::Retrieval(task) => task.queries.iter().map(|(_, text)| text.as_str()).collect(),
            Self::Sts { first: texts, .. }
            | Self::Classification { first: texts, .. }
            | Self::Triplets { anchors: texts, .. }
            | Self::Reranking { queries: texts, .. }
            | Self::Labelled { texts, .. }
            | Self::Paraphrases(TextsWithDuplicates { texts, .. }) => {
                texts.iter().map(String::as_str).collect()
            }
        }
    }

    /// Number of texts to embed.
    pub fn size(&self) -> usize {
        match self {
            Self::Retrieval(task) => task.queries.len() + task.corpus.len(),
            Self::Sts { first, .. } | Self::Classification { first, .. } => 2 * first.len(),
            Self::Triplets { anchors, .. } => 3 * anchors.len(),
            Self::Reranking { queries, documents, .. } => queries.len() + documents.len(),
            Self::Labelled { texts, fit, .. } => {
                texts.len() + fit.as_ref().map_or(0, |(texts, _)| texts.len())
            }
            Self::Paraphrases(TextsWithDuplicates { texts, .. }) => texts.len(),
        }
    }

    /// What `progress` counts up to: texts to embed, and those to compare with all others.
    pub fn work(&self) -> usize {
        match self {
            Self::Paraphrases(_) => 2 * self.size(),
            _ => self.size(),
        }
    }

    /// The examples in one line: `1000 queries, 998 documents`.
    pub fn describe(&self) -> String {
        match self {
            Self::Retrieval(task) => {
                format!("{} queries, {} documents", task.queries.len(), task.corpus.len())
            }
            Self::Sts { first, .. } => format!("{} scored pairs", first.len()),
            Self::Classification { first, .. } => format!("{} labelled pairs", first.len()),
            Self::Triplets { anchors, .. } => format!("{} triplets", anchors.len()),
            Self::Reranking { queries, documents, .. } => {
                format!("{} queries, {} candidates", queries.len(), documents.len())
            }
            Self::Labelled { texts, classes, fit } => {
                let distinct = classes.iter().collect::<std::collections::HashSet<_>>().len();
                let fit = fit.as_ref().map(|(texts, _)| format!(", {} to fit on", texts.len()));
                format!("{} texts of {distinct} classes{}", texts.len(), fit.unwrap_or_default())
            }
            Self::Paraphrases(TextsWithDuplicates { texts, pairs, .. }) => {
                format!("{} texts, {} pairs of duplicates", texts.len(), pairs.len())
            }
        }
    }

    /// Why every encoder scores the same on it, or none at all, where that is so.
    pub fn says_nothing(&self) -> Option<&'static str> {
        match self {
            Self::Sts { gold, .. } if gold.len() < 2 => Some("a correlation needs two scored pairs"),
            Self::Sts { gold, .. } if gold.iter().all(|score| *score == gold[0]) => {
                Some("all pairs have the same score")
            }
            Self::Labelled { classes, .. } if classes.iter().all(|class| *class == classes[0]) => {
                Some("all texts are of one class")
            }
            Self::Retrieval(_)
            | Self::Sts { .. }
            | Self::Classification { .. }
            | Self::Triplets { .. }
            | Self::Reranking { .. }
            | Self::Labelled { .. }
            | Self::Paraphrases(_) => None,
        }
    }

    /// Embeds every text and scores the vectors.
    ///
    /// `progress` is told how much of [`Task::work`] was done since it was last called.
    pub fn evaluate(
        &self,
        encoder: &Encoder,
        prompts: &Prompts,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Scores> {
        Ok(self.judge(encoder, prompts, progress)?.scores)
    }

    /// The same, and how single queries fared, at no cost worth naming.
    pub fn judge(
        &self,
        encoder: &Encoder,
        prompts: &Prompts,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Judgement> {
        let (on_first, on_second) = (prompts.first.as_deref(), prompts.second.as_deref());
        match self {
            Self::Retrieval(task) => {
                let texts = |side: &[(String, String)]| -> Vec<String> {
                    side.iter().map(|(_, text)| text.clone()).collect()
                };
                let queries = encoder.embed(&texts(&task.queries), on_first, progress)?;
                let corpus = encoder.embed(&texts(&task.corpus), on_second, progress)?;
                let places = |documents: &Vec<(usize, f32)>| documents.iter().map(|(at, _)| *at).collect();
                let relevant: Vec<Vec<usize>> = task.relevant.iter().map(places).collect();
                let (scores, placements) =
                    retrieval::scores_and_placements(&queries, &corpus, &relevant, &RANKED_BY)?;
                Ok(Judgement { scores, placements })
            }
            Self::Sts { first, second, gold } => {
                let mut embed = |texts, prompt| encoder.embed(texts, prompt, progress);
                let (a, b): (Embeddings, Embeddings) = (embed(first, on_first)?, embed(second, on_second)?);
                Ok(sts::scores(&a, &b, gold, &Similarity::ALL)?.into())
            }
            Self::Classification { first, second, labels } => {
                let mut embed = |texts, prompt| encoder.embed(texts, prompt, progress);
                let (a, b): (Embeddings, Embeddings) = (embed(first, on_first)?, embed(second, on_second)?);
                Ok(classification::scores(&a, &b, labels, &Similarity::ALL)?.into())
            }
            Self::Triplets { anchors, positives, negatives } => {
                let anchors = encoder.embed(anchors, on_first, progress)?;
                let positives = encoder.embed(positives, on_second, progress)?;
                let negatives = encoder.embed(negatives, on_second, progress)?;
                let margins = Similarity::ALL.map(|similarity| (similarity, 0.0));
                Ok(triplet::scores(&anchors, &positives, &negatives, &margins)?.into())
            }
            Self::Reranking { queries, documents, candidates } => {
                let queries = encoder.embed(queries, on_first, progress)?;
                let documents = encoder.embed(documents, on_second, progress)?;
                Ok(reranking::scores(&queries, &documents, candidates)?.into())
            }
            Self::Labelled { texts, classes, fit } => {
                let vectors = encoder.embed(texts, on_first, progress)?;
                let judged = Labelled { vectors: &vectors, classes };
                let mut scores = match fit {
                    None => labelled::neighbour_scores(&judged)?,
                    Some((texts, classes)) => {
                        let vectors = encoder.embed(texts, on_first, progress)?;
                        labelled::classification_scores(&Labelled { vectors: &vectors, classes }, &judged)?
                    }
                };
                // There is nothing to cluster in one class.
                if self.says_nothing().is_none() {
                    scores.extend(labelled::clustering_scores(&judged)?);
                }
                Ok(scores.into())
            }
            Self::Paraphrases(TextsWithDuplicates { texts, pairs, .. }) => {
                let vectors = encoder.embed(texts, on_first, progress)?;
                Ok(paraphrases::scores(&vectors, pairs, PairLimits::default(), progress)?.into())
            }
        }
    }

    /// The `count` queries that fared worst, with their texts; none for tasks other than retrieval.
    pub fn worst_queries(&self, judgement: &Judgement, count: usize) -> Vec<WorstQuery> {
        let Self::Retrieval(task) = self else { return Vec::new() };
        worst_queries(task, &judgement.placements, count)
    }
}

/// The labels as classes, when they are two classes.
fn binary(gold: &[f64]) -> Option<Vec<bool>> {
    let both = gold.contains(&0.0) && gold.contains(&1.0);
    (both && gold.iter().all(|label| *label == 0.0 || *label == 1.0))
        .then(|| gold.iter().map(|label| *label == 1.0).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::PathBuf;

    use burn::tensor::Device;
    use temper_data::ExcludedPairs;

    use super::*;
    use crate::Reading;

    fn task(content: &str) -> Task {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.jsonl");
        std::fs::write(&path, content).unwrap();
        Reading::default().read(&path, &mut ExcludedPairs::default()).unwrap().task
    }

    fn encoder() -> Encoder {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/golden/models/bert-mean-norm");
        temper_encoder::read(&folder, &temper_encoder::ReadOptions::default(), &Device::flex())
            .unwrap()
            .encoder
    }

    #[test]
    fn the_content_decides_the_task() {
        let pairs = "{\"anchor\": \"a\", \"positive\": \"x\"}\n{\"anchor\": \"b\", \"positive\": \"x\"}\n";
        assert_eq!((task(pairs).name(), task(pairs).size()), ("retrieval", 3));
        let triplet = "{\"anchor\": \"a\", \"positive\": \"x\", \"negative\": \"y\"}\n";
        assert_eq!((task(triplet).name(), task(triplet).size()), ("triplets", 3));
        let row =
            |score: &str| format!("{{\"sentence1\": \"a\", \"sentence2\": \"x\", \"score\": {score}}}\n");
        assert_eq!(task(&(row("0") + &row("1"))).name(), "pair_classification");
        assert_eq!(task(&(row("0.5") + &row("1"))).name(), "sts");
        assert_eq!(task(&(row("1") + &row("1"))).name(), "sts");
        let lists = "{\"query\": \"a\", \"positive\": [\"x\"], \"negative\": [\"y\", \"z\", \"x\"]}\n";
        assert_eq!((task(lists).name(), task(lists).size()), ("reranking", 4));
        let mining = "{\"id\": 1, \"text\": \"a\", \"duplicates\": [2]}\n{\"id\": 2, \"text\": \"b\"}\n";
        assert_eq!((task(mining).name(), task(mining).size()), ("paraphrase_mining", 2));
        let labelled = "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"y\"}\n";
        assert_eq!(task(labelled).describe(), "2 texts of 2 classes");
        assert_eq!((task(labelled).name(), task(labelled).size()), ("classification", 2));
        let fitted = task(labelled).fitted_on(1);
        assert_eq!((fitted.describe().as_str(), fitted.size()), ("1 texts of 1 classes, 1 to fit on", 2));
    }

    #[test]
    fn classified_pairs_are_not_judged_by() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nli.csv");
        std::fs::write(&path, "premise,hypothesis,label\na,b,neutral\n").unwrap();
        let refused = Reading::default().read(&path, &mut ExcludedPairs::default()).unwrap_err().to_string();
        assert!(refused.contains("nli.csv` holds classified pairs, which are learned from"), "{refused}");
    }

    #[test]
    fn texts_of_one_class_are_judged_by_their_neighbours_alone() {
        let encoder = encoder();
        for texts in [1, 2, 9] {
            let task = Task::Labelled {
                texts: (0..texts).map(|i| format!("text {i}")).collect(),
                classes: vec![3; texts],
                fit: None,
            };
            let scores = task.evaluate(&encoder, &Prompts::default(), &mut |_| ()).unwrap();
            assert_eq!(scores.keys().collect::<Vec<_>>(), ["knn_accuracy", "knn_f1"], "{texts}");
            assert!(texts == 1 || scores["knn_accuracy"] == 1.0, "{texts}: {scores:?}");
        }
    }

    #[test]
    fn a_task_on_which_all_encoders_are_alike_is_told() {
        let scored = |gold: &[f64]| {
            let texts = vec!["a".to_owned(); gold.len()];
            Task::Sts { first: texts.clone(), second: texts, gold: gold.to_vec() }.says_nothing()
        };
        assert!(scored(&[0.5]).is_some_and(|why| why.contains("two scored pairs")));
        assert!(scored(&[0.5, 0.5]).is_some_and(|why| why.contains("the same score")));
        assert_eq!(scored(&[0.5, 0.6]), None);
        let of =
            |classes| Task::Labelled { texts: vec!["a".to_owned(); 2], classes, fit: None }.says_nothing();
        assert!(of(vec![1, 1]).is_some_and(|why| why.contains("one class")));
        assert_eq!(of(vec![0, 1]), None);
    }

    #[test]
    fn every_task_reports_its_default_metric_and_all_its_texts() {
        let scored = |scores: [f32; 3]| {
            let rows = [("a cat", "a dog"), ("rain", "sun"), ("one", "two")].into_iter().zip(scores);
            let row = |((a, b), score)| {
                format!("{{\"sentence1\": \"{a}\", \"sentence2\": \"{b}\", \"score\": {score}}}")
            };
            rows.map(row).collect::<Vec<_>>().join("\n")
        };
        let tasks = [
            "{\"anchor\": \"a\", \"positive\": \"x\"}\n{\"anchor\": \"b\", \"positive\": \"y\"}\n".to_owned(),
            "{\"anchor\": \"a\", \"positive\": \"x\", \"negative\": \"y\"}\n".to_owned(),
            scored([0.0, 1.0, 1.0]),
            scored([0.0, 0.5, 1.0]),
            "{\"query\": \"a\", \"positive\": [\"x\"], \"negative\": [\"y\", \"z\"]}\n".to_owned(),
            "{\"id\": 1, \"text\": \"a\", \"duplicates\": [2]}\n{\"id\": 2, \"text\": \"b\"}\n".to_owned(),
            ["a x", "b y", "c x", "d y"]
                .map(|row| format!("{{\"text\": \"{}\", \"label\": \"{}\"}}", &row[..1], &row[2..]))
                .join("\n"),
        ];
        let encoder = encoder();
        for content in tasks {
            let task = task(&content).fitted_on(2);
            let prompts = Prompts::of_contract(&encoder.contract, &task).unwrap();
            let mut done = 0;
            let scores = task.evaluate(&encoder, &prompts, &mut |texts| done += texts).unwrap();
            assert_eq!(done, task.work(), "{}", task.name());
            assert!(scores.contains_key(task.default_metric()), "{}: {scores:?}", task.name());
        }
    }
}
