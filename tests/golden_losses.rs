//! Every supported loss against the reference's value and gradients.

use burn::tensor::{Tensor, TensorData};
use serde_json::Value;
use temper_train::losses::{Loss, LossInput, MultipleNegativesRanking, ScoreFunction};

use crate::golden::{self, Tensors};

#[test]
fn golden_losses() {
    let folder = golden::folder().join("losses");
    let tensors = Tensors::read(&folder.join("losses.safetensors"));
    let text = std::fs::read(folder.join("losses.json")).unwrap();
    let cases: Value = serde_json::from_slice(&text).unwrap();
    let mut checked = 0;
    for case in cases["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        match loss(case) {
            Ok(loss) => check(name, case, loss, &tensors),
            Err(what) => {
                golden::leave_out(name, &what, golden::UNSUPPORTED_LOSSES);
                continue;
            }
        }
        checked += 1;
    }
    assert!(checked > 0);
}

/// The loss a case describes, or what of it temper does not have.
fn loss(case: &Value) -> Result<Loss, String> {
    let params = &case["params"];
    let scale = params["scale"].as_f64().unwrap_or(20.0);
    let ranking = |symmetric, similarity| {
        Loss::MultipleNegativesRanking(MultipleNegativesRanking {
            scale,
            symmetric,
            mask_duplicates: true,
            similarity,
        })
    };
    let class = case["loss"].as_str().unwrap();
    match class {
        "CosineSimilarityLoss" => Ok(Loss::CosineSimilarity),
        "CoSENTLoss" => Ok(Loss::Cosent(scale)),
        "MultipleNegativesSymmetricRankingLoss" => Ok(ranking(true, ScoreFunction::Cosine)),
        "MultipleNegativesRankingLoss" => {
            let directions = params["directions"].as_array().map_or(1, Vec::len);
            let without = |what: &str| Err(format!("{class}: {what}"));
            if !params["hardness_mode"].is_null() {
                return without("hardness_mode");
            }
            if directions > 2 {
                return without("more than two directions");
            }
            if directions == 2 && params["partition_mode"] == "joint" {
                return without("joint partition");
            }
            let similarity = match params["similarity"].as_str() {
                Some("dot") => ScoreFunction::Dot,
                _ => ScoreFunction::Cosine,
            };
            Ok(ranking(directions == 2, similarity))
        }
        other => Err(other.to_owned()),
    }
}

fn check(name: &str, case: &Value, loss: Loss, tensors: &Tensors) {
    let device = golden::device();
    let columns: Vec<Tensor<2>> = case["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| tensors.f32(&format!("{name}/{}", key.as_str().unwrap())))
        .map(|(shape, values)| {
            Tensor::from_data(TensorData::new(values, [shape[0], shape[1]]), &device)
                .autodiff()
                .require_grad()
        })
        .collect();
    let batch = columns[0].dims()[0];
    let labels = if case["labels"].is_null() { Vec::new() } else { tensors.f32(&format!("{name}/labels")).1 };
    let text_ids = (0..columns.len()).map(|c| (0..batch).map(|i| (c * batch + i) as u64).collect()).collect();
    let value = loss.forward(LossInput { columns: columns.clone(), labels, text_ids });

    let expected = case["value"].as_f64().unwrap();
    let found = f64::from(value.clone().into_scalar::<f32>());
    let tolerance = 1e-5 * expected.abs().max(1.0);
    assert!((found - expected).abs() <= tolerance, "{name}: value {found}, reference {expected}");

    let gradients = value.backward();
    for (index, column) in columns.iter().enumerate() {
        let (_, expected) = tensors.f32(&format!("{name}/grad{index}"));
        let found: Vec<f32> = column.grad(&gradients).unwrap().into_data().try_into_vec().unwrap();
        let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        let difference = golden::max_difference(&found, &expected);
        assert!(
            difference <= 2e-5 * largest,
            "{name}: gradient {index} differs by {difference} of {largest}"
        );
    }
}
