//! Mean squared error between the cosine of a pair and its label.
//!
//! `mean_i (cos(a_i, b_i) - y_i)^2`. Columns: two sentences; labels in the range of the cosine. Reference:
//! sentence-transformers' `CosineSimilarityLoss`.

use burn::tensor::Tensor;
use temper_data::Kind;

use super::{LossInput, Objective, needs_scored, pairwise_cosine};

/// The loss, which has no settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosineSimilarity;

impl Objective for CosineSimilarity {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs_scored(kind)
    }

    fn label_range(&self) -> Option<(f32, f32)> {
        Some((-1.0, 1.0))
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        let [a, b] = input.columns.try_into().expect("this is a bug: scored pairs have two columns");
        let labels = Tensor::<1>::from_floats(input.labels.as_slice(), &a.device());
        let error = pairwise_cosine(a, b) - labels;
        (error.clone() * error).mean()
    }
}
