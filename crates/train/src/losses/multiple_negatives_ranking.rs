//! Multiple negatives ranking, also known as InfoNCE with in-batch negatives (Henderson et al., 2017; van den Oord
//! et al., 2018).
//!
//! `mean_i -log softmax_j(scale * s(anchor_i, candidate_j))[i]`, where the candidates are all positives of the batch,
//! then all negatives. Columns: anchor, positive, any number of negatives; no labels. Reference:
//! sentence-transformers' `MultipleNegativesRankingLoss`.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use temper_kernels::normalize;

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
        let scores = anchors.clone().matmul(Tensor::cat(documents, 0).transpose()).mul_scalar(self.scale);
        let forward = self.cross_entropy(scores, &text_ids[0], &text_ids[1..]);
        if !self.symmetric {
            return forward;
        }
        let scores = positives.matmul(anchors.transpose()).mul_scalar(self.scale);
        let backward = self.cross_entropy(scores, &text_ids[1], &text_ids[..1]);
        (forward + backward).div_scalar(2.0)
    }

    /// Cross-entropy where row i belongs to column i; `text_ids` are those of the rows and of the candidate columns.
    fn cross_entropy(&self, scores: Tensor<2>, rows: &[u64], candidates: &[Vec<u64>]) -> Tensor<1> {
        let device = scores.device();
        let [batch, width] = scores.dims();
        let scores = match self.mask_duplicates.then(|| duplicate_mask(rows, candidates)).flatten() {
            Some(mask) => scores + Tensor::from_data(TensorData::new(mask, [batch, width]), &device),
            None => scores,
        };
        let targets = Tensor::<2, Int>::from_data(
            TensorData::new((0..batch as i64).collect::<Vec<_>>(), [batch, 1]),
            &device,
        );
        log_softmax(scores, 1).gather(1, targets).mean().neg()
    }
}

/// What is added to `[batch, candidates]` scores: a large negative number where a candidate is a duplicate of a right
/// answer. None when nothing repeats, so that the arithmetic is then exactly the unmasked one.
fn duplicate_mask(rows: &[u64], candidates: &[Vec<u64>]) -> Option<Vec<f32>> {
    let batch = rows.len();
    let flat: Vec<u64> = candidates.iter().flatten().copied().collect();
    let right = |i: usize, j: usize| {
        // A right answer of row i: its own, or that of a row with the same text.
        (0..batch).any(|k| (k == i || rows[k] == rows[i]) && flat[k] == flat[j])
    };
    let mask: Vec<f32> = (0..batch)
        .flat_map(|i| (0..flat.len()).map(move |j| (i, j)))
        .map(|(i, j)| if j != i && right(i, j) { -1e9 } else { 0.0 })
        .collect();
    mask.iter().any(|m| *m != 0.0).then_some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_repeats_no_mask() {
        assert_eq!(duplicate_mask(&[1, 2], &[vec![3, 4]]), None);
    }

    #[test]
    fn an_equal_positive_is_no_negative() {
        let mask = duplicate_mask(&[1, 2, 3], &[vec![7, 8, 7]]).unwrap_or_default();
        assert_eq!(
            mask.iter().map(|m| *m != 0.0).collect::<Vec<_>>(),
            [false, false, true, false, false, false, true, false, false]
        );
    }

    #[test]
    fn the_positive_of_an_equal_anchor_is_no_negative() {
        let mask = duplicate_mask(&[1, 1], &[vec![7, 8]]).unwrap_or_default();
        assert_eq!(mask, [0.0, -1e9, -1e9, 0.0]);
    }
}
