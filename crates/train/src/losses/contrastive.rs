//! Contrastive loss (Hadsell et al., 2006): pairs with label 1 together, pairs with label 0 at least a margin apart.
//!
//! `mean_i 1/2 (y_i d_i^2 + (1 - y_i) relu(margin - d_i)^2)`. Columns: two sentences; labels 0 or 1, and between them a
//! mixture of both. Reference: sentence-transformers' `ContrastiveLoss`.
//!
//! The online form learns from the hard pairs of a batch alone: positives farther apart than the nearest negatives, and
//! negatives nearer than the farthest positives; their squares are summed, not halved. Labels other than 0 and 1 count
//! for nothing. Reference: `OnlineContrastiveLoss`.

use burn::tensor::{Tensor, activation::relu};
use serde::{Deserialize, Serialize};
use temper_data::Kind;

use super::distance::Distance;
use super::{LossInput, Objective, needs_scored};

/// Settings of both forms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contrastive {
    /// How sentences are compared.
    pub distance: Distance,
    /// What negatives should at least be apart.
    pub margin: f64,
    /// What the pairs of a batch come to; the online form always sums.
    pub reduction: Reduction,
}

/// The online form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OnlineContrastive(pub Contrastive);

/// What becomes of the losses of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Contrastive {
    /// # Shapes
    /// - columns: two of `[batch, dim]`
    /// - labels: `[batch]`
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>, labels: &[f32]) -> Tensor<1> {
        let distances = self.distances(columns);
        let labels = Tensor::<1>::from_floats(labels, &distances.device());
        let short = self.short_of_margin(distances.clone());
        let together = labels.clone() * distances.clone() * distances;
        let losses = (together + labels.neg().add_scalar(1.0) * short.clone() * short).mul_scalar(0.5);
        match self.reduction {
            Reduction::Mean => losses.mean(),
            Reduction::Sum => losses.sum(),
        }
    }

    /// The online form; shapes as those of [`Self::forward`].
    pub fn forward_online(&self, columns: Vec<Tensor<2>>, labels: &[f32]) -> Tensor<1> {
        let distances = self.distances(columns);
        let device = distances.device();
        let values = distances.clone().detach().into_data().try_into_vec::<f32>();
        let [positives, negatives] = hard(&values.expect("this is a bug: distances are f32"), labels)
            .map(|mask| Tensor::<1>::from_floats(mask.as_slice(), &device));
        let short = self.short_of_margin(distances.clone());
        (positives * distances.clone() * distances + negatives * short.clone() * short).sum()
    }

    fn distances(&self, columns: Vec<Tensor<2>>) -> Tensor<1> {
        let [a, b] = columns.try_into().expect("this is a bug: scored pairs have two columns");
        self.distance.of_rows(a, b)
    }

    fn short_of_margin(&self, distances: Tensor<1>) -> Tensor<1> {
        relu(distances.neg().add_scalar(self.margin))
    }
}

/// One where a pair is a hard positive; the same for negatives. Without a pair of the other label, the mean of their own
/// stands in for its bound.
fn hard(distances: &[f32], labels: &[f32]) -> [Vec<f32>; 2] {
    let of = |label: f32| {
        let same = move |(_, own): &(&f32, &f32)| **own == label;
        distances.iter().zip(labels).filter(same).map(|(distance, _)| *distance).collect::<Vec<_>>()
    };
    let mean = |all: &[f32]| all.iter().sum::<f32>() / all.len() as f32;
    let (negatives, positives) = (of(0.0), of(1.0));
    let nearest = if negatives.is_empty() { mean(&positives) } else { least(&negatives) };
    let farthest = if positives.is_empty() { mean(&negatives) } else { -least(&negate(&positives)) };
    let mask = |counts: &dyn Fn(f32, f32) -> bool| {
        distances.iter().zip(labels).map(|(d, y)| f32::from(u8::from(counts(*d, *y)))).collect()
    };
    [mask(&|d, y| y == 1.0 && d > nearest), mask(&|d, y| y == 0.0 && d < farthest)]
}

fn least(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::INFINITY, f32::min)
}

fn negate(values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| -value).collect()
}

impl Objective for Contrastive {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs_scored(kind)
    }

    fn label_range(&self) -> Option<(f32, f32)> {
        Some((0.0, 1.0))
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.forward(input.columns, &input.labels)
    }
}

impl Objective for OnlineContrastive {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs_scored(kind)
    }

    fn label_range(&self) -> Option<(f32, f32)> {
        Some((0.0, 1.0))
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.0.forward_online(input.columns, &input.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_pairs_are_those_on_the_wrong_side_of_the_others() {
        let [positives, negatives] = hard(&[0.1, 0.6, 0.5, 0.9, 0.3], &[1.0, 1.0, 0.0, 0.0, 0.5]);
        assert_eq!(positives, [0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(negatives, [0.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn alone_a_label_is_measured_by_its_own_mean() {
        let [positives, negatives] = hard(&[0.2, 0.6], &[1.0, 1.0]);
        assert_eq!((positives, negatives), (vec![0.0, 1.0], vec![0.0, 0.0]));
    }
}
