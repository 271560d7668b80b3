//! Every supported loss against the reference's value and gradients.

use burn::tensor::{Tensor, TensorData};
use serde_json::Value;
use temper_train::losses::{
    Contrastive, Distance, Loss, LossConfig, LossInput, Matryoshka, MegaBatchMargin, Reduction, Triplet,
};

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

/// The loss a case describes, or what of it temper does not have. Parameters have the names of a config, mostly.
fn loss(case: &Value) -> Result<Loss, String> {
    named(case["loss"].as_str().unwrap(), &case["params"])
}

fn named(class: &str, params: &Value) -> Result<Loss, String> {
    let number = |name: &str| params[name].as_f64();
    let word = |name: &str| params[name].as_str().unwrap_or_default();
    let scale = number("scale").unwrap_or(20.0);
    let distance = match word("distance_metric").to_lowercase().as_str() {
        "euclidean" => Distance::Euclidean,
        "manhattan" => Distance::Manhattan,
        _ => Distance::Cosine,
    };
    let contrastive = Contrastive {
        distance,
        margin: number("margin").unwrap_or(0.5),
        reduction: if params["size_average"] == false { Reduction::Sum } else { Reduction::Mean },
    };
    Ok(match class {
        "CosineSimilarityLoss" => Loss::CosineSimilarity,
        "CoSENTLoss" => Loss::Cosent(scale),
        "AnglELoss" => Loss::Angle(scale),
        "ContrastiveLoss" => Loss::Contrastive(contrastive),
        "OnlineContrastiveLoss" => Loss::OnlineContrastive(contrastive),
        "TripletLoss" => Loss::Triplet(Triplet { distance, margin: number("triplet_margin").unwrap() }),
        "MegaBatchMarginLoss" => Loss::MegaBatchMargin(MegaBatchMargin {
            positive_margin: number("positive_margin").unwrap(),
            negative_margin: number("negative_margin").unwrap(),
        }),
        "MatryoshkaLoss" => {
            let numbers = |name: &str| serde_json::from_value::<Vec<f64>>(params[name].clone()).unwrap();
            let dims = numbers("matryoshka_dims").into_iter().map(|dim| dim as usize);
            Loss::Matryoshka(Matryoshka {
                loss: Box::new(named(word("loss"), params)?),
                cuts: dims.zip(numbers("matryoshka_weights")).collect(),
            })
        }
        "MultipleNegativesRankingLoss" | "MultipleNegativesSymmetricRankingLoss" => {
            let mut config = params.clone();
            let both = class == "MultipleNegativesSymmetricRankingLoss";
            config["name"] = "multiple_negatives_ranking".into();
            if both {
                config["symmetric"] = true.into();
            }
            let config: LossConfig = serde_json::from_value(config).unwrap();
            config.check().unwrap();
            config.build()
        }
        other => return Err(other.to_owned()),
    })
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
