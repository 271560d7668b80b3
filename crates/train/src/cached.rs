//! A loss of a batch that is cut into several forward passes.
//!
//! GradCache (Gao et al., 2021): a first forward pass of every part keeps the pooled vectors alone; the loss of all of them
//! gives the gradient of each vector; a second forward pass of every part, with the same dropout, takes it on to the
//! parameters. The sum is the gradient of the whole batch.

use burn::tensor::Tensor;
use temper_encoder::{Contract, DropoutSites};

use crate::learner::{Learner, Part};
use crate::losses::Owned;

/// Adds the gradients of `loss`, times `weight`, to those of the step, and gives its value, `[1]`.
///
/// # Shapes
/// - what `loss` is given: `[batch, full_dim]`, the texts of all `parts` in their order; the same of each of `layers`
pub fn forward_backward(
    learner: &mut Learner,
    contract: &Contract,
    parts: &[Part],
    layers: &[usize],
    dropout: impl Fn(usize) -> DropoutSites,
    loss: impl Fn(Vec<Tensor<2>>, &Owned) -> Tensor<1>,
    weight: f64,
) -> Tensor<1> {
    let numbered = || parts.iter().enumerate();
    // Whole: one part for each encoder.
    if parts.windows(2).all(|pair| pair[0].tower != pair[1].tower) {
        let vectors =
            numbered().map(|(at, part)| learner.forward(contract, part, dropout(at), layers)).collect();
        let loss = loss(joined(vectors), learner.owned());
        let value = loss.clone().inner();
        learner.backward(loss.mul_scalar(weight));
        return value;
    }
    let vectors =
        numbered().map(|(at, part)| learner.forward_only(contract, part, dropout(at), layers)).collect();
    let vectors: Vec<_> = joined(vectors).into_iter().map(|v| v.autodiff().require_grad()).collect();
    let loss = loss(vectors.clone(), learner.owned());
    let value = loss.clone().inner();
    let gradients = loss.mul_scalar(weight).backward();
    let wanted: Vec<_> = vectors.iter().map(|vectors| vectors.grad(&gradients)).collect();
    learner.add(gradients);
    let mut first = 0;
    for (at, part) in numbered() {
        let texts = part.batch.batch();
        let vectors = learner.forward(contract, part, dropout(at), layers);
        let along = vectors.into_iter().zip(&wanted).filter_map(|(vectors, wanted)| {
            let own = wanted.clone()?.narrow(0, first, texts);
            Some((vectors * Tensor::from_inner(own)).sum())
        });
        let along = along.reduce(|a, b| a + b).expect("this is a bug: a loss that no vector takes part in");
        learner.backward(along);
        first += texts;
    }
    value
}

/// The vectors of all parts, layer by layer.
fn joined(mut parts: Vec<Vec<Tensor<2>>>) -> Vec<Tensor<2>> {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let layer = |at: usize| Tensor::cat(parts.iter().map(|part| part[at].clone()).collect(), 0);
    (0..parts[0].len()).map(layer).collect()
}
