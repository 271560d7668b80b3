//! Examples whose texts stand elsewhere to the letter: in an earlier example, or in the evaluation data.

use std::collections::HashMap;

use super::labels::Labels;
use super::{Check, Finding};
use crate::example::{Dataset, Example, Kind};

/// The same texts as an earlier example: a duplicate, or a contradiction where the labels disagree.
pub(super) fn duplicates(dataset: &Dataset, findings: &mut Vec<Finding>) {
    let labels = Labels::of(dataset);
    let mut first: HashMap<(&str, &str, &[String]), usize> = HashMap::with_capacity(dataset.len());
    for (index, example) in dataset.examples.iter().enumerate() {
        let earlier = *first.entry(identity(example, dataset.kind)).or_insert(index);
        if earlier == index {
            continue;
        }
        let (check, why) = if labels.disagree(dataset, earlier, index) {
            (Check::Contradiction, contrary(dataset, earlier, index))
        } else {
            (Check::Duplicate, format!("as {}", dataset.place(earlier)))
        };
        findings.push(Finding { check, example: index, why });
    }
}

/// That a later example has another label.
pub(super) fn contrary(dataset: &Dataset, earlier: usize, later: usize) -> String {
    let [a, b] = [earlier, later].map(|index| dataset.shown_label(index).unwrap_or_default());
    format!("labelled {b}, but {a} at {}", dataset.place(earlier))
}

/// What makes two examples the same; a scored pair of texts says the same in both orders.
fn identity(example: &Example, kind: Kind) -> (&str, &str, &[String]) {
    let (first, others) = example.texts.split_at(example.texts.len().min(2));
    let (a, b) = (first[0].as_str(), first.get(1).map_or("", String::as_str));
    let (a, b) = if kind == Kind::Scored && b < a { (b, a) } else { (a, b) };
    (a, b, others)
}

/// A text of the evaluation data.
pub(super) fn leaks(dataset: &Dataset, evaluation: &Dataset, findings: &mut Vec<Finding>) {
    let mut judged: HashMap<&str, usize> = HashMap::new();
    for (index, example) in evaluation.examples.iter().enumerate() {
        for text in &example.texts {
            judged.entry(text).or_insert(index);
        }
    }
    let roles = dataset.kind.roles();
    for (index, example) in dataset.examples.iter().enumerate() {
        let found = roles
            .iter()
            .zip(&example.texts)
            .find_map(|(role, text)| Some((role, judged.get(text.as_str())?)));
        if let Some((role, other)) = found {
            let why = format!("its {role} is in {}", evaluation.place(*other));
            findings.push(Finding { check: Check::Leak, example: index, why });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;
    use crate::example::tests::dataset;

    #[test]
    fn labels_contradict_in_both_orders() {
        let mut scored = dataset(&[&["a b", "c d"], &["c d", "a b"], &["a b", "c d"]]);
        scored.kind = Kind::Scored;
        for (example, label) in scored.examples.iter_mut().zip([1.0, 1.0, 0.0]) {
            example.label = Some(label);
        }
        assert_eq!(found(&scored, None), [(Check::Duplicate, 1), (Check::Contradiction, 2)]);
    }
}
