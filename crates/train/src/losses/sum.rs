//! Losses of the same batch, added up with weights.

use burn::tensor::Tensor;
use temper_data::Kind;

use super::{Given, Loss, LossInput, Objective, Owned};

/// Weights and losses; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Sum(pub Vec<(f64, Loss)>);

impl Sum {
    fn losses(&self) -> impl Iterator<Item = &Loss> {
        self.0.iter().map(|(_, loss)| loss)
    }
}

impl Objective for Sum {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        self.losses().try_for_each(|loss| loss.accepts(kind))
    }

    fn label_range(&self) -> Option<(f32, f32)> {
        self.losses().find_map(Loss::label_range)
    }

    fn fits(&self, dim: usize, guide_dim: Option<usize>) -> Result<(), String> {
        self.losses().try_for_each(|loss| loss.fits(dim, guide_dim))
    }

    fn negatives_per_anchor(&self, batch: usize, kind: Kind) -> Option<usize> {
        self.losses().filter_map(|loss| loss.negatives_per_anchor(batch, kind)).max()
    }

    fn own(&self, owned: &mut Owned, given: &Given<'_>) -> Result<(), String> {
        self.losses().try_for_each(|loss| loss.own(owned, given))
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        let terms = self.0.iter().map(|(weight, loss)| loss.forward(input.clone()).mul_scalar(*weight));
        terms.reduce(|a, b| a + b).expect("this is a bug: a sum without terms")
    }
}
