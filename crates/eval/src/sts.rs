//! Semantic textual similarity: how well scores of pairs follow a gold standard.
//!
//! Source: `EmbeddingSimilarityEvaluator` of sentence-transformers 6.2 over scipy's `pearsonr` and `spearmanr`.

use temper_vectors::{Embeddings, Similarity};

use crate::ranks::average_ranks;
use crate::{Error, Result, Scores, check, check_count};

/// `pearson_cosine`, `spearman_cosine` and so on, with `pearson_max` and `spearman_max` over several measures.
///
/// Row `i` of `a` and of `b` is a pair with the gold score `gold[i]`. A correlation with something constant is
/// undefined and comes out as NaN, as in the reference.
pub fn scores(a: &Embeddings, b: &Embeddings, gold: &[f64], similarities: &[Similarity]) -> Result<Scores> {
    check("first texts", a, a.dim)?;
    check("second texts", b, a.dim)?;
    check_count("second texts", a.rows(), b.rows())?;
    check_count("gold scores", a.rows(), gold.len())?;
    if gold.len() < 2 {
        return Err(Error::Empty { what: "a correlation needs at least two scored pairs" });
    }
    if let Some(row) = gold.iter().position(|label| !label.is_finite()) {
        return Err(Error::Label { row, label: gold[row] });
    }
    let gold_ranks = average_ranks(gold);
    let mut scores = Scores::new();
    let (mut best_pearson, mut best_spearman) = (f64::NAN, f64::NAN);
    for similarity in similarities {
        let found: Vec<f64> = similarity.pairwise(a, b)?.into_iter().map(f64::from).collect();
        let (pearson, spearman) = (pearson(gold, &found), pearson(&gold_ranks, &average_ranks(&found)));
        scores.insert(format!("pearson_{}", similarity.name()), pearson);
        scores.insert(format!("spearman_{}", similarity.name()), spearman);
        (best_pearson, best_spearman) = (best_pearson.max(pearson), best_spearman.max(spearman));
    }
    if similarities.len() > 1 {
        scores.insert("pearson_max".to_owned(), best_pearson);
        scores.insert("spearman_max".to_owned(), best_spearman);
    }
    Ok(scores)
}

/// Covariance over the product of the standard deviations; NaN when one side is constant.
fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - mean_x, y - mean_y);
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    // Divided one after the other, so that tiny spreads do not underflow together; rounding may exceed 1.
    (xy / xx.sqrt() / yy.sqrt()).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn correlations_worked_by_hand() {
        // x - mean = -1, 0, 1; y - mean = -3, 2, 1: 4 / sqrt(2 * 14).
        let expected = 4.0 / 28.0f64.sqrt();
        assert!((pearson(&[1.0, 2.0, 3.0], &[1.0, 6.0, 5.0]) - expected).abs() < 1e-12);
        // Ranks 1, 2, 3 against 1, 3, 2: 1 - 6 * 2 / (3 * 8) = 0.5.
        let ranks = average_ranks(&[1.0, 6.0, 5.0]);
        assert!((pearson(&[1.0, 2.0, 3.0], &ranks) - 0.5).abs() < 1e-12);
        assert!(pearson(&[1.0, 1.0], &[1.0, 2.0]).is_nan());
    }

    #[test]
    fn the_best_measure_is_named_only_among_several() {
        let a = Embeddings::from_rows(&[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]).unwrap();
        let b = Embeddings::from_rows(&[[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]).unwrap();
        let gold = [1.0, 0.5, 0.0];
        let one = scores(&a, &b, &gold, &[Similarity::Cosine]).unwrap();
        assert_eq!(one.keys().collect::<Vec<_>>(), ["pearson_cosine", "spearman_cosine"]);
        assert!((one["spearman_cosine"] - 1.0).abs() < 1e-12);
        let all = scores(&a, &b, &gold, &Similarity::ALL).unwrap();
        assert_eq!(all.len(), 10);
        assert!((all["spearman_max"] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn input_that_cannot_be_scored_is_refused() {
        let a = Embeddings::from_rows(&[[1.0], [2.0]]).unwrap();
        let broken = Embeddings::from_rows(&[[1.0], [f32::NAN]]).unwrap();
        let of = |b: &Embeddings, gold: &[f64]| scores(&a, b, gold, &Similarity::ALL);
        assert!(matches!(of(&broken, &[0.0, 1.0]), Err(Error::NotFinite { row: 1, .. })));
        assert!(matches!(of(&a, &[0.0]), Err(Error::Count { .. })));
        assert!(matches!(of(&a, &[0.0, f64::NAN]), Err(Error::Label { row: 1, .. })));
        assert!(matches!(of(&Embeddings::new(3), &[0.0, 1.0]), Err(Error::Dim { .. })));
    }
}
