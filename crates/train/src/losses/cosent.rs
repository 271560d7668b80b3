//! CoSENT (Su, 2022): pairs with a higher label must have a higher cosine.
//!
//! `log(1 + sum over i, j with y_i > y_j of exp(scale * (cos_j - cos_i)))`. Columns: two sentences; labels of any
//! range, only their order counts. Reference: sentence-transformers' `CoSENTLoss`.

use burn::tensor::{Tensor, TensorData};
use temper_data::Kind;

use super::{LossInput, Objective, needs_scored, pairwise_cosine};

/// Added where a pair of pairs does not count; `exp` of it is zero.
const EXCLUDED: f32 = -1e12;

/// Settings of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cosent {
    /// Factor on scores.
    pub scale: f64,
}

impl Cosent {
    /// # Shapes
    /// - columns: two of `[batch, dim]`
    /// - labels: `[batch]`
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>, labels: &[f32]) -> Tensor<1> {
        let [a, b] = columns.try_into().expect("this is a bug: scored pairs have two columns");
        of_scores(pairwise_cosine(a, b), labels, self.scale)
    }
}

impl Objective for Cosent {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs_scored(kind)
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.forward(input.columns, &input.labels)
    }
}

/// The same for any score of a pair.
///
/// # Shapes
/// - scores: `[batch]`
pub(super) fn of_scores(scores: Tensor<1>, labels: &[f32], scale: f64) -> Tensor<1> {
    let (device, batch) = (scores.device(), labels.len());
    let scores = scores.mul_scalar(scale);
    // Entry (j, i) is score_j - score_i, counted where y_j < y_i.
    let differences = scores.clone().unsqueeze_dim::<2>(1) - scores.unsqueeze_dim::<2>(0);
    let excluded: Vec<f32> = labels
        .iter()
        .flat_map(|y_j| labels.iter().map(move |y_i| if y_j < y_i { 0.0 } else { EXCLUDED }))
        .collect();
    let excluded = Tensor::<2>::from_data(TensorData::new(excluded, [batch, batch]), &device);
    let terms: Tensor<1> = (differences + excluded).reshape([batch * batch]);
    let terms = Tensor::cat(vec![Tensor::zeros([1], &device), terms], 0);
    let largest = terms.clone().max().detach();
    (terms - largest.clone()).exp().sum().log() + largest
}
