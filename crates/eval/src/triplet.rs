//! Triplets: how often the positive is closer to the anchor than the negative.
//!
//! Source: `TripletEvaluator` of sentence-transformers 6.2.

use temper_vectors::{Embeddings, Similarity};

use crate::{Error, Result, Scores, check, check_count};

/// `cosine_accuracy` and so on, with `max_accuracy` over several measures.
///
/// Row `i` of each column is one triplet. Each measure comes with the margin by which the positive must be closer.
pub fn scores(
    anchors: &Embeddings,
    positives: &Embeddings,
    negatives: &Embeddings,
    margins: &[(Similarity, f32)],
) -> Result<Scores> {
    check("anchors", anchors, anchors.dim)?;
    check("positives", positives, anchors.dim)?;
    check("negatives", negatives, anchors.dim)?;
    check_count("positives", anchors.rows(), positives.rows())?;
    check_count("negatives", anchors.rows(), negatives.rows())?;
    if anchors.rows() == 0 {
        return Err(Error::Empty { what: "no triplets" });
    }
    let mut scores = Scores::new();
    for &(similarity, margin) in margins {
        let near = similarity.pairwise(anchors, positives)?;
        let far = similarity.pairwise(anchors, negatives)?;
        let right = near.iter().zip(&far).filter(|(near, far)| **near > **far + margin).count();
        scores.insert(format!("{}_accuracy", similarity.name()), right as f64 / near.len() as f64);
    }
    if margins.len() > 1 {
        let best = scores.values().copied().fold(0.0, f64::max);
        scores.insert("max_accuracy".to_owned(), best);
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_tie_and_a_missed_margin_count_as_wrong() {
        // Distances from 0: positives 1, 1, 1; negatives 3, 1, 1.5.
        let anchors = Embeddings::from_rows(&[[0.0], [0.0], [0.0]]).unwrap();
        let positives = Embeddings::from_rows(&[[1.0], [1.0], [1.0]]).unwrap();
        let negatives = Embeddings::from_rows(&[[3.0], [-1.0], [1.5]]).unwrap();
        let of = |margins: &[(Similarity, f32)]| scores(&anchors, &positives, &negatives, margins).unwrap();
        assert_eq!(of(&[(Similarity::Euclidean, 0.0)])["euclidean_accuracy"], 2.0 / 3.0);
        assert_eq!(of(&[(Similarity::Euclidean, 0.5)])["euclidean_accuracy"], 1.0 / 3.0);
        let both = of(&[(Similarity::Manhattan, 0.0), (Similarity::Dot, 0.0)]);
        assert_eq!((both["dot_accuracy"], both["max_accuracy"]), (0.0, 2.0 / 3.0));
    }

    #[test]
    fn no_triplets_are_no_score() {
        let none = Embeddings::new(2);
        assert!(matches!(scores(&none, &none, &none, &[]), Err(Error::Empty { .. })));
    }
}
