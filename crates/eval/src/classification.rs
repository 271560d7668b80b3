//! Pair classification: do two texts belong together, decided by a threshold on their closeness.
//!
//! Source: `BinaryClassificationEvaluator` of sentence-transformers 6.2 over scikit-learn's
//! `average_precision_score` and `matthews_corrcoef`; ROC AUC is ours.

use temper_vectors::{Embeddings, Similarity};

use crate::ranks::average_ranks;
use crate::{Error, Result, Scores, check, check_count};

/// `cosine_accuracy`, `cosine_accuracy_threshold`, `cosine_f1`, `cosine_f1_threshold`, `cosine_precision`,
/// `cosine_recall`, `cosine_ap`, `cosine_mcc`, `cosine_roc_auc` and so on, with `max_…` over several measures.
///
/// Row `i` of `a` and of `b` is a pair that belongs together when `labels[i]`. Thresholds of distances are positive
/// distances. ROC AUC is NaN when only one class occurs.
pub fn scores(
    a: &Embeddings,
    b: &Embeddings,
    labels: &[bool],
    similarities: &[Similarity],
) -> Result<Scores> {
    check("first texts", a, a.dim)?;
    check("second texts", b, a.dim)?;
    check_count("second texts", a.rows(), b.rows())?;
    check_count("labels", a.rows(), labels.len())?;
    if labels.is_empty() {
        return Err(Error::Empty { what: "no labelled pairs" });
    }
    let mut scores = Scores::new();
    for &similarity in similarities {
        let closeness = similarity.pairwise(a, b)?;
        for (metric, value) in metrics(similarity, &closeness, labels) {
            scores.insert(format!("{}_{metric}", similarity.name()), value);
            if similarities.len() > 1 {
                // The reference takes the largest of everything, of thresholds too.
                let best = scores.entry(format!("max_{metric}")).or_insert(f64::NAN);
                *best = best.max(value);
            }
        }
    }
    Ok(scores)
}

fn metrics(similarity: Similarity, closeness: &[f32], labels: &[bool]) -> [(&'static str, f64); 9] {
    let cuts = cuts(closeness, labels);
    let positives = labels.iter().filter(|label| **label).count();
    let negatives = labels.len() - positives;
    let (accuracy, accuracy_cut) = best_accuracy(&cuts, negatives);
    let f1 = best_f1(&cuts, positives);
    [
        ("accuracy", accuracy),
        ("accuracy_threshold", threshold(similarity, accuracy_cut)),
        ("f1", f1.f1),
        ("f1_threshold", threshold(similarity, f1.threshold)),
        ("precision", f1.precision),
        ("recall", f1.recall),
        ("ap", average_precision(&cuts, positives)),
        ("mcc", matthews(closeness, labels, f1.threshold)),
        ("roc_auc", roc_auc(closeness, labels)),
    ]
}

/// A threshold in the terms of the measure: distances are told as such, not negated.
fn threshold(similarity: Similarity, closeness: f32) -> f64 {
    match similarity {
        Similarity::Cosine | Similarity::Dot => f64::from(closeness),
        // Subtracted, since negating would turn 0 into -0.
        Similarity::Euclidean | Similarity::Manhattan => 0.0 - f64::from(closeness),
    }
}

/// One place where the pairs, from the closest on, can be cut in two; equal scores are never parted.
pub(crate) struct Cut {
    /// Lowest score above the cut.
    above: f32,
    /// Highest score below it; none at the end.
    below: Option<f32>,
    true_positives: usize,
    false_positives: usize,
}

impl Cut {
    /// Halfway between the two scores, unless rounding would let the lower one in.
    fn threshold(&self) -> f32 {
        let Some(below) = self.below else { return self.above };
        let middle = f32::midpoint(self.above, below);
        if middle == below { self.above } else { middle }
    }
}

pub(crate) fn cuts(closeness: &[f32], labels: &[bool]) -> Vec<Cut> {
    let mut pairs: Vec<(f32, bool)> = closeness.iter().copied().zip(labels.iter().copied()).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut cuts, mut true_positives, mut false_positives) = (Vec::new(), 0, 0);
    for (at, &(score, label)) in pairs.iter().enumerate() {
        true_positives += usize::from(label);
        false_positives += usize::from(!label);
        let below = pairs.get(at + 1).map(|pair| pair.0);
        if below != Some(score) {
            cuts.push(Cut { above: score, below, true_positives, false_positives });
        }
    }
    cuts
}

/// The best accuracy and its threshold; calling every pair negative is the first candidate.
fn best_accuracy(cuts: &[Cut], negatives: usize) -> (f64, f32) {
    let total = cuts.last().map_or(0, |cut| cut.true_positives + cut.false_positives);
    let (mut right, mut threshold) = (negatives, cuts.first().map_or(-1.0, |cut| cut.above.next_up()));
    for cut in cuts {
        let here = cut.true_positives + negatives - cut.false_positives;
        if here > right {
            (right, threshold) = (here, cut.threshold());
        }
    }
    (right as f64 / total as f64, threshold)
}

#[derive(Default)]
struct BestF1 {
    f1: f64,
    precision: f64,
    recall: f64,
    threshold: f32,
}

