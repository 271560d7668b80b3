//! What is in a data set: the numbers to know before training on it.

use std::collections::HashSet;

use serde::Serialize;

use crate::bad_row::Reason;
use crate::example::{Dataset, Example, FileReport, Kind};

/// Counts the tokens of each text, as the model would see them without truncation.
pub type CountTokens<'a> = &'a dyn Fn(&[&str]) -> Vec<usize>;

/// What [`inspect`] finds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What the columns mean.
    pub kind: Kind,
    /// Number of examples.
    pub examples: usize,
    /// How each file was read.
    pub files: Vec<FileReport>,
    /// Rows left out.
    pub bad_rows: usize,
    /// Those of them that hold an empty text.
    pub empty_fields: usize,
    /// Examples left out because a person excluded them.
    pub excluded: usize,
    /// One report per column of texts.
    pub columns: Vec<ColumnReport>,
    /// Examples equal to an earlier one in all texts and the label.
    pub duplicate_examples: usize,
    /// Examples whose anchor and positive are the same text.
    pub anchor_equals_positive: usize,
    /// Labels of scored pairs.
    pub labels: Option<LabelReport>,
    /// How many examples each class has, the largest first.
    pub classes: Option<Vec<ClassReport>>,
    /// What training and evaluation data share.
    pub overlap: Option<Overlap>,
}

/// One column of texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnReport {
    /// Its name in the file.
    pub name: String,
    /// What it is to the other columns.
    pub role: String,
    /// Different texts.
    pub distinct: usize,
    /// Texts that occurred in this column before.
    pub duplicates: usize,
    /// Lengths in tokens, where a tokenizer was given.
    pub tokens: Option<Quantiles>,
    /// Share of texts longer than the model's maximum.
    pub truncated: Option<f64>,
}

/// Lengths by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// The shortest.
    pub min: usize,
    /// Half are no longer than this.
    pub p50: usize,
    /// 90 % are no longer than this.
    pub p90: usize,
    /// 95 % are no longer than this.
    pub p95: usize,
    /// 99 % are no longer than this.
    pub p99: usize,
    /// The longest.
    pub max: usize,
}

/// The labels of scored pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LabelReport {
    /// Smallest label.
    pub min: f32,
    /// Largest label.
    pub max: f32,
    /// Mean label.
    pub mean: f64,
}

/// A class of labelled texts or classified pairs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// Examples that have it.
    pub examples: usize,
}

/// Texts in both the training and the evaluation data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overlap {
    /// Different texts that occur in both.
    pub texts: usize,
    /// Training examples that hold one of them.
    pub training_examples: usize,
    /// Evaluation examples that hold one of them.
    pub evaluation_examples: usize,
    /// The first few of them.
    pub first: Vec<String>,
}

/// Overlapping texts kept for showing.
const SHOWN_OVERLAPS: usize = 3;

/// Looks through a data set, and at what it shares with the evaluation data.
pub fn inspect(
    dataset: &Dataset,
    evaluation: Option<&Dataset>,
    count_tokens: Option<CountTokens<'_>>,
    max_seq_length: Option<usize>,
) -> Report {
    let columns = dataset.kind.roles().into_iter().enumerate().map(|(place, role)| {
        let name = dataset.column_names.get(place).unwrap_or(&role).clone();
        column_report(&column(dataset, place), name, role, count_tokens, max_seq_length)
    });
    let is_empty_text = |reason: &Reason| *reason == Reason::Empty;
    Report {
        kind: dataset.kind,
        examples: dataset.len(),
        files: dataset.files.clone(),
        bad_rows: dataset.skipped.len(),
        empty_fields: dataset.skipped.iter().filter(|bad| is_empty_text(&bad.reason)).count(),
        excluded: dataset.excluded,
        columns: columns.collect(),
        duplicate_examples: duplicate_examples(dataset),
        anchor_equals_positive: dataset
            .examples
            .iter()
            .filter(|row| row.texts.get(1) == Some(&row.texts[0]))
            .count(),
        labels: label_report(dataset),
        classes: class_report(dataset),
        overlap: evaluation.map(|evaluation| overlap(dataset, evaluation)),
    }
}

fn column(dataset: &Dataset, place: usize) -> Vec<&str> {
    dataset.examples.iter().map(|example| example.texts[place].as_str()).collect()
}

fn column_report(
    texts: &[&str],
    name: String,
    role: String,
    count_tokens: Option<CountTokens<'_>>,
    max_seq_length: Option<usize>,
) -> ColumnReport {
    let distinct = texts.iter().collect::<HashSet<_>>().len();
    let mut lengths = count_tokens.map(|count| count(texts)).unwrap_or_default();
    lengths.sort_unstable();
    let truncated = max_seq_length.filter(|_| !lengths.is_empty()).map(|max| {
        let fitting = lengths.partition_point(|&length| length <= max);
        (lengths.len() - fitting) as f64 / lengths.len() as f64
    });
    let duplicates = texts.len() - distinct;
    ColumnReport { name, role, distinct, duplicates, tokens: Quantiles::of_sorted(&lengths), truncated }
}

