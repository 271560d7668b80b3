//! Mean squared error between the cosine of a pair and its label.
//!
//! `mean_i (cos(a_i, b_i) - y_i)^2`. Columns: two sentences; labels in the range of the cosine. Reference:
//! sentence-transformers' `CosineSimilarityLoss`.

use burn::tensor::Tensor;

use super::pairwise_cosine;

/// # Shapes
/// - columns: two of `[batch, dim]`
/// - labels: `[batch]`
/// - output: `[1]`
pub fn forward(columns: Vec<Tensor<2>>, labels: &[f32]) -> Tensor<1> {
    let [a, b] = columns.try_into().expect("this is a bug: scored pairs have two columns");
    let labels = Tensor::<1>::from_floats(labels, &a.device());
    let error = pairwise_cosine(a, b) - labels;
    (error.clone() * error).mean()
}
