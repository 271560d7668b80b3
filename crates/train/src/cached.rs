//! A loss of a batch that is cut into several forward passes.
//!
//! GradCache (Gao et al., 2021): a first forward pass of every part keeps the pooled vectors alone; the loss of all of them
//! gives the gradient of each vector; a second forward pass of every part, with the same dropout, takes it on to the
//! parameters. The sum is the gradient of the whole batch.

use burn::tensor::Tensor;
use temper_encoder::{Contract, DropoutSites, PackedBatch};

use crate::learner::Learner;

/// Adds the gradients of `loss`, times `weight`, to those of the step, and gives its value, `[1]`.
///
/// # Shapes
/// - what `loss` is given: `[batch, full_dim]`, the texts of all `passes` in their order
pub fn forward_backward(
    learner: &mut Learner,
    contract: &Contract,
    passes: &[PackedBatch],
    dropout: impl Fn(usize) -> DropoutSites,
    loss: impl Fn(Tensor<2>) -> Tensor<1>,
    weight: f64,
) -> Tensor<1> {
    if let [whole] = passes {
        let loss = loss(learner.forward(contract, whole, dropout(0)));
        let value = loss.clone().inner();
        learner.backward(loss.mul_scalar(weight));
        return value;
    }
    let parts = passes.iter().enumerate();
    let parts: Vec<Tensor<2>> =
        parts.map(|(at, pass)| learner.forward_only(contract, pass, dropout(at))).collect();
    let pooled = Tensor::cat(parts, 0).autodiff().require_grad();
    let loss = loss(pooled.clone());
    let value = loss.clone().inner();
    let gradients = loss.mul_scalar(weight).backward();
    let gradient = pooled.grad(&gradients).expect("this is a bug: a loss that no vector takes part in");
    let mut first = 0;
    for (at, pass) in passes.iter().enumerate() {
        let pooled = learner.forward(contract, pass, dropout(at));
        let own = gradient.clone().narrow(0, first, pass.batch());
        learner.backward((pooled * Tensor::from_inner(own)).sum());
        first += pass.batch();
    }
    value
}
