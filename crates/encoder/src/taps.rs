//! Token vectors on their way through the blocks, for losses that look at earlier layers.

use std::cell::{Cell, RefCell};

use burn::tensor::Tensor;

/// Keeps the token vectors of the layers asked for; a layer's number is that of the blocks before it.
#[derive(Debug, Default)]
pub struct Taps {
    layers: Vec<usize>,
    offered: Cell<usize>,
    taken: RefCell<Vec<(usize, Tensor<2>)>>,
}

impl Taps {
    /// Takes these layers.
    pub fn on(layers: &[usize]) -> Self {
        Self { layers: layers.to_vec(), ..Self::default() }
    }

    /// What goes into the next block.
    pub(crate) fn offer(&self, hidden: &Tensor<2>) {
        let layer = self.offered.replace(self.offered.get() + 1);
        if self.layers.contains(&layer) {
            self.taken.borrow_mut().push((layer, hidden.clone()));
        }
    }

    /// What was kept, in the order in which it was asked for.
    pub(crate) fn take(&self) -> Vec<Tensor<2>> {
        let mut taken = self.taken.take();
        let place = |layer: usize| self.layers.iter().position(|wanted| *wanted == layer);
        taken.sort_by_key(|(layer, _)| place(*layer));
        taken.into_iter().map(|(_, hidden)| hidden).collect()
    }
}
