//! A linear probe: logistic regression on vectors, to see what can be read off them.
//!
//! Source: `LogisticRegression(C=1)` of scikit-learn: the mean cross-entropy plus `|W|² / 2n`, biases free; two classes
//! share one row of weights. The minimum is unique, so that any optimizer that reaches it predicts the same.

use rayon::prelude::*;
use temper_kernels::{product_t, t_product};
use temper_vectors::Embeddings;

use crate::lbfgs::minimise;

/// Rows whose logits are in memory at once.
const BLOCK_ROWS: usize = 4096;
/// The largest entry of the gradient at which the minimum counts as reached: a tenth of what scikit-learn asks for.
const TOLERANCE: f64 = 1e-5;
/// Steps after which it is given up, far more than vectors of encoders need.
const MAX_STEPS: usize = 1000;

/// A fitted classifier.
#[derive(Debug, Clone)]
pub struct Probe {
    /// `[outputs, dim]`, where two classes have one output: the logit of the second.
    weights: Vec<f32>,
    biases: Vec<f32>,
}

impl Probe {
    /// Fits vectors to their classes, which are below `count`; `classes[i]` is that of row `i`.
    pub fn fit(vectors: &Embeddings, classes: &[usize], count: usize) -> Self {
        let outputs = if count == 2 { 1 } else { count };
        let start = vec![0.0; outputs * (vectors.dim + 1)];
        let objective = |parameters: &[f64]| Self::of(parameters, outputs).objective(vectors, classes);
        Self::of(&minimise(start, objective, TOLERANCE, MAX_STEPS), outputs)
    }

    /// The class of each vector.
    pub fn predict(&self, vectors: &Embeddings) -> Vec<usize> {
        let mut found = Vec::with_capacity(vectors.rows());
        for block in vectors.values.chunks(BLOCK_ROWS * vectors.dim.max(1)) {
            let logits = self.logits(block, vectors.dim);
            found.extend(logits.chunks_exact(self.biases.len()).map(|row| match row {
                [second] => usize::from(*second > 0.0),
                row => largest(row),
            }));
        }
        found
    }

    fn of(parameters: &[f64], outputs: usize) -> Self {
        let (weights, biases) = parameters.split_at(parameters.len() - outputs);
        let narrow = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
        Self { weights: narrow(weights), biases: narrow(biases) }
    }

    fn logits(&self, block: &[f32], dim: usize) -> Vec<f32> {
        let mut logits = product_t(block, &self.weights, dim);
        for row in logits.chunks_exact_mut(self.biases.len()) {
            row.iter_mut().zip(&self.biases).for_each(|(logit, bias)| *logit += bias);
        }
        logits
    }

    /// The value to minimise and its gradient: blocks of rows one after the other, so that the sums have one order.
    fn objective(&self, vectors: &Embeddings, classes: &[usize]) -> (f64, Vec<f64>) {
        let outputs = self.biases.len();
        let n = vectors.rows() as f64;
        let square: f64 = self.weights.iter().map(|weight| f64::from(*weight).powi(2)).sum();
        let mut value = 0.5 * square / n;
        let mut gradient: Vec<f64> = self.weights.iter().map(|weight| f64::from(*weight) / n).collect();
        gradient.resize(self.weights.len() + outputs, 0.0);
        let (of_weights, of_biases) = gradient.split_at_mut(self.weights.len());
        let blocks = vectors.values.chunks(BLOCK_ROWS * vectors.dim);
        for (block, classes) in blocks.zip(classes.chunks(BLOCK_ROWS)) {
            let mut slopes = self.logits(block, vectors.dim);
            let losses: Vec<f64> = slopes
                .par_chunks_exact_mut(outputs)
                .zip(classes)
                .map(|(logits, class)| cross_entropy(logits, *class))
                .collect();
            value += losses.iter().sum::<f64>() / n;
            for row in slopes.chunks_exact(outputs) {
                of_biases.iter_mut().zip(row).for_each(|(sum, slope)| *sum += f64::from(*slope) / n);
            }
            let products = t_product(&slopes, block, classes.len());
            of_weights.iter_mut().zip(products).for_each(|(sum, part)| *sum += f64::from(part) / n);
        }
        (value, gradient)
    }
}

/// The loss of one row, whose logits become the loss's derivatives; one logit alone stands beside a zero.
fn cross_entropy(logits: &mut [f32], class: usize) -> f64 {
    if let [logit] = logits {
        let (z, is_second) = (f64::from(*logit), class == 1);
        *logit = (1.0 / (1.0 + (-z).exp()) - f64::from(u8::from(is_second))) as f32;
        // ln(1 + exp(x)) that does not overflow.
        let x = if is_second { -z } else { z };
        return x.max(0.0) + (-x.abs()).exp().ln_1p();
    }
    let highest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - highest).exp()).sum();
    let loss = highest + sum.ln() - f64::from(logits[class]);
    for (at, logit) in logits.iter_mut().enumerate() {
        let share = (f64::from(*logit) - highest).exp() / sum;
        *logit = (share - f64::from(u8::from(at == class))) as f32;
    }
    loss
}

/// The first of the largest values.
pub(crate) fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = at;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_loss() {
        for logits in [&[0.3f32][..], &[0.3, -0.2, 1.1]] {
            for class in 0..2 {
                let mut slopes = logits.to_vec();
                cross_entropy(&mut slopes, class);
                for at in 0..logits.len() {
                    let moved = |by: f32| {
                        let mut logits = logits.to_vec();
                        logits[at] += by;
                        cross_entropy(&mut logits, class)
                    };
                    let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                    assert!((f64::from(slopes[at]) - numeric).abs() < 1e-4, "{logits:?} {class} {at}");
                }
            }
        }
    }

    #[test]
    fn classes_apart_are_told_apart_whatever_their_number() {
        for count in [2, 3] {
            let vectors = (0..60).map(|row| {
                let angle = (row % count) as f32 * 2.0 + (row / count) as f32 * 0.01;
                [angle.cos() * 5.0 + 1.0, angle.sin() * 5.0]
            });
            let vectors = Embeddings::from_rows(&vectors.collect::<Vec<_>>()).unwrap();
            let classes: Vec<usize> = (0..60).map(|row| row % count).collect();
            assert_eq!(Probe::fit(&vectors, &classes, count).predict(&vectors), classes);
        }
    }
}
