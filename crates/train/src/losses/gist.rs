//! GISTEmbed (Solatorio, 2024): multiple negatives ranking where another encoder, the guide, tells which texts are no
//! negatives.
//!
//! `mean_i -log softmax_j(cos(x_i, candidate_j) / temperature)[i]`. Candidates of anchor i: all positives, all negatives,
//! and, when contrasted, the other anchors; and for positive i, when contrasted, the other positives. One that the guide
//! finds nearer than it finds anchor i and positive i, less the margin, does not compete. Columns: anchor, positive, any
//! number of negatives; no labels. Without in-batch negatives the candidates of an anchor are its own positive and
//! negatives. Reference: sentence-transformers' `GISTEmbedLoss`.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use temper_data::Kind;
use temper_kernels::normalize;

use super::multiple_negatives_ranking::log_sum_exp;
use super::{EXCLUDED, LossInput, Objective, in_batch, mask, needs_own_negatives, needs_pairs_or_triplets};

/// Settings of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gist {
    /// Factor on similarities: the inverse temperature.
    pub scale: f64,
    /// How the margin is meant.
    pub margin_strategy: MarginStrategy,
    /// By how much the guide must find a candidate farther than the pair for it to compete.
    pub margin: f64,
    /// Whether other anchors compete.
    pub contrast_anchors: bool,
    /// Whether other positives compete for each positive.
    pub contrast_positives: bool,
    /// Whether texts of other rows are negatives; without them nothing is contrasted.
    pub in_batch_negatives: bool,
}

/// How a margin between similarities is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarginStrategy {
    /// As so much of a cosine.
    #[default]
    Absolute,
    /// As a share of the pair's cosine.
    Relative,
}

impl Gist {
    /// # Shapes
    /// - columns: `[batch, dim]` each: anchor, positive, negatives
    /// - guide: `[batch, guide_dim]` each, what the guide makes of the same texts
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>, guide: Vec<Tensor<2>>) -> Tensor<1> {
        let columns: Vec<_> = columns.into_iter().map(normalize).collect();
        let guide: Vec<_> = guide.into_iter().map(normalize).collect();
        let (device, batch) = (columns[0].device(), columns[0].dims()[0]);
        let pair = (guide[0].clone() * guide[1].clone()).sum_dim(1);
        let limit = match self.margin_strategy {
            MarginStrategy::Absolute => pair.sub_scalar(self.margin),
            MarginStrategy::Relative => pair.clone() - pair.abs().mul_scalar(self.margin),
        };
        let own = mask([batch, batch], |i, j| f32::from(u8::from(i == j)), &device);
        let scores = |row: usize, candidates: usize| {
            let guided = guide[row].clone().matmul(guide[candidates].clone().transpose());
            let mut nearer = guided.greater(limit.clone()).float();
            if (row, candidates) == (0, 1) {
                nearer = nearer * own.clone().neg().add_scalar(1.0);
            }
            if !self.in_batch_negatives {
                nearer = (nearer + own.clone().neg().add_scalar(1.0)).clamp_max(1.0);
            }
            let cosines = columns[row].clone().matmul(columns[candidates].clone().transpose());
            cosines.mul_scalar(self.scale) + nearer.mul_scalar(EXCLUDED)
        };
        let documents = scores(0, 1);
        let right = (documents.clone() * own.clone()).sum_dim(1);
        let mut all = vec![documents];
        if self.contrast_anchors && self.in_batch_negatives {
            all.push(scores(0, 0));
        }
        if self.contrast_positives && self.in_batch_negatives {
            all.push(scores(1, 1));
        }
        all.extend((2..columns.len()).map(|negatives| scores(0, negatives)));
        (log_sum_exp(Tensor::cat(all, 1)) - right).mean()
    }
}

impl Objective for Gist {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs_pairs_or_triplets(kind)?;
        needs_own_negatives(self.in_batch_negatives, kind)
    }

    fn negatives_per_anchor(&self, batch: usize, kind: Kind) -> Option<usize> {
        Some(in_batch(if self.in_batch_negatives { batch } else { 1 }, kind))
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.forward(input.columns, input.guide)
    }
}
