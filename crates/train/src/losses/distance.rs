//! How far apart the rows of two matrices are.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::pairwise_cosine;

/// Added to every difference, as `torch.nn.functional.pairwise_distance` does: a distance of zero has no slope.
const EPS: f64 = 1e-6;

/// A distance of two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// `1 - cos`
    Cosine,
    /// `|a - b|`
    Euclidean,
    /// The sum of the absolute differences.
    Manhattan,
}

impl Distance {
    /// # Shapes
    /// - a, b: `[batch, dim]`
    /// - output: `[batch]`
    pub(super) fn of_rows(self, a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Cosine => pairwise_cosine(a, b).neg().add_scalar(1.0),
            Self::Euclidean => {
                let difference = (a - b).add_scalar(EPS);
                (difference.clone() * difference).sum_dim(1).sqrt().squeeze_dim(1)
            }
            Self::Manhattan => (a - b).add_scalar(EPS).abs().sum_dim(1).squeeze_dim(1),
        }
    }
}