impl Quantiles {
    /// The quantiles of ascending lengths; none of no lengths.
    pub fn of_sorted(lengths: &[usize]) -> Option<Self> {
        let (&min, &max) = (lengths.first()?, lengths.last()?);
        let at = |percent: usize| lengths[(lengths.len() * percent).div_ceil(100) - 1];
        Some(Self { min, p50: at(50), p90: at(90), p95: at(95), p99: at(99), max })
    }
}

fn duplicate_examples(dataset: &Dataset) -> usize {
    let mut seen = HashSet::with_capacity(dataset.len());
    let identities = dataset.examples.iter().map(|example| (example.label.map(f32::to_bits), &example.texts));
    identities.filter(|identity| !seen.insert(*identity)).count()
}

fn class_report(dataset: &Dataset) -> Option<Vec<ClassReport>> {
    if !dataset.kind.has_classes() {
        return None;
    }
    let report = |name: &String| ClassReport { name: name.clone(), examples: 0 };
    let mut classes: Vec<ClassReport> = dataset.classes.iter().map(report).collect();
    for label in dataset.examples.iter().filter_map(|example| example.label) {
        classes[label as usize].examples += 1;
    }
    classes.retain(|class| class.examples > 0);
    classes.sort_by(|a, b| b.examples.cmp(&a.examples).then_with(|| a.name.cmp(&b.name)));
    Some(classes)
}

fn label_report(dataset: &Dataset) -> Option<LabelReport> {
    if dataset.kind.has_classes() {
        return None;
    }
    let labels: Vec<f32> = dataset.examples.iter().filter_map(|example| example.label).collect();
    let min = labels.iter().copied().reduce(f32::min)?;
    let max = labels.iter().copied().reduce(f32::max)?;
    let mean = labels.iter().copied().map(f64::from).sum::<f64>() / labels.len() as f64;
    Some(LabelReport { min, max, mean })
}

fn overlap(training: &Dataset, evaluation: &Dataset) -> Overlap {
    let training_texts: HashSet<&String> =
        training.examples.iter().flat_map(|example| &example.texts).collect();
    let mut seen = HashSet::new();
    let mut first = Vec::new();
    for text in evaluation.examples.iter().flat_map(|example| &example.texts) {
        if training_texts.contains(text) && seen.insert(text.as_str()) && first.len() < SHOWN_OVERLAPS {
            first.push(text.clone());
        }
    }
    let touched = |dataset: &Dataset| {
        let holds = |example: &&Example| example.texts.iter().any(|text| seen.contains(text.as_str()));
        dataset.examples.iter().filter(holds).count()
    };
    Overlap {
        texts: seen.len(),
        training_examples: touched(training),
        evaluation_examples: touched(evaluation),
        first,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::example::tests::dataset;

    #[test]
    fn counts_what_is_in_the_data() {
        let data = dataset(&[&["a b", "x"], &["a b", "x"], &["c", "c"], &["d", "x y z"]]);
        let evaluation = dataset(&[&["q", "c"], &["c", "r"], &["s", "t"]]);
        let count: CountTokens = &|texts| texts.iter().map(|text| text.split(' ').count()).collect();
        let report = inspect(&data, Some(&evaluation), Some(count), Some(2));
        assert_eq!((report.duplicate_examples, report.anchor_equals_positive), (1, 1));
        assert_eq!((report.columns[0].distinct, report.columns[0].duplicates), (3, 1));
        assert_eq!(report.columns[1].truncated, Some(0.25));
        assert_eq!(report.columns[1].tokens.unwrap().max, 3);
        let overlap = report.overlap.unwrap();
        assert_eq!((overlap.texts, overlap.training_examples, overlap.evaluation_examples), (1, 1, 2));
        assert_eq!(overlap.first, ["c"]);
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let lengths: Vec<usize> = (1..=200).collect();
        let expected = Quantiles { min: 1, p50: 100, p90: 180, p95: 190, p99: 198, max: 200 };
        assert_eq!(Quantiles::of_sorted(&lengths), Some(expected));
        assert_eq!(Quantiles::of_sorted(&[]), None);
    }

    #[test]
    fn labels_are_summed_up() {
        let mut data = dataset(&[&["a", "b"], &["c", "d"]]);
        data.kind = Kind::Scored;
        data.examples[0].label = Some(0.25);
        data.examples[1].label = Some(1.0);
        let report = inspect(&data, None, None, None);
        assert_eq!(report.labels, Some(LabelReport { min: 0.25, max: 1.0, mean: 0.625 }));
        assert_eq!(report.classes, None);
    }

    #[test]
    fn classes_are_counted() {
        let mut data = dataset(&[&["a"], &["b"], &["c"]]);
        data.kind = Kind::Labelled;
        data.classes = vec!["x".to_owned(), "gone".to_owned(), "y".to_owned()];
        for (example, class) in data.examples.iter_mut().zip([0.0, 2.0, 2.0]) {
            example.label = Some(class);
        }
        let report = inspect(&data, None, None, None);
        let class = |name: &str, examples| ClassReport { name: name.to_owned(), examples };
        assert_eq!(report.classes, Some(vec![class("y", 2), class("x", 1)]));
        assert_eq!((report.labels, report.anchor_equals_positive), (None, 0));
    }
}
