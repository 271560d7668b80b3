//! Triplets found within a batch of labelled texts (Hermans et al., 2017, In Defense of the Triplet Loss; semi-hard:
//! Schroff et al., 2015, FaceNet): texts of one class nearer to each other than to those of others, by a margin.
//!
//! With `d` the distances of a batch, a text `a`, another `p` of its class and `n` of another class, a triplet costs
//! `relu(d(a, p) - d(a, n) + margin)`. Columns: one text; labels: classes. Which triplets, as in sentence-transformers'
//! `BatchAllTripletLoss` (the mean of those that cost something), `BatchHardTripletLoss` (for each `a` the farthest `p` and the
//! nearest `n`), `BatchHardSoftMarginTripletLoss` (the same with `log(1 + exp(d(a, p) - d(a, n)))`) and
//! `BatchSemiHardTripletLoss` (for each `a` and `p` the nearest `n` farther than `p`, or else the farthest).

use burn::tensor::activation::relu;
use burn::tensor::{Int, Tensor, TensorData};
use temper_data::Kind;

use super::distance::Distance;
use super::{EXCLUDED, LossInput, Objective, mask, needs};

/// Settings of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchTriplet {
    /// Which triplets count.
    pub mining: Mining,
    /// How two texts are compared.
    pub distance: Distance,
    /// By how much another class should be farther away; means nothing to a soft margin.
    pub margin: f64,
}

/// Which triplets of a batch count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mining {
    /// All that are not met.
    All,
    /// The hardest of each text.
    Hard,
    /// The same, without end to the margin.
    HardSoftMargin,
    /// The nearest negative behind each positive.
    SemiHard,
}

impl BatchTriplet {
    /// # Shapes
    /// - vectors: `[batch, dim]`
    /// - labels: `[batch]`
    /// - output: `[1]`
    pub fn forward(&self, vectors: Tensor<2>, labels: &[f32]) -> Tensor<1> {
        let distances = self.distance.of_all(vectors);
        match self.mining {
            Mining::Hard => relu(hardest(distances, labels).add_scalar(self.margin)).mean(),
            Mining::HardSoftMargin => softplus(hardest(distances, labels)).mean(),
            Mining::All | Mining::SemiHard => match Pairs::of(distances.clone(), labels) {
                Some(pairs) if self.mining == Mining::All => pairs.all(self.margin),
                Some(pairs) => pairs.semi_hard(self.margin),
                None => distances.sum().mul_scalar(0.0),
            },
        }
    }
}

/// What the farthest text of the same class is farther away than the nearest of another one, `[batch, 1]`.
fn hardest(distances: Tensor<2>, labels: &[f32]) -> Tensor<2> {
    let (shape, device) = (distances.dims(), distances.device());
    let positive = mask(shape, |a, p| f32::from(u8::from(a != p && labels[a] == labels[p])), &device);
    let same = mask(shape, |a, n| f32::from(u8::from(labels[a] == labels[n])), &device);
    let farthest = (distances.clone() * positive).max_dim(1);
    // What is no negative is put behind all of them.
    let nearest = (distances.clone() + distances.max_dim(1) * same).min_dim(1);
    farthest - nearest
}

/// `log(1 + exp(x))`, also where `exp(x)` is no number.
fn softplus(x: Tensor<2>) -> Tensor<2> {
    relu(x.clone()) + x.abs().neg().exp().log1p()
}

/// The pairs of a batch that are of one class, each text with each other.
struct Pairs {
    /// How far apart they are, `[pairs, 1]`.
    near: Tensor<2>,
    /// How far the first one is from every text, `[pairs, batch]`.
    far: Tensor<2>,
    /// 1 for what is of another class, `[pairs, batch]`.
    negative: Tensor<2>,
}

