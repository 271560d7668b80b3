//! How far apart the rows of two matrices are.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{mask, pairwise_cosine};

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

    /// Every row from every row, without an epsilon: the distance of a row from itself, and of its equals, has no slope.
    ///
    /// # Shapes
    /// - rows: `[batch, dim]`
    /// - output: `[batch, batch]`
    pub(super) fn of_all(self, rows: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Cosine => {
                let rows = temper_kernels::normalize(rows);
                rows.clone().matmul(rows.transpose()).neg().add_scalar(1.0)
            }
            Self::Euclidean => {
                let products = rows.clone().matmul(rows.transpose());
                let eye = mask(products.dims(), |i, j| f32::from(u8::from(i == j)), &products.device());
                let squares = (products.clone() * eye).sum_dim(1);
                let squared =
                    (squares.clone() - products.mul_scalar(2.0) + squares.transpose()).clamp_min(0.0);
                let none = squared.clone().equal_elem(0.0).float();
                (squared + none.clone()).sqrt() * none.neg().add_scalar(1.0)
            }
            Self::Manhattan => {
                let rows: Tensor<3> = rows.unsqueeze_dim(1);
                (rows.clone() - rows.swap_dims(0, 1)).abs().sum_dim(2).squeeze_dim(2)
            }
        }
    }
}
