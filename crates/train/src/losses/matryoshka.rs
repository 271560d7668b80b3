//! Matryoshka representation learning (Kusupati et al., 2022): any loss on the leading values of the vectors too, so that
//! they can be cut to them.
//!
//! `sum_k weight_k * loss(first dim_k values, scaled to length 1)`. Columns and labels: those of the loss inside.
//! Reference: sentence-transformers' `MatryoshkaLoss`.

use burn::tensor::Tensor;
use temper_kernels::normalize;

use super::{Loss, LossInput};

/// A loss and the lengths that it is computed at.
#[derive(Debug, Clone, PartialEq)]
pub struct Matryoshka {
    /// What is minimised at every length.
    pub loss: Box<Loss>,
    /// Leading values, and what the loss there weighs.
    pub cuts: Vec<(usize, f64)>,
}

impl Matryoshka {
    /// Whether vectors of `dim` values have so many.
    pub(super) fn fits(&self, dim: usize) -> Result<(), String> {
        match self.cuts.iter().find(|(cut, _)| *cut > dim) {
            Some((cut, _)) => Err(format!(
                "loss.matryoshka_dims has {cut}, but the model's vectors have {dim} values; lower it"
            )),
            None => Ok(()),
        }
    }

    /// Shapes as those of [`Loss::forward`].
    pub(super) fn forward(&self, input: &LossInput) -> Tensor<1> {
        let at = |(dim, weight): &(usize, f64)| {
            let cut = |column: &Tensor<2>| normalize(column.clone().narrow(1, 0, *dim));
            let columns = input.columns.iter().map(cut).collect();
            self.loss.forward(LossInput { columns, ..input.clone() }).mul_scalar(*weight)
        };
        self.cuts
            .iter()
            .map(at)
            .reduce(|a, b| a + b)
            .expect("this is a bug: a Matryoshka loss without dimensions")
    }
}
