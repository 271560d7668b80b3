//! What is trained, and the optimizer that trains it.
//!
//! Between steps, rows of the word table may be behind (see [`temper_kernels::RowAdamW`]). Every way to the parameters
//! is here, and each first catches up the rows that it shows.

use burn::module::Module;
use burn::tensor::{Gradients, Tensor};
use temper_encoder::{Contract, DropoutSites, Network, PackedBatch, Pass, Taps};
use temper_kernels::{RowSink, Rows, Scalar};

use crate::gradients::NamedGradients;
use crate::losses::Owned;
use crate::optimizer::Optimizer;

/// Every parameter of a run.
#[derive(Module, Debug)]
pub struct Trained {
    /// The encoder's.
    pub network: Network,
    /// Those of the losses. Behind the network: a twin bears the identities of the network that it was copied from, and
    /// who looks for one of these must meet the network's first.
    pub owned: Owned,
}

impl From<Network> for Trained {
    fn from(network: Network) -> Self {
        Self { network, owned: Owned::default() }
    }
}

/// Which encoder texts go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tower {
    /// The one in training.
    Encoder,
    /// The other one that the loss owns.
    Twin,
}

/// The texts of one forward pass.
#[derive(Debug)]
pub struct Part {
    /// What they go through.
    pub tower: Tower,
    /// The texts.
    pub batch: PackedBatch,
}

impl From<PackedBatch> for Part {
    fn from(batch: PackedBatch) -> Self {
        Self { tower: Tower::Encoder, batch }
    }
}

/// Parameters in training.
#[derive(Debug)]
pub struct Learner {
    /// Away only while the optimizer works on it, which then is the only one to hold it and works in place.
    trained: Option<Trained>,
    optimizer: Optimizer,
    /// Of the step that is under way.
    gradients: NamedGradients,
    word_rows: RowSink,
}

impl Learner {
    /// Goes on with parameters and the optimizer's state of the same step.
    pub fn new(trained: impl Into<Trained>, optimizer: Optimizer) -> Self {
        Self {
            trained: Some(trained.into().train()),
            optimizer,
            gradients: NamedGradients::default(),
            word_rows: RowSink::default(),
        }
    }

    /// One vector a sequence, for a loss to be given to [`Learner::backward`]: of the last layer, then of each of
    /// `layers`.
    ///
    /// # Shapes
    /// - output: `[batch, full_dim]` each
    pub fn forward(
        &mut self,
        contract: &Contract,
        part: &Part,
        dropout: DropoutSites,
        layers: &[usize],
    ) -> Vec<Tensor<2>> {
        self.catch_up(Rows::Of(&part.batch.input.ids));
        let word_rows = (part.tower == Tower::Encoder).then(|| self.word_rows.clone());
        let pass = Pass { dropout, word_rows, taps: Taps::on(layers) };
        tower(self.trained(), part.tower).forward_with_layers(contract, &part.batch, &pass)
    }

    /// The same as [`Learner::forward`], of which nothing is kept for a backward pass.
    pub fn forward_only(
        &mut self,
        contract: &Contract,
        part: &Part,
        dropout: DropoutSites,
        layers: &[usize],
    ) -> Vec<Tensor<2>> {
        self.catch_up(Rows::Of(&part.batch.input.ids));
        let pass = Pass { dropout, word_rows: None, taps: Taps::on(layers) };
        tower(self.trained(), part.tower).valid().forward_with_layers(contract, &part.batch, &pass)
    }

    /// The parameters of the losses.
    pub fn owned(&self) -> &Owned {
        &self.trained().owned
    }

    /// Adds the gradients of a loss to those of the step.
    pub fn backward(&mut self, loss: Tensor<1>) {
        self.add(loss.backward());
    }

    /// Adds gradients to those of the step.
    pub fn add(&mut self, gradients: Gradients) {
        let trained = self.trained.as_ref().expect(PRESENT);
        let table = trained.network.transformer.word_table().id;
        let word_rows = self.word_rows.take().map(|rows| (table, rows));
        self.gradients.add(trained, gradients, word_rows);
    }

    /// The global norm of the step's gradients.
    pub fn gradient_norm(&self) -> Scalar {
        self.gradients.norm()
    }

    /// Ends the step: one update with its gradients, whose global norm is `norm`.
    pub fn update(&mut self, norm: &Scalar, learning_rate: f64) {
        let gradients = std::mem::take(&mut self.gradients);
        let trained = self.trained.take().expect(PRESENT);
        self.trained = Some(self.optimizer.update(trained, gradients, norm, learning_rate));
    }

    /// The parameters as they are after the last update, for evaluation, and the optimizer, to save with it.
    ///
    /// Who keeps them during later steps makes them copy what they change.
    pub fn caught_up(&mut self) -> (Trained, &Optimizer) {
        self.catch_up(Rows::All);
        (self.trained().valid(), &self.optimizer)
    }

    fn catch_up(&mut self, rows: Rows<'_>) {
        let trained = self.trained.take().expect(PRESENT);
        self.trained = Some(self.optimizer.catch_up(trained, rows));
    }

    fn trained(&self) -> &Trained {
        self.trained.as_ref().expect(PRESENT)
    }
}

fn tower(trained: &Trained, tower: Tower) -> &Network {
    match tower {
        Tower::Encoder => &trained.network,
        Tower::Twin => trained.owned.twin.as_ref().expect("this is a bug: no twin"),
    }
}

const PRESENT: &str = "this is a bug: the parameters are only away while the optimizer works on them";
