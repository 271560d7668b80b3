//! A classifier on pairs (Reimers and Gurevych, 2019, Sentence-BERT): what class two sentences are, told from both
//! vectors.
//!
//! `mean_i -log softmax(W [u_i; v_i; |u_i - v_i|; u_i * v_i] + b)[y_i]`, of which parts may be left out. W and b are the
//! loss's own and are not part of the encoder afterwards. Columns: two sentences; labels: classes. Reference:
//! sentence-transformers' `SoftmaxLoss`.

use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use temper_data::{Kind, random};

use super::{Given, LossInput, Objective, Owned, mask, needs};

/// Settings of the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Softmax {
    /// What the classifier sees, in this order; none is there twice.
    pub features: Vec<Feature>,
}

/// What a classifier sees of two vectors u and v.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// u, then v.
    Vectors,
    /// `|u - v|`
    Difference,
    /// `u * v`, value by value.
    Product,
}

/// A linear layer from features to one score a class.
#[derive(Module, Debug)]
pub struct Classifier {
    /// `[classes, features]`
    pub weight: Param<Tensor<2>>,
    /// `[classes]`
    pub bias: Param<Tensor<1>>,
}

impl Classifier {
    /// Uniform values within `1 / sqrt(features)`, as PyTorch begins.
    fn new(classes: usize, features: usize, seed: u64, device: &Device) -> Self {
        let bound = 1.0 / (features as f32).sqrt();
        let uniform = |name: &str, shape: &[usize]| {
            let key = random::key(seed, name, 0);
            let value = |i| (2.0 * random::uniform_f32(key, i) - 1.0) * bound;
            let values: Vec<f32> = (0..shape.iter().product::<usize>() as u64).map(value).collect();
            TensorData::new(values, shape.to_vec())
        };
        let weight = uniform("classifier.weight", &[classes, features]);
        let bias = uniform("classifier.bias", &[classes]);
        Self {
            weight: Param::from_tensor(Tensor::from_data(weight, device)),
            bias: Param::from_tensor(Tensor::from_data(bias, device)),
        }
    }
}

impl Softmax {
    /// # Shapes
    /// - columns: two of `[batch, dim]`
    /// - labels: `[batch]`
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>, labels: &[f32], classifier: &Classifier) -> Tensor<1> {
        let [u, v] = columns.try_into().expect("this is a bug: classified pairs have two columns");
        let feature = |feature: &Feature| match feature {
            Feature::Vectors => Tensor::cat(vec![u.clone(), v.clone()], 1),
            Feature::Difference => (u.clone() - v.clone()).abs(),
            Feature::Product => u.clone() * v.clone(),
        };
        let features = Tensor::cat(self.features.iter().map(feature).collect(), 1);
        let bias = classifier.bias.val().unsqueeze_dim::<2>(0);
        let scores = features.matmul(classifier.weight.val().transpose()) + bias;
        let is = |row: usize, class: usize| f32::from(u8::from(labels[row] == class as f32));
        let right = mask(scores.dims(), is, &scores.device());
        (log_softmax(scores, 1) * right).sum().div_scalar(-(labels.len() as f64))
    }

    fn width(&self, dim: usize) -> usize {
        self.features.iter().map(|feature| if *feature == Feature::Vectors { 2 * dim } else { dim }).sum()
    }
}

impl Objective for Softmax {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs(kind == Kind::ClassifiedPairs, "softmax learns from pairs with a class", kind)
    }

    fn own(&self, owned: &mut Owned, given: &Given<'_>) -> Result<(), String> {
        let classes = given.dataset.classes.len();
        if classes < 2 {
            let only = given.dataset.classes.concat();
            return Err(format!(
                "softmax needs two classes or more, but the class of every pair is `{only}`"
            ));
        }
        let features = self.width(given.encoder.contract.full_dim());
        owned.classifier = Some(Classifier::new(classes, features, given.seed, &given.encoder.device()));
        Ok(())
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        let classifier = input.owned.classifier.as_ref();
        self.forward(input.columns, &input.labels, classifier.expect("this is a bug: no classifier"))
    }
}
