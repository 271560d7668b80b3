//! Labels: when two of them contradict each other, and which are rare.

use std::collections::{BTreeMap, HashMap};

use super::{Check, Finding};
use crate::example::Dataset;

/// Different whole numbers up to which labels are classes, and not scores.
const CLASSES: usize = 20;
/// Scores contradict each other when they lie further apart than this share of their range.
const APART: f32 = 0.25;
/// A class is rare with less than this share of the examples that it would have if all had as many.
const RARE: f64 = 0.1;

/// What the labels of a data set are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Labels {
    /// Classes, of which an example has one.
    Classes,
    /// Scores in a range of this width.
    Scores { range: f32 },
}

impl Labels {
    pub(super) fn of(dataset: &Dataset) -> Self {
        if dataset.kind.has_classes() || whole_numbers(dataset).is_some() {
            return Self::Classes;
        }
        let labels = || dataset.examples.iter().filter_map(|example| example.label);
        let (least, most) =
            (labels().fold(f32::INFINITY, f32::min), labels().fold(f32::NEG_INFINITY, f32::max));
        Self::Scores { range: (most - least).max(0.0) }
    }

    /// Whether the labels of two examples contradict each other.
    pub(super) fn disagree(self, dataset: &Dataset, a: usize, b: usize) -> bool {
        let [Some(a), Some(b)] = [a, b].map(|index| dataset.examples[index].label) else { return false };
        match self {
            Self::Classes => a != b,
            Self::Scores { range } => (a - b).abs() > APART * range,
        }
    }
}

/// How many examples have each label, where labels are classes, or a few different whole numbers.
pub fn label_counts(dataset: &Dataset) -> Option<Vec<(String, usize)>> {
    if !dataset.kind.has_classes() {
        let counts = whole_numbers(dataset)?;
        return Some(counts.into_iter().map(|(label, count)| (label.to_string(), count)).collect());
    }
    let mut counts = vec![0; dataset.classes.len()];
    for label in dataset.examples.iter().filter_map(|example| example.label) {
        counts[label as usize] += 1;
    }
    Some(dataset.classes.iter().cloned().zip(counts).filter(|(_, count)| *count > 0).collect())
}

fn whole_numbers(dataset: &Dataset) -> Option<BTreeMap<i64, usize>> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for label in dataset.examples.iter().map(|example| example.label) {
        let label = label.filter(|label| label.fract() == 0.0)?;
        *counts.entry(label as i64).or_default() += 1;
        if counts.len() > CLASSES {
            return None;
        }
    }
    (!counts.is_empty()).then_some(counts)
}

/// The examples of classes that hardly any other example has.
pub(super) fn rare(dataset: &Dataset, findings: &mut Vec<Finding>) {
    let Some(counts) = label_counts(dataset) else { return };
    let even = dataset.len() as f64 / counts.len().max(1) as f64;
    let rare: HashMap<String, usize> =
        counts.into_iter().filter(|(_, count)| (*count as f64) < RARE * even).collect();
    if rare.is_empty() {
        return;
    }
    for index in 0..dataset.len() {
        if let Some((label, count)) = dataset.shown_label(index).and_then(|label| rare.get_key_value(&label))
        {
            let why = format!("{count} of {} examples have the label {label}", dataset.len());
            findings.push(Finding { check: Check::RareLabel, example: index, why });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;
    use crate::example::Kind;
    use crate::example::tests::dataset;

    fn labelled(labels: &[f32]) -> Dataset {
        let texts: Vec<[String; 2]> =
            (0..labels.len()).map(|at| [format!("first {at}"), format!("second {at}")]).collect();
        let rows: Vec<Vec<&str>> = texts.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let mut data = dataset(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        data.kind = Kind::Scored;
        data.examples.iter_mut().zip(labels).for_each(|(example, label)| example.label = Some(*label));
        data
    }

    #[test]
    fn a_class_with_a_tenth_of_its_part_is_rare() {
        let mut labels = [0.0; 60];
        labels[..20].fill(1.0);
        labels[5] = 2.0;
        let data = labelled(&labels);
        let counts = [("0", 40), ("1", 19), ("2", 1)].map(|(label, count)| (label.to_owned(), count));
        assert_eq!(label_counts(&data), Some(counts.to_vec()));
        assert_eq!(found(&data, None), [(Check::RareLabel, 5)]);
        labels[6] = 2.0;
        assert_eq!(found(&labelled(&labels), None), []);
    }

    #[test]
    fn scores_contradict_when_they_are_far_apart() {
        let data = labelled(&[0.0, 0.8, 1.0, 0.2, 4.0]);
        assert_eq!((label_counts(&data), Labels::of(&data)), (None, Labels::Scores { range: 4.0 }));
        assert!(!Labels::of(&data).disagree(&data, 0, 2));
        assert!(Labels::of(&data).disagree(&data, 0, 4));
        let classes = labelled(&[0.0, 1.0, 4.0]);
        assert!(Labels::of(&classes).disagree(&classes, 0, 1));
        assert_eq!(label_counts(&dataset(&[&["a", "b"]])), None);
    }

    #[test]
    fn classes_are_counted_by_name_and_always_contradict() {
        let mut data = labelled(&[0.0; 30]);
        data.kind = Kind::ClassifiedPairs;
        data.classes = ["neutral", "entailment"].map(str::to_owned).to_vec();
        data.examples[4].label = Some(1.0);
        assert_eq!(found(&data, None), [(Check::RareLabel, 4)]);
        assert_eq!(label_counts(&data).map(|counts| counts[1].clone()), Some(("entailment".to_owned(), 1)));
        data.examples[5].texts = data.examples[4].texts.clone();
        assert!(found(&data, None).contains(&(Check::Contradiction, 5)));
    }
}
