//! Losses that look into an encoder, or train two, against the reference's value and gradients.

use std::collections::BTreeMap;

use burn::module::Param;
use burn::tensor::Tensor;
use serde_json::Value;
use temper_encoder::{DropoutSites, Encoder, PackedBatch, parameters};
use temper_train::config::TrainConfig;
use temper_train::losses::{Loss, LossConfig, LossInput, Objective, Owned};
use temper_train::optimizer::Optimizer;
use temper_train::{Learner, Part, Tower, Trained, cached};

use crate::golden::{self, Tensors, max_difference};
use crate::golden_models::load;

/// Cases, largest difference of the value, and of a gradient as a share of its largest entry.
pub type Row = (usize, f64, f64);

/// The same by the reference's class.
pub type Rows = BTreeMap<String, Row>;

#[test]
fn encoder_losses() {
    assert_eq!(rows().len(), 4);
}

/// Checks every case.
pub fn rows() -> Rows {
    let folder = golden::folder().join("encoder-losses");
    // Goldens from elsewhere may not have these.
    let Ok(text) = std::fs::read(folder.join("cases.json")) else { return Rows::new() };
    let golden: Value = serde_json::from_slice(&text).unwrap();
    let tensors = Tensors::read(&folder.join("gradients.safetensors"));
    let texts: Vec<&str> = golden["texts"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    let mut rows = Rows::new();
    for case in golden["cases"].as_array().unwrap() {
        let (value, gradient) = check(case, &texts, &tensors);
        let row = rows.entry(case["loss"].as_str().unwrap().to_owned()).or_default();
        *row = (row.0 + 1, row.1.max(value), row.2.max(gradient));
    }
    rows
}

fn config(case: &Value) -> Loss {
    let mut table = serde_json::json!({});
    let mut layers = case["settings"].clone();
    // The reference says -1 for all.
    let count = |value: &Value| value.as_i64().filter(|count| *count > 0);
    let dims = layers.as_object_mut().unwrap().remove("n_dims_per_step");
    if let Some(all) = layers.get_mut("n_layers_per_step") {
        *all = count(all).unwrap_or(0).into();
    }
    match case["loss"].as_str().unwrap() {
        "AdaptiveLayerLoss" => table["adaptive_layers"] = layers,
        "Matryoshka2dLoss" => {
            table["adaptive_layers"] = layers;
            table["matryoshka_dims"] = vec![32, 16, 8].into();
            table["matryoshka_weights"] = vec![1.0, 0.5, 0.25].into();
            table["n_dims_per_step"] = dims.as_ref().and_then(count).into();
        }
        "ContrastiveTensionLoss" => table["name"] = "contrastive_tension".into(),
        "ContrastiveTensionLossInBatchNegatives" => {
            table["name"] = "contrastive_tension_in_batch".into();
            table["scale"] = case["settings"]["scale"].clone();
        }
        other => panic!("{other} has no config"),
    }
    let config: LossConfig = serde_json::from_value(table).unwrap();
    config.check().unwrap();
    config.build()
}

fn check(case: &Value, texts: &[&str], tensors: &Tensors) -> (f64, f64) {
    let name = case["name"].as_str().unwrap();
    let encoder = load(&golden::folder().join("models").join(case["model"].as_str().unwrap()));
    let (loss, expected) = (config(case), case["value"].as_f64().unwrap());
    let (columns, owned) = if loss.has_twin() {
        let scale = case["settings"]["scale"].as_f64();
        let logit_scale =
            |scale: f64| Param::from_tensor(Tensor::from_floats([scale.ln() as f32], &golden::device()));
        let twin = Some(encoder.network.clone());
        let owned = Owned { twin, logit_scale: scale.map(logit_scale), ..Owned::default() };
        ([texts.to_vec(), texts.to_vec()], owned)
    } else {
        let column = |first| texts.iter().copied().skip(first).step_by(2).collect::<Vec<_>>();
        ([column(0), column(1)], Owned::default())
    };
    let parts = |size| parts(&encoder, &columns, loss.has_twin(), size);
    let blocks = encoder.contract.transformer().shape().num_hidden_layers;
    let batch = columns[0].len();
    let mut worst = (f64::INFINITY, 0.0f64);
    // The reference drew from a random state of its own: among some draws is one that chose the same.
    let draw = (0..200).find(|draw| {
        let (value, _) = run(&encoder, &owned, &loss, &parts(usize::MAX), *draw, blocks, batch);
        worst.0 = (value - expected).abs();
        worst.0 <= 1e-5 * golden::slack() * expected.abs().max(1.0)
    });
    let draw = draw.unwrap_or_else(|| panic!("{name}: no draw has the reference's value {expected}"));
    for size in [usize::MAX, 3] {
        let (value, gradients) = run(&encoder, &owned, &loss, &parts(size), draw, blocks, batch);
        worst.0 = worst.0.max((value - expected).abs());
        let norm = gradients.values().flatten().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let wanted = f64::from(tensors.f32(&format!("{name}/norm")).1[0]);
        let tolerance = 1e-5 * golden::slack() * wanted;
        assert!((norm - wanted).abs() <= tolerance, "{name}: gradient norm {norm}, reference {wanted}");
        let prefix = format!("{name}/");
        let largest = |values: &[f32]| values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        let names = tensors.names().into_iter().filter_map(|key| Some(key.strip_prefix(&prefix)?.to_owned()));
        let expected: Vec<_> = names
            .filter(|key| key != "norm")
            .map(|key| {
                let values = tensors.f32(&format!("{name}/{key}")).1;
                (key, values)
            })
            .collect();
        let of_all = expected.iter().map(|(_, values)| largest(values)).fold(0.0f32, f32::max);
        for (key, values) in expected {
            let key = match key.as_str() {
                "logit_scale" => "owned.logit_scale".to_owned(),
                "2.linear.weight" => "network.dense.0.linear.weight".to_owned(),
                "2.linear.bias" => "network.dense.0.linear.bias".to_owned(),
                own => match own.strip_prefix("twin.") {
                    Some(own) => format!("owned.twin.transformer.{own}"),
                    None => format!("network.transformer.{own}"),
                },
            };
            let found = gradients.get(&key).unwrap_or_else(|| panic!("{name}: no gradient of {key}"));
            let difference = max_difference(found, &values);
            let own = largest(&values);
            // The biases of keys have no gradient, since softmax does not see them: what is there is rounding.
            if own < 1e-6 * of_all {
                assert!(difference <= 1e-6 * of_all, "{name}: {key} is {difference} of {of_all}");
                continue;
            }
            let tolerance = 2e-5 * golden::slack() as f32 * own;
            assert!(difference <= tolerance, "{name}: {key} differs by {difference} of {own}");
            worst.1 = worst.1.max(f64::from(difference / own));
        }
    }
    worst
}

fn parts(encoder: &Encoder, columns: &[Vec<&str>; 2], has_twin: bool, size: usize) -> Vec<Part> {
    let ids = columns.each_ref().map(|column| encoder.tokenizer().encode(column, None).unwrap());
    let towers = if has_twin {
        let [first, second] = ids;
        vec![(Tower::Twin, first), (Tower::Encoder, second)]
    } else {
        vec![(Tower::Encoder, ids.concat())]
    };
    let part =
        |tower, ids: &[Vec<u32>]| Part { tower, batch: PackedBatch::new(ids.iter().map(Vec::as_slice)) };
    let cut = |(tower, ids): (Tower, Vec<Vec<u32>>)| {
        ids.chunks(size).map(|ids| part(tower, ids)).collect::<Vec<_>>()
    };
    towers.into_iter().flat_map(cut).collect()
}

/// The value, and the gradients: one AdamW step leaves them, times a factor, as its first moments.
fn run(
    encoder: &Encoder,
    owned: &Owned,
    loss: &Loss,
    parts: &[Part],
    draw: u64,
    blocks: usize,
    batch: usize,
) -> (f64, BTreeMap<String, Vec<f32>>) {
    let config = TrainConfig { max_grad_norm: 0.0, ..TrainConfig::default() };
    let trained = Trained { network: encoder.network.clone(), owned: owned.clone() };
    let mut learner = Learner::new(trained, Optimizer::new(&config));
    let layers = loss.layers(draw, blocks);
    let of_vectors = |vectors: Vec<Tensor<2>>, owned: &Owned| {
        let mut vectors = vectors.into_iter().map(|vectors| vectors.chunk(2, 0));
        // The twin sees the texts that the encoder sees.
        let second = if loss.has_twin() { 0 } else { batch as u64 };
        let ids = |first: u64| (first..first + batch as u64).collect();
        loss.forward(LossInput {
            columns: vectors.next().unwrap(),
            layers: layers.iter().copied().zip(vectors).collect(),
            labels: Vec::new(),
            text_ids: vec![ids(0), ids(second)],
            guide: Vec::new(),
            owned,
            draw,
        })
    };
    let off = |_: usize| DropoutSites::off();
    let value =
        cached::forward_backward(&mut learner, &encoder.contract, parts, &layers, off, of_vectors, 1.0);
    let norm = learner.gradient_norm();
    learner.update(&norm, 0.0);
    let (_, optimizer) = learner.caught_up();
    let scaled = |first: Tensor<1>| parameters::values(first).into_iter().map(|m| m * 10.0).collect();
    let gradients = optimizer.moments().map(|(name, [first, _])| (name.to_owned(), scaled(first))).collect();
    (f64::from(value.into_scalar::<f32>()), gradients)
}
