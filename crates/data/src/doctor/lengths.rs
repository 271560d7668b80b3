//! Texts that are much longer than the others, or almost empty.

use super::{Check, Finding};
use crate::example::Dataset;

/// A text this many times as long as the median of its column is an outlier.
const LONG: usize = 20;
/// Letters and digits that a text has at least.
const SHORT: usize = 2;

pub(super) fn find(dataset: &Dataset, findings: &mut Vec<Finding>) {
    let letters = |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).count();
    for (column, role) in dataset.kind.roles().into_iter().enumerate() {
        let lengths: Vec<usize> =
            dataset.examples.iter().map(|example| letters(&example.texts[column])).collect();
        let mut sorted = lengths.clone();
        sorted.sort_unstable();
        let Some(median) = sorted.get(sorted.len() / 2) else { return };
        for (index, length) in lengths.iter().enumerate() {
            let why = match *length {
                ..SHORT => format!("its {role} has {length} letters"),
                length if length > LONG * (*median).max(SHORT) => {
                    format!("its {role} has {length} letters, the median is {median}")
                }
                _ => continue,
            };
            findings.push(Finding { check: Check::Length, example: index, why });
        }
    }
}
