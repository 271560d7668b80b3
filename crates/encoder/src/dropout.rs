//! Where dropout happens: one counter-based key for every site of a forward pass.

use std::cell::Cell;

use burn::tensor::Tensor;
use temper_data::random::uniform_u64;
use temper_kernels::Dropout;

/// Hands out dropout keys in the order in which the sites of a forward pass ask for them.
///
/// The same key gives the same masks again, whichever device computes them.
#[derive(Debug)]
pub struct DropoutSites {
    key: Option<u64>,
    /// In place of the model's own probabilities.
    probability: Option<f64>,
    site: Cell<u64>,
}

impl DropoutSites {
    /// No dropout: evaluation and inference.
    pub fn off() -> Self {
        Self { key: None, probability: None, site: Cell::new(0) }
    }

    /// Dropout for one forward pass; `key` is a function of (seed, stream, step), and `probability`, if given, that of
    /// every site in place of the model's own.
    pub fn on(key: u64, probability: Option<f64>) -> Self {
        Self { key: Some(key), probability, site: Cell::new(0) }
    }

    /// Dropout of the next site, where the model has this probability.
    pub fn next(&self, probability: f64) -> Option<Dropout> {
        let probability = self.probability.unwrap_or(probability);
        let site = self.site.replace(self.site.get() + 1);
        let key = self.key.filter(|_| probability > 0.0)?;
        Some(Dropout { probability: probability as f32, key: uniform_u64(key, site) })
    }

    /// `dropout(x)` at the next site.
    pub fn apply(&self, x: Tensor<2>, probability: f64) -> Tensor<2> {
        match self.next(probability) {
            Some(dropout) => temper_kernels::drop(x, dropout),
            None => x,
        }
    }
}
