//! Triplet loss (Hermans et al., 2017): the positive nearer to the anchor than the negative, by a margin.
//!
//! `mean_i relu(d(anchor_i, positive_i) - d(anchor_i, negative_i) + margin)`. Columns: anchor, positive, one negative; no
//! labels. Reference: sentence-transformers' `TripletLoss`.

use burn::tensor::{Tensor, activation::relu};

use temper_data::Kind;

use super::distance::Distance;
use super::{LossInput, Objective, needs};

/// Settings of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Triplet {
    /// How two texts are compared.
    pub distance: Distance,
    /// By how much the negative should be farther away.
    pub margin: f64,
}

impl Triplet {
    /// # Shapes
    /// - columns: three of `[batch, dim]`: anchor, positive, negative
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>) -> Tensor<1> {
        let [anchor, positive, negative] =
            columns.try_into().expect("this is a bug: triplets have three columns");
        let near = self.distance.of_rows(anchor.clone(), positive);
        let far = self.distance.of_rows(anchor, negative);
        relu((near - far).add_scalar(self.margin)).mean()
    }
}

impl Objective for Triplet {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        let met = kind == Kind::Triplets { negatives: 1 };
        needs(met, "triplet learns from triplets with one negative", kind)
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.forward(input.columns)
    }
}
