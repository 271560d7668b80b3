//! No transformer at all: one vector a token, as model2vec and sentence-transformers' `StaticEmbedding` have it.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use temper_kernels::{LinearPrecision, embed};

use super::Shape;
use super::fields::Fields;
use super::layers::Table;
use crate::Error;
use crate::packed::PackedBatch;
use crate::pass::Pass;

/// The longest input of a model that knows no positions.
pub(crate) const ANY_LENGTH: usize = 1 << 30;

/// The shape of the table; such models have no fields of their own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StaticConfig {
    vocab_size: usize,
    hidden_size: usize,
}

impl StaticConfig {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self { vocab_size: fields.count("vocab_size")?, hidden_size: fields.count("hidden_size")? })
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            name: "static",
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: 0,
            intermediate_size: 0,
            max_tokens: ANY_LENGTH,
        }
    }
}

/// The table.
#[derive(Module, Debug)]
pub struct Static {
    embedding: Table,
}

impl Static {
    pub(super) fn empty(config: &StaticConfig, device: &Device) -> Self {
        Self { embedding: Table::empty(config.vocab_size, config.hidden_size, device) }
    }

    /// There is nothing to pack.
    // The same signature as every architecture's.
    #[allow(clippy::unused_self)]
    pub(super) fn pack(&mut self, _: LinearPrecision) {}

    pub(super) fn word_table(&self) -> &Param<Tensor<2>> {
        &self.embedding.weight
    }

    pub(super) fn forward(&self, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        embed(self.embedding.weight.val(), &batch.input.ids, pass.word_rows.clone())
    }
}
