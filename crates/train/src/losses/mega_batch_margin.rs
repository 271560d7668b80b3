//! Mega-batch margin (Wieting and Gimpel, 2018): each pair against the hardest other positive of the batch.
//!
//! `mean_i relu(positive_margin - cos_ii) + relu(max_{j != i} cos_ij - negative_margin)`, where `cos_ij` is that of anchor
//! i and positive j. Columns: anchor, positive; no labels. Made for large batches. Reference: sentence-transformers'
//! `MegaBatchMarginLoss`.

use burn::tensor::{Tensor, activation::relu};
use temper_data::Kind;
use temper_kernels::normalize;

use super::{EXCLUDED, LossInput, Objective, in_batch, mask, needs};

/// Settings of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MegaBatchMargin {
    /// What the cosine of a pair should at least be.
    pub positive_margin: f64,
    /// What that of the hardest negative should at most be.
    pub negative_margin: f64,
}

impl MegaBatchMargin {
    /// # Shapes
    /// - columns: two of `[batch, dim]`
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>) -> Tensor<1> {
        let [anchors, positives] = columns.try_into().expect("this is a bug: pairs have two columns");
        let (anchors, positives) = (normalize(anchors), normalize(positives));
        let device = anchors.device();
        let batch = anchors.dims()[0];
        let own = (anchors.clone() * positives.clone()).sum_dim(1);
        let itself = mask([batch, batch], |i, j| if i == j { EXCLUDED } else { 0.0 }, &device);
        let hardest = (anchors.matmul(positives.transpose()) + itself).max_dim(1);
        let short = relu(own.neg().add_scalar(self.positive_margin));
        (short + relu(hardest.sub_scalar(self.negative_margin))).mean()
    }
}

impl Objective for MegaBatchMargin {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs(kind == Kind::Pairs, "mega_batch_margin learns from pairs", kind)
    }

    fn negatives_per_anchor(&self, batch: usize, kind: Kind) -> Option<usize> {
        Some(in_batch(batch, kind))
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.forward(input.columns)
    }
}
