//! Twenty optimizer steps against the reference's: losses, gradient norms, learning rates, final weights.

use std::path::Path;

use burn::module::Module;
use serde_json::Value;
use temper_encoder::{DropoutSites, PackedBatch, parameters};
use temper_train::config::{DecayGroups, TrainConfig};
use temper_train::losses::{Loss, LossInput, MultipleNegativesRanking, ScoreFunction};
use temper_train::optimizer::{NamedGradients, Optimizer};
use temper_train::schedule::Schedule;

use crate::golden::{self, Tensors, max_difference};
use crate::golden_models::load;

#[test]
fn golden_trajectory() {
    for name in ["trajectory-all", "trajectory-hf"] {
        check(&golden::folder().join(name));
    }
}

fn check(folder: &Path) {
    let name = folder.display();
    let text = std::fs::read(folder.join("trajectory.json")).unwrap();
    let golden: Value = serde_json::from_slice(&text).unwrap();
    let config = train_config(&golden["config"]);
    let encoder = load(&folder.join("model"));
    let steps = golden["steps"].as_array().unwrap();
    let schedule = Schedule::new(&config, steps.len() as u64);
    let loss = Loss::MultipleNegativesRanking(MultipleNegativesRanking {
        scale: 20.0,
        symmetric: false,
        mask_duplicates: true,
        similarity: ScoreFunction::Cosine,
    });
    let mut network = encoder.network.clone().train();
    let mut optimizer = Optimizer::new(&config);
    let mut learning_rates = 0.0;
    for (batch, step) in golden["batches"].as_array().unwrap().iter().zip(steps) {
        let number = step["step"].as_u64().unwrap();
        let texts = |c: usize| -> Vec<String> {
            batch.as_array().unwrap().iter().map(|pair| pair[c].as_str().unwrap().to_owned()).collect()
        };
        let mut ids = encoder.tokenizer().encode(&texts(0), None).unwrap();
        ids.extend(encoder.tokenizer().encode(&texts(1), None).unwrap());
        let packed = PackedBatch::new(ids.iter().map(Vec::as_slice));
        let pooled = network.forward(&encoder.contract, &packed, &DropoutSites::off());
        let size = texts(0).len() as u64;
        let text_ids = vec![(0..size).collect(), (size..2 * size).collect()];
        let value = loss.forward(LossInput { columns: pooled.chunk(2, 0), labels: Vec::new(), text_ids });
        close(
            &format!("{name} loss {number}"),
            value.clone().into_scalar::<f32>().into(),
            &step["loss"],
            1e-4,
            false,
        );

        let mut gradients = NamedGradients::default();
        gradients.add(&network, value.backward(), 1.0);
        let norm = gradients.norm();
        close(&format!("{name} gradient norm {number}"), norm, &step["grad_norm"], 1e-4, true);
        let learning_rate = schedule.at(number);
        close(&format!("{name} learning rate {number}"), learning_rate, &step["lr"], 1e-9, false);
        learning_rates += learning_rate;
        network = optimizer.update(network, gradients, norm, learning_rate);
    }
    let expected = Tensors::read(&folder.join("final.safetensors"));
    for tensor in parameters::collect(&network.valid().transformer) {
        let (_, values) = expected.f32(&tensor.name);
        // The true gradient of the key bias is zero, so Adam turns rounding into movement.
        let tolerance =
            if tensor.name.ends_with("attention.self.key.bias") { learning_rates as f32 } else { 1e-4 };
        let difference = max_difference(&tensor.values, &values);
        assert!(difference <= tolerance, "{name}: {} differs by {difference} at the end", tensor.name);
    }
}

fn train_config(golden: &Value) -> TrainConfig {
    let schedule = golden["schedule"].as_str().unwrap();
    let warmup =
        schedule.split("warm-up ").nth(1).map_or(0, |s| s.split(' ').next().unwrap().parse().unwrap());
    TrainConfig {
        learning_rate: golden["lr"].as_f64().unwrap(),
        adam_beta1: golden["betas"][0].as_f64().unwrap(),
        adam_beta2: golden["betas"][1].as_f64().unwrap(),
        adam_epsilon: golden["eps"].as_f64().unwrap(),
        weight_decay: golden["weight_decay"].as_f64().unwrap(),
        weight_decay_on: match golden["decay"].as_str() {
            Some(text) if text.starts_with("none on") => DecayGroups::Weights,
            _ => DecayGroups::All,
        },
        max_grad_norm: golden["clip_grad_norm"].as_f64().unwrap(),
        warmup_steps: warmup,
        ..TrainConfig::default()
    }
}

fn close(what: &str, found: f64, expected: &Value, tolerance: f64, relative: bool) {
    let expected = expected.as_f64().unwrap();
    let bound = if relative { tolerance * expected.abs() } else { tolerance };
    assert!((found - expected).abs() <= bound, "{what}: {found}, reference {expected}");
}
