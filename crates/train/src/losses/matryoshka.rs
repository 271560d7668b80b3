//! Matryoshka representation learning (Kusupati et al., 2022): any loss on the leading values of the vectors too, so that
//! they can be cut to them.
//!
//! `sum_k weight_k * loss(first dim_k values, scaled to length 1)`, over all k or over some that are drawn at every step.
//! Columns and labels: those of the loss inside. Reference: sentence-transformers' `MatryoshkaLoss`.

use burn::tensor::Tensor;
use temper_data::{Kind, random};
use temper_kernels::normalize;

use super::{Given, Loss, LossInput, Objective, Owned};

/// A loss and the lengths that it is computed at.
#[derive(Debug, Clone, PartialEq)]
pub struct Matryoshka {
    /// What is minimised at every length.
    pub loss: Box<Loss>,
    /// Leading values, and what the loss there weighs.
    pub cuts: Vec<(usize, f64)>,
    /// How many of them are drawn at each step; all when not given.
    pub n_dims_per_step: Option<usize>,
}

impl Matryoshka {
    fn drawn(&self, draw: u64) -> Vec<usize> {
        let mut order = match self.n_dims_per_step {
            Some(count) if count < self.cuts.len() => random::permutation(draw, self.cuts.len()),
            _ => (0..self.cuts.len()).collect(),
        };
        order.truncate(self.n_dims_per_step.unwrap_or(order.len()));
        order
    }
}

impl Objective for Matryoshka {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        self.loss.accepts(kind)
    }

    fn label_range(&self) -> Option<(f32, f32)> {
        self.loss.label_range()
    }

    fn fits(&self, dim: usize, guide_dim: Option<usize>) -> Result<(), String> {
        self.loss.fits(dim, guide_dim)?;
        match self.cuts.iter().find(|(cut, _)| *cut > dim) {
            Some((cut, _)) => Err(format!(
                "loss.matryoshka_dims has {cut}, but the model's vectors have {dim} values; lower it"
            )),
            None => Ok(()),
        }
    }

    fn negatives_per_anchor(&self, batch: usize, kind: Kind) -> Option<usize> {
        self.loss.negatives_per_anchor(batch, kind)
    }

    fn own(&self, owned: &mut Owned, given: &Given<'_>) -> Result<(), String> {
        self.loss.own(owned, given)
    }

    fn has_twin(&self) -> bool {
        self.loss.has_twin()
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        let at = |index: usize| {
            let (dim, weight) = self.cuts[index];
            let cut = |column: &Tensor<2>| normalize(column.clone().narrow(1, 0, dim));
            let columns = input.columns.iter().map(cut).collect();
            self.loss.forward(LossInput { columns, ..input.clone() }).mul_scalar(weight)
        };
        let losses = self.drawn(input.draw).into_iter().map(at);
        losses.reduce(|a, b| a + b).expect("this is a bug: a Matryoshka loss without dimensions")
    }
}
