//! Where dropout happens: one counter-based key for every site of a forward pass.

use std::cell::Cell;

use temper_data::random::uniform_u64;
use temper_kernels::Dropout;

/// Hands out dropout keys in the order in which the sites of a forward pass ask for them.
///
/// The same key gives the same masks again, whichever device computes them.
#[derive(Debug)]
pub struct DropoutSites {
    key: Option<u64>,
    site: Cell<u64>,
}

impl DropoutSites {
    /// No dropout: evaluation and inference.
    pub fn off() -> Self {
        Self { key: None, site: Cell::new(0) }
    }

    /// Dropout for one forward pass; `key` is a function of (seed, stream, step).
    pub fn on(key: u64) -> Self {
        Self { key: Some(key), site: Cell::new(0) }
    }

    /// Dropout of the next site, with the model's own probability.
    pub fn next(&self, probability: f64) -> Option<Dropout> {
        let site = self.site.replace(self.site.get() + 1);
        let key = self.key.filter(|_| probability > 0.0)?;
        Some(Dropout { probability: probability as f32, key: uniform_u64(key, site) })
    }
}
