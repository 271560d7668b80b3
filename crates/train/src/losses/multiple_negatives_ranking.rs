//! Multiple negatives ranking, also known as InfoNCE with in-batch negatives (Henderson et al., 2017; van den Oord
//! et al., 2018).
//!
//! `mean_i -log softmax_j(scale * s(anchor_i, candidate_j))[i]`, where the candidates are all positives of the batch,
//! then all negatives. Columns: anchor, positive, any number of negatives; no labels. Reference:
//! sentence-transformers' `MultipleNegativesRankingLoss`.

use std::collections::{BTreeSet, HashMap};

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use temper_kernels::{normalize, ranking_loss};

/// Settings of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MultipleNegativesRanking {
    /// Factor on similarities: the inverse temperature.
    pub scale: f64,
    /// Also rank the anchors for each positive, and take the mean of both directions.
    pub symmetric: bool,
    /// A candidate whose text equals a positive of the anchor's text is no negative of it.
    pub mask_duplicates: bool,
    /// How anchors and candidates are compared.
    pub similarity: ScoreFunction,
}

/// How anchors and candidates are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreFunction {
    /// The cosine.
    #[default]
    Cosine,
    /// The dot product.
    Dot,
}

impl MultipleNegativesRanking {
    /// # Shapes
    /// - columns: `[batch, dim]` each: anchor, positive, negatives
    /// - text_ids: `[columns][batch]`, equal exactly where texts are equal
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>, text_ids: &[Vec<u64>]) -> Tensor<1> {
        let mut columns = columns.into_iter().map(|c| match self.similarity {
            ScoreFunction::Cosine => normalize(c),
            ScoreFunction::Dot => c,
        });
        let anchors = columns.next().expect("this is a bug: no anchor column");
        let documents: Vec<_> = columns.collect();
        let positives = documents[0].clone();
        let documents = Tensor::cat(documents, 0);
        let forward = self.direction(anchors.clone(), documents, &text_ids[0], &text_ids[1..]);
        if !self.symmetric {
            return forward;
        }
        let backward = self.direction(positives, anchors, &text_ids[1], &text_ids[..1]);
        (forward + backward).div_scalar(2.0)
    }

    /// The loss of each anchor telling its own candidate from the others.
    fn direction(
        &self,
        anchors: Tensor<2>,
        candidates: Tensor<2>,
        anchor_ids: &[u64],
        candidate_ids: &[Vec<u64>],
    ) -> Tensor<1> {
        let excluded = if self.mask_duplicates { duplicates(anchor_ids, candidate_ids) } else { Vec::new() };
        ranking_loss(anchors, candidates, self.scale, excluded)
    }
}

/// The (row, candidate) of duplicates of a right answer: a row's own, or that of a row with the same text.
fn duplicates(rows: &[u64], candidates: &[Vec<u64>]) -> Vec<(usize, usize)> {
    let mut answers: HashMap<u64, BTreeSet<u64>> = HashMap::new();
    for (row, answer) in rows.iter().zip(&candidates[0]) {
        answers.entry(*row).or_default().insert(*answer);
    }
    let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
    for (place, text) in candidates.iter().flatten().enumerate() {
        places.entry(*text).or_default().push(place);
    }
    let repeated = |i: usize| answers[&rows[i]].iter().flat_map(|answer| &places[answer]);
    (0..rows.len()).flat_map(|i| repeated(i).filter(move |j| **j != i).map(move |j| (i, *j))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_repeats_nothing_is_excluded() {
        assert_eq!(duplicates(&[1, 2], &[vec![3, 4], vec![5, 5]]), []);
    }

    #[test]
    fn an_equal_positive_is_no_negative() {
        assert_eq!(duplicates(&[1, 2, 3], &[vec![7, 8, 7]]), [(0, 2), (2, 0)]);
    }

    #[test]
    fn an_equal_negative_is_none() {
        assert_eq!(duplicates(&[1, 2], &[vec![7, 8], vec![8, 9]]), [(1, 2)]);
    }

    #[test]
    fn the_positive_of_an_equal_anchor_is_no_negative() {
        assert_eq!(duplicates(&[1, 1], &[vec![7, 8]]), [(0, 1), (1, 0)]);
    }
}
