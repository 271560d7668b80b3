//! What a forward pass is given beside its input.

use temper_kernels::RowSink;

use crate::dropout::DropoutSites;
use crate::taps::Taps;

/// How one forward pass runs.
#[derive(Debug)]
pub struct Pass {
    /// Its dropout.
    pub dropout: DropoutSites,
    /// Takes the word table's gradient, which is then none of autodiff's; see [`temper_kernels::embed_norm`].
    pub word_rows: Option<RowSink>,
    /// Takes the vectors of earlier layers.
    pub taps: Taps,
}

impl Pass {
    /// Evaluation and inference: no dropout, no gradient by rows.
    pub fn inference() -> Self {
        Self { dropout: DropoutSites::off(), word_rows: None, taps: Taps::default() }
    }
}
