//! A batch cut into several forward passes has the gradients of the whole.

use burn::tensor::Tensor;
use serde_json::Value;
use temper_encoder::{DropoutSites, Encoder, PackedBatch, parameters};
use temper_train::config::TrainConfig;
use temper_train::losses::Owned;
use temper_train::optimizer::Optimizer;
use temper_train::{Learner, Part, cached};

use crate::golden;
use crate::golden_models::load;
use crate::golden_trajectory::{loss, tokens};

type NamedValues = Vec<(String, Vec<f32>)>;

#[test]
fn a_batch_in_parts_has_the_gradients_of_the_whole() {
    let (encoder, texts) = encoder_and_texts();
    let off = |_: usize| DropoutSites::off();
    let whole =
        gradients(&encoder, |learner| all_at_once(learner, &encoder, &passes(&texts, texts.len()), off));
    for size in [1, 3, texts.len() - 1] {
        let passes = passes(&texts, size);
        assert!(passes.len() > 1);
        let parts = gradients(&encoder, |learner| {
            cached::forward_backward(learner, &encoder.contract, &passes, &[], off, first, 0.5)
        });
        same(&parts, &whole, &format!("{size} texts at once"));
    }
}

#[test]
fn both_forward_passes_of_a_part_drop_the_same() {
    let (encoder, texts) = encoder_and_texts();
    let on = |pass: usize| DropoutSites::on(7 + pass as u64, Some(0.3));
    let passes = passes(&texts, 3);
    let parts = gradients(&encoder, |learner| {
        cached::forward_backward(learner, &encoder.contract, &passes, &[], on, first, 0.5)
    });
    let whole = gradients(&encoder, |learner| all_at_once(learner, &encoder, &passes, on));
    same(&parts, &whole, "with dropout");
}

fn encoder_and_texts() -> (Encoder, Vec<Vec<u32>>) {
    let folder = golden::folder().join("trajectory-hf");
    let golden: Value =
        serde_json::from_slice(&std::fs::read(folder.join("trajectory.json")).unwrap()).unwrap();
    let encoder = load(&folder.join("model"));
    let texts = tokens(&encoder, &golden["batches"][0]);
    (encoder, texts)
}

fn first(vectors: Vec<Tensor<2>>, _: &Owned) -> Tensor<1> {
    loss(vectors[0].clone())
}

fn passes(texts: &[Vec<u32>], size: usize) -> Vec<Part> {
    texts.chunks(size).map(|texts| PackedBatch::new(texts.iter().map(Vec::as_slice)).into()).collect()
}

/// The reference: every pass keeps all that its backward pass needs, and one loss goes back through all of them.
fn all_at_once(
    learner: &mut Learner,
    encoder: &Encoder,
    passes: &[Part],
    dropout: impl Fn(usize) -> DropoutSites,
) -> Tensor<1> {
    let pooled = passes.iter().enumerate();
    let pooled = pooled
        .map(|(at, pass)| learner.forward(&encoder.contract, pass, dropout(at), &[]).remove(0))
        .collect();
    let loss = loss(Tensor::cat(pooled, 0));
    let value = loss.clone().inner();
    learner.backward(loss.mul_scalar(0.5));
    value
}

/// The loss, and name and gradient of every parameter: one AdamW step leaves the gradients, times a factor, as its first
/// moments.
fn gradients(
    encoder: &Encoder,
    forward_backward: impl FnOnce(&mut Learner) -> Tensor<1>,
) -> (f32, NamedValues) {
    let config = TrainConfig { max_grad_norm: 0.0, ..TrainConfig::default() };
    let mut learner = Learner::new(encoder.network.clone(), Optimizer::new(&config));
    let value = forward_backward(&mut learner).into_scalar::<f32>();
    let norm = learner.gradient_norm();
    learner.update(&norm, 1e-3);
    let (_, optimizer) = learner.caught_up();
    let moments = optimizer.moments();
    (value, moments.map(|(name, [first, _])| (name.to_owned(), parameters::values(first))).collect())
}

fn same((loss, found): &(f32, NamedValues), (expected_loss, expected): &(f32, NamedValues), what: &str) {
    assert!((loss - expected_loss).abs() <= 1e-5 * expected_loss, "{what}: loss {loss}, {expected_loss}");
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().flat_map(|(_, values)| values).fold(0.0f32, |a, b| a.max(b.abs()));
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        let difference = golden::max_difference(found, expected);
        assert!(difference <= 1e-5 * largest, "{what}: {name} differs by {difference} of {largest}");
    }
}