fn best_f1(cuts: &[Cut], positives: usize) -> BestF1 {
    let mut best = BestF1::default();
    for cut in cuts.iter().filter(|cut| cut.true_positives > 0) {
        let precision = cut.true_positives as f64 / (cut.true_positives + cut.false_positives) as f64;
        let recall = cut.true_positives as f64 / positives as f64;
        let f1 = 2.0 * precision * recall / (precision + recall);
        if f1 > best.f1 {
            best = BestF1 { f1, precision, recall, threshold: cut.threshold() };
        }
    }
    best
}

/// Precision averaged over the recall each cut adds; 0 without positives, as in scikit-learn.
pub(crate) fn average_precision(cuts: &[Cut], positives: usize) -> f64 {
    let (mut sum, mut before) = (0.0, 0);
    for cut in cuts {
        let precision = cut.true_positives as f64 / (cut.true_positives + cut.false_positives) as f64;
        sum += (cut.true_positives - before) as f64 * precision;
        before = cut.true_positives;
    }
    if positives == 0 { 0.0 } else { sum / positives as f64 }
}

/// Correlation between labels and decisions at a threshold; 0 where it is undefined, as in scikit-learn.
fn matthews(closeness: &[f32], labels: &[bool], threshold: f32) -> f64 {
    let (mut tp, mut tn, mut fp, mut fn_) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
    for (score, label) in closeness.iter().zip(labels) {
        *match (*label, *score >= threshold) {
            (true, true) => &mut tp,
            (false, false) => &mut tn,
            (false, true) => &mut fp,
            (true, false) => &mut fn_,
        } += 1.0;
    }
    let scale = ((tp + fp) * (tp + fn_) * (tn + fp) * (tn + fn_)).sqrt();
    if scale == 0.0 { 0.0 } else { (tp * tn - fp * fn_) / scale }
}

/// The chance that a positive pair is closer than a negative one, ties counting half (Mann-Whitney U).
fn roc_auc(closeness: &[f32], labels: &[bool]) -> f64 {
    let closeness: Vec<f64> = closeness.iter().copied().map(f64::from).collect();
    let ranks = average_ranks(&closeness);
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let negatives = labels.len() as f64 - positives;
    let rank_sum: f64 = ranks.iter().zip(labels).filter(|(_, label)| **label).map(|(rank, _)| rank).sum();
    (rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(similarity: Similarity, closeness: &[f32], labels: &[u8]) -> Scores {
        let labels: Vec<bool> = labels.iter().map(|label| *label == 1).collect();
        metrics(similarity, closeness, &labels)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    #[track_caller]
    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-7, "{found} is not {expected}");
    }

    #[test]
    fn five_pairs_worked_by_hand() {
        // In order of closeness: + + - + -.
        let found = of(Similarity::Cosine, &[0.9, 0.1, 0.8, 0.4, 0.6], &[1, 0, 1, 1, 0]);
        assert_close(found["accuracy"], 0.8);
        assert_close(found["accuracy_threshold"], 0.7);
        assert_close(found["f1"], 2.0 * 0.75 / 1.75);
        assert_close(found["f1_threshold"], 0.25);
        assert_close(found["precision"], 0.75);
        assert_close(found["recall"], 1.0);
        assert_close(found["ap"], (1.0 + 1.0 + 0.75) / 3.0);
        // tp 3, tn 1, fp 1, fn 0: 3 / sqrt(4 * 3 * 2 * 1).
        assert_close(found["mcc"], 3.0 / 24.0f64.sqrt());
        // 5 of the 6 positive-negative pairs are in order.
        assert_close(found["roc_auc"], 5.0 / 6.0);
    }

    #[test]
    fn equal_scores_stand_on_one_side() {
        let found = of(Similarity::Cosine, &[0.5, 0.5], &[1, 0]);
        assert_close(found["accuracy"], 0.5);
        assert_close(found["f1_threshold"], 0.5);
        assert_close(found["ap"], 0.5);
        assert_close(found["roc_auc"], 0.5);
        assert_close(found["mcc"], 0.0);
    }

    #[test]
    fn thresholds_of_distances_are_positive() {
        let found = of(Similarity::Euclidean, &[-1.0, -3.0], &[1, 0]);
        assert_close(found["accuracy_threshold"], 2.0);
        assert_close(found["f1_threshold"], 2.0);
    }

    #[test]
    fn one_class_alone_has_a_meaning_too() {
        let found = of(Similarity::Manhattan, &[-1.0, -3.0], &[0, 0]);
        assert_close(found["accuracy"], 1.0);
        assert!(found["accuracy_threshold"] < 1.0);
        assert_eq!(found["f1_threshold"].to_bits(), 0.0f64.to_bits());
        assert_close(found["ap"], 0.0);
        assert!(found["roc_auc"].is_nan());
    }

    #[test]
    fn a_rounded_middle_does_not_let_the_lower_score_in() {
        let cut = Cut { above: 1.0f32.next_up(), below: Some(1.0), true_positives: 1, false_positives: 0 };
        assert_eq!(cut.threshold(), 1.0f32.next_up());
    }
}
