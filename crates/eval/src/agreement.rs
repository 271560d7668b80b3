//! How well classes that were found agree with the true ones.
//!
//! Source: scikit-learn's `accuracy_score`, `f1_score(average="macro")` and `homogeneity_completeness_v_measure`.

use std::collections::BTreeMap;

/// Share of examples whose class was found.
pub fn accuracy(found: &[usize], truth: &[usize]) -> f64 {
    let right = found.iter().zip(truth).filter(|(found, truth)| found == truth).count();
    right as f64 / truth.len() as f64
}

/// The mean F1 of the classes that occur on either side.
pub fn macro_f1(found: &[usize], truth: &[usize]) -> f64 {
    #[derive(Default)]
    struct Counts {
        both: usize,
        found: usize,
        truth: usize,
    }
    let mut classes: BTreeMap<usize, Counts> = BTreeMap::new();
    for (&found, &truth) in found.iter().zip(truth) {
        classes.entry(found).or_default().found += 1;
        classes.entry(truth).or_default().truth += 1;
        classes.entry(truth).or_default().both += usize::from(found == truth);
    }
    let f1 = |counts: &Counts| 2.0 * counts.both as f64 / (counts.found + counts.truth) as f64;
    classes.values().map(f1).sum::<f64>() / classes.len() as f64
}

/// Homogeneity (a cluster holds one class), completeness (a class lies in one cluster), and their harmonic mean, the
/// V-measure (Rosenberg and Hirschberg 2007).
pub fn v_measure(clusters: &[usize], classes: &[usize]) -> [f64; 3] {
    let pairs = || clusters.iter().copied().zip(classes.iter().copied());
    let (of_clusters, of_classes) = (entropy(clusters.iter().copied()), entropy(classes.iter().copied()));
    // What one side tells about the other; rounding must not make it negative.
    let mutual = (of_clusters + of_classes - entropy(pairs())).max(0.0);
    let share = |entropy: f64| if entropy == 0.0 { 1.0 } else { mutual / entropy };
    let (homogeneity, completeness) = (share(of_classes), share(of_clusters));
    let sum = homogeneity + completeness;
    let v = if sum == 0.0 { 0.0 } else { 2.0 * homogeneity * completeness / sum };
    [homogeneity, completeness, v]
}

/// In nats.
fn entropy<T: Ord>(values: impl Iterator<Item = T>) -> f64 {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let total = counts.values().sum::<usize>() as f64;
    let part = |count: &usize| *count as f64 / total;
    // Subtracted from 0, since negating an empty sum would give -0.
    0.0 - counts.values().map(part).map(|part| part * part.ln()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn accuracy_and_f1_worked_by_hand() {
        let (found, truth) = ([0, 0, 1, 3], [0, 1, 1, 2]);
        assert_close(accuracy(&found, &truth), 0.5);
        // 2/3 for 0 and for 1, nothing for 2 and for 3.
        assert_close(macro_f1(&found, &truth), 1.0 / 3.0);
    }

    #[test]
    fn v_measure_of_the_cases_in_the_documentation_of_the_reference() {
        assert_close(v_measure(&[1, 1, 0, 0], &[0, 0, 1, 1])[2], 1.0);
        assert_close(v_measure(&[0, 1, 2, 3], &[0, 0, 1, 1])[2], 2.0 / 3.0);
        assert_close(v_measure(&[0, 0, 0, 0], &[0, 0, 1, 1])[2], 0.0);
        assert_close(v_measure(&[0, 0, 1, 1], &[0, 0, 0, 0])[0], 1.0);
    }
}
