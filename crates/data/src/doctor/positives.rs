//! Positives that are the anchor itself, or belong to other anchors too, and negatives that are positives elsewhere.

use super::{Check, Finding};
use crate::example::{Dataset, Example};

pub(super) fn find(dataset: &Dataset, findings: &mut Vec<Finding>) {
    let mut by_positive: Vec<(&str, &str)> =
        dataset.examples.iter().map(pair).map(|(anchor, positive)| (positive, anchor)).collect();
    by_positive.sort_unstable();
    by_positive.dedup();
    let mut by_anchor: Vec<((&str, &str), usize)> = Vec::new();
    if dataset.kind.columns() > 2 {
        by_anchor = dataset.examples.iter().map(pair).zip(0..).collect();
        by_anchor.sort_unstable();
    }
    for (index, example) in dataset.examples.iter().enumerate() {
        let (anchor, positive) = pair(example);
        let mut add = |check, why| findings.push(Finding { check, example: index, why });
        if anchor == positive {
            add(Check::SameText, "anchor and positive".to_owned());
        }
        let start = by_positive.partition_point(|(other, _)| *other < positive);
        let shared = by_positive[start..].partition_point(|(other, _)| *other == positive);
        if shared > 1 {
            add(Check::SharedPositive, format!("positive of {shared} anchors"));
        }
        for negative in &example.texts[2..] {
            let pair = (anchor, negative.as_str());
            let at = by_anchor.partition_point(|(other, _)| *other < pair);
            if let Some((_, other)) = by_anchor.get(at).filter(|(other, _)| *other == pair) {
                let why = format!("a negative is the positive at {}", dataset.place(*other));
                add(Check::Contradiction, why);
                break;
            }
        }
    }
}

fn pair(example: &Example) -> (&str, &str) {
    (&example.texts[0], &example.texts[1])
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;
    use crate::example::tests::dataset;

    #[test]
    fn a_negative_that_is_a_positive_contradicts() {
        let triplets = dataset(&[&["a1", "b1", "c1"], &["a1", "c1", "b2"]]);
        assert_eq!(found(&triplets, None), [(Check::Contradiction, 0)]);
    }

    #[test]
    fn anchors_of_a_positive_are_counted_once() {
        let pairs = dataset(&[&["a1", "x y"], &["a1", "x y"], &["a2", "x y"], &["a3", "z"]]);
        let shared: Vec<_> =
            found(&pairs, None).into_iter().filter(|(check, _)| *check == Check::SharedPositive).collect();
        assert_eq!(shared, [0, 1, 2].map(|example| (Check::SharedPositive, example)));
    }
}