impl Pairs {
    /// None where no class occurs twice.
    fn of(distances: Tensor<2>, labels: &[f32]) -> Option<Self> {
        let (batch, device) = (labels.len(), distances.device());
        let all = (0..batch).flat_map(|a| (0..batch).map(move |p| (a, p)));
        let pairs: Vec<(usize, usize)> = all.filter(|(a, p)| a != p && labels[*a] == labels[*p]).collect();
        if pairs.is_empty() {
            return None;
        }
        let places = |of: &dyn Fn(&(usize, usize)) -> usize| {
            let places: Vec<i64> = pairs.iter().map(|pair| of(pair) as i64).collect();
            Tensor::<1, Int>::from_data(TensorData::new(places, [pairs.len()]), &device)
        };
        let near = distances.clone().reshape([batch * batch]).select(0, places(&|(a, p)| a * batch + p));
        let negative = |row: usize, n: usize| f32::from(u8::from(labels[pairs[row].0] != labels[n]));
        Some(Self {
            near: near.unsqueeze_dim(1),
            far: distances.select(0, places(&|(a, _)| *a)),
            negative: mask([pairs.len(), batch], negative, &device),
        })
    }

    fn all(self, margin: f64) -> Tensor<1> {
        let costs = relu((self.near - self.far).add_scalar(margin) * self.negative);
        let count = costs.clone().greater_elem(0.0).float().sum();
        costs.sum() / count.clamp_min(1.0)
    }

    fn semi_hard(self, margin: f64) -> Tensor<1> {
        let pairs = self.near.dims()[0];
        let behind = self.far.clone().greater(self.near.clone().expand(self.far.dims())).float()
            * self.negative.clone();
        let any = behind.clone().sum_dim(1).greater_elem(0.0);
        let nearest_behind = (self.far.clone() + behind.sub_scalar(1.0).mul_scalar(EXCLUDED)).min_dim(1);
        // Distances are 0 or more, and so is what is left of the others.
        let nearest = self.far.clone().min_dim(1);
        let farthest = ((self.far - nearest.clone()) * self.negative).max_dim(1) + nearest;
        let chosen = farthest.mask_where(any, nearest_behind);
        relu((self.near - chosen).add_scalar(margin)).sum().div_scalar(pairs as f64)
    }
}

impl Objective for BatchTriplet {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs(kind == Kind::Labelled, "this loss learns from labelled texts", kind)
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        let [vectors] = input.columns.try_into().expect("this is a bug: labelled texts have one column");
        self.forward(vectors, &input.labels)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use burn::tensor::Device;

    use super::*;

    fn value(mining: Mining, values: &[f32], labels: &[f32]) -> f32 {
        let vectors = Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), &Device::flex());
        BatchTriplet { mining, distance: Distance::Manhattan, margin: 1.0 }
            .forward(vectors, labels)
            .into_scalar()
    }

    /// Classes at 0 and 2, and at 3 and 7. Triplets by hand: of 0 (2 - 3, 2 - 7), of 2 (2 - 1, 2 - 5), of 3 (4 - 3, 4 - 1),
    /// of 7 (4 - 7, 4 - 5), each plus the margin of 1.
    #[test]
    fn triplets_by_hand() {
        let (values, labels) = ([0.0, 2.0, 3.0, 7.0], [0.0, 0.0, 1.0, 1.0]);
        let near =
            |found: f32, expected: f32| assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        near(value(Mining::Hard, &values, &labels), (0.0 + 2.0 + 4.0 + 0.0) / 4.0);
        near(value(Mining::All, &values, &labels), (2.0 + 2.0 + 4.0) / 3.0);
        // 0 has 3 behind 2; 2 has 5 behind 2; 3 has none behind 4 and takes 3; 7 has 5 behind 4.
        near(value(Mining::SemiHard, &values, &labels), (0.0 + 0.0 + 2.0 + 0.0) / 4.0);
        let soft = |x: f32| x.exp().ln_1p();
        near(
            value(Mining::HardSoftMargin, &values, &labels),
            (soft(-1.0) + soft(1.0) + soft(3.0) + soft(-1.0)) / 4.0,
        );
    }

    #[test]
    fn a_batch_without_pairs_costs_nothing() {
        for mining in [Mining::All, Mining::SemiHard] {
            assert_eq!(value(mining, &[0.0, 1.0], &[0.0, 1.0]), 0.0);
        }
    }

    #[test]
    fn a_soft_margin_has_no_largest_distance() {
        let found = value(Mining::HardSoftMargin, &[0.0, 1e4, 1.0, 1e4], &[0.0, 0.0, 1.0, 1.0]);
        assert!(found.is_finite() && found > 9e3, "{found}");
    }
}
