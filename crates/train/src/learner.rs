//! A network and the optimizer that trains it.
//!
//! Between steps, rows of the word table may be behind (see [`temper_kernels::RowAdamW`]). Every way to the network
//! is here, and each first catches up the rows that it shows.

use burn::module::Module;
use burn::tensor::Tensor;
use temper_encoder::{Contract, DropoutSites, Network, PackedBatch, Pass};
use temper_kernels::{RowSink, Rows, Scalar};

use crate::gradients::NamedGradients;
use crate::optimizer::Optimizer;

/// A network in training.
#[derive(Debug)]
pub struct Learner {
    /// Away only while the optimizer works on it, which then is the only one to hold it and works in place.
    network: Option<Network>,
    optimizer: Optimizer,
    /// Of the step that is under way.
    gradients: NamedGradients,
    word_rows: RowSink,
}

impl Learner {
    /// Goes on with a network and the optimizer's state of the same step.
    pub fn new(network: Network, optimizer: Optimizer) -> Self {
        Self {
            network: Some(network.train()),
            optimizer,
            gradients: NamedGradients::default(),
            word_rows: RowSink::default(),
        }
    }

    /// One vector a sequence, for a loss to be given to [`Learner::backward`].
    ///
    /// # Shapes
    /// - output: `[batch, full_dim]`
    pub fn forward(&mut self, contract: &Contract, batch: &PackedBatch, dropout: DropoutSites) -> Tensor<2> {
        self.catch_up(Rows::Of(&batch.input.ids));
        let pass = Pass { dropout, word_rows: Some(self.word_rows.clone()) };
        self.network().forward(contract, batch, &pass)
    }

    /// The same as [`Learner::forward`], of which nothing is kept for a backward pass.
    pub fn forward_only(
        &mut self,
        contract: &Contract,
        batch: &PackedBatch,
        dropout: DropoutSites,
    ) -> Tensor<2> {
        self.catch_up(Rows::Of(&batch.input.ids));
        let pass = Pass { dropout, word_rows: None };
        self.network().valid().forward(contract, batch, &pass)
    }

    /// Adds the gradients of a loss to those of the step.
    pub fn backward(&mut self, loss: Tensor<1>) {
        let gradients = loss.backward();
        let network = self.network.as_ref().expect(PRESENT);
        self.gradients.add(network, gradients, self.word_rows.take());
    }

    /// The global norm of the step's gradients.
    pub fn gradient_norm(&self) -> Scalar {
        self.gradients.norm()
    }

    /// Ends the step: one update with its gradients, whose global norm is `norm`.
    pub fn update(&mut self, norm: &Scalar, learning_rate: f64) {
        let gradients = std::mem::take(&mut self.gradients);
        let network = self.network.take().expect(PRESENT);
        self.network = Some(self.optimizer.update(network, gradients, norm, learning_rate));
    }

    /// The network as it is after the last update, for evaluation, and the optimizer, to save with it.
    ///
    /// Who keeps the network during later steps makes them copy what they change.
    pub fn caught_up(&mut self) -> (Network, &Optimizer) {
        self.catch_up(Rows::All);
        (self.network().valid(), &self.optimizer)
    }

    fn catch_up(&mut self, rows: Rows<'_>) {
        let network = self.network.take().expect(PRESENT);
        self.network = Some(self.optimizer.catch_up(network, rows));
    }

    fn network(&self) -> &Network {
        self.network.as_ref().expect(PRESENT)
    }
}

const PRESENT: &str = "this is a bug: the network is only away while the optimizer works on it";
