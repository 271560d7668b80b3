//! Every supported loss against the reference's value and gradients.
//!
//! `TEMPER_LOSSES_TABLE=crates/train/LOSSES.md` keeps what was found.

use std::fmt::Write as _;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use serde_json::{Value, json};
use temper_train::losses::{
    Angle, BatchTriplet, Classifier, Contrastive, Cosent, CosineSimilarity, Distance, Feature, Loss,
    LossConfig, LossInput, Matryoshka, MegaBatchMargin, Mining, Objective, OnlineContrastive, Owned,
    Reduction, Softmax, Target, Triplet,
};

use crate::cached_gist;
use crate::encoder_losses::{self, Row, Rows};
use crate::golden::{self, Tensors};
use crate::ranking_forms;

#[test]
fn golden_losses() {
    let folder = golden::folder().join("losses");
    let tensors = Tensors::read(&folder.join("losses.safetensors"));
    let text = std::fs::read(folder.join("losses.json")).unwrap();
    let cases: Value = serde_json::from_slice(&text).unwrap();
    let mut table: Rows = Rows::new();
    for case in cases["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        match loss(case) {
            Ok(loss) => {
                let (value, gradient) = check(name, case, loss, &tensors);
                let row = table.entry(case["loss"].as_str().unwrap().to_owned()).or_default();
                *row = (row.0 + 1, row.1.max(value), row.2.max(gradient));
                if name == "mse-2col-broadcast" {
                    // One vector for both columns is that of the anchor.
                    let anchor = [("teacher", Value::from("its vectors")), ("target", "anchor".into())];
                    check(name, case, configured("mse", &case["params"], &anchor), &tensors);
                }
            }
            Err(what) => {
                golden::leave_out(name, &what, &golden::UNSUPPORTED_LOSSES);
            }
        }
    }
    assert!(!table.is_empty());
    table.extend(encoder_losses::rows());
    table.insert("CachedGISTEmbedLoss".to_owned(), cached_gist::row());
    let sums = sums(cases["cases"].as_array().unwrap(), &tensors);
    if let Some(path) = std::env::var_os("TEMPER_LOSSES_TABLE") {
        std::fs::write(path, markdown(&table, sums)).unwrap();
    }
}

/// Losses that a config adds up, against the same sum of the reference's values and gradients of each.
fn sums(cases: &[Value], tensors: &Tensors) -> Row {
    let orthogonal =
        json!({"name": "global_orthogonal_regularization", "mean_weight": 1.0, "second_moment_weight": 1.0});
    let cosine = json!({"name": "cosine_similarity"});
    let mut row = Row::default();
    for (first, second, weight, config) in [
        ("mnrl-pairs", "gor", 0.1, json!({"scale": 20.0, "also": [{"weight": 0.1, "loss": orthogonal}]})),
        (
            "cosent",
            "cosine-similarity",
            3.0,
            json!({"name": "cosent", "scale": 20.0, "also": [{"weight": 3.0, "loss": cosine}]}),
        ),
    ] {
        // Both have the same texts and labels.
        let case = |name: &str| cases.iter().find(|case| case["name"] == name).unwrap();
        let config: LossConfig = serde_json::from_value(config).unwrap();
        config.check().unwrap();
        let found = learned(first, case(first), &config.build(), tensors);
        let value = |name: &str| case(name)["value"].as_f64().unwrap();
        let gradient = |key: &str| {
            let [a, b] = [first, second].map(|name| tensors.f32(&format!("{name}/{key}")).1);
            a.iter().zip(b).map(|(a, b)| a + weight as f32 * b).collect()
        };
        let what = format!("{first} and {weight} of {second}");
        let (value, gradient) = compare(&what, found, value(first) + weight * value(second), gradient);
        row = (row.0 + 1, row.1.max(value), row.2.max(gradient));
    }
    row
}

/// The table for the docs.
fn markdown(table: &Rows, sums: Row) -> String {
    let mut text = "\
# Losses beside the reference

Made by `TEMPER_LOSSES_TABLE=$PWD/crates/train/LOSSES.md cargo test --release --test all golden_losses`: for each loss of
sentence-transformers the cases that temper computes from the same vectors (adaptive layers and contrastive tension: from the
same texts, through a whole encoder), the largest difference of the value, and the largest difference of a gradient as a
share of that gradient's largest entry (the biases of attention's keys aside, whose true gradient is zero). A value must be
within 1e-5, relative to it above 1, and a gradient within 2e-5. README.md says what each is called in a config. The last rows: every form of multiple negatives
ranking (each set of directions in one softmax, those between queries and documents in one each too; each hardness; cosine and dot
product), and losses that a config adds up, held against the same sum of the reference's values and gradients.

| reference | cases | value | gradient |
|---|---:|---:|---:|
"
    .to_owned();
    for (class, (cases, value, gradient)) in table {
        writeln!(text, "| `{class}` | {cases} | {value:.1e} | {gradient:.1e} |").unwrap();
    }
    for (what, (cases, value, gradient)) in [
        ("multiple negatives ranking in every form", ranking_forms::row()),
        ("weighted sums (`loss.also`)", sums),
    ] {
        writeln!(text, "| {what} | {cases} | {value:.1e} | {gradient:.1e} |").unwrap();
    }
    let missing = golden::UNSUPPORTED_LOSSES.map(|name| format!("`{name}`"));
    if !missing.is_empty() {
        writeln!(text, "\nNot there yet: {}.", missing.join(", ")).unwrap();
    }
    text
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
    let batch_triplet = |mining| {
        Loss::BatchTriplet(BatchTriplet { mining, distance, margin: number("margin").unwrap_or(0.0) })
    };
    let teacher = [("teacher", Value::from("its vectors"))];
    Ok(match class {
        "CosineSimilarityLoss" => Loss::CosineSimilarity(CosineSimilarity),
        "CoSENTLoss" => Loss::Cosent(Cosent { scale }),
        "AnglELoss" => Loss::Angle(Angle { scale }),
        "ContrastiveLoss" => Loss::Contrastive(contrastive),
        "OnlineContrastiveLoss" => Loss::OnlineContrastive(OnlineContrastive(contrastive)),
        "TripletLoss" => Loss::Triplet(Triplet { distance, margin: number("triplet_margin").unwrap() }),
        "MegaBatchMarginLoss" => Loss::MegaBatchMargin(MegaBatchMargin {
            positive_margin: number("positive_margin").unwrap(),
            negative_margin: number("negative_margin").unwrap(),
        }),
        "BatchAllTripletLoss" => batch_triplet(Mining::All),
        "BatchHardTripletLoss" => batch_triplet(Mining::Hard),
        "BatchHardSoftMarginTripletLoss" => batch_triplet(Mining::HardSoftMargin),
        "BatchSemiHardTripletLoss" => batch_triplet(Mining::SemiHard),
        "MatryoshkaLoss" => {
            let numbers = |name: &str| serde_json::from_value::<Vec<f64>>(params[name].clone()).unwrap();
            let dims = numbers("matryoshka_dims").into_iter().map(|dim| dim as usize);
            let mut inner = params.as_object().cloned().unwrap();
            inner.retain(|key, _| !key.starts_with("matryoshka_") && key != "loss");
            Loss::Matryoshka(Matryoshka {
                loss: Box::new(named(word("loss"), &inner.into())?),
                cuts: dims.zip(numbers("matryoshka_weights")).collect(),
                n_dims_per_step: None,
            })
        }
        "MultipleNegativesRankingLoss" | "CachedMultipleNegativesRankingLoss" => {
            configured("multiple_negatives_ranking", params, &[])
        }
        "MultipleNegativesSymmetricRankingLoss" => {
            configured("multiple_negatives_ranking", params, &[("symmetric", true.into())])
        }
        "SoftmaxLoss" => {
            let mut features = vec![Feature::Vectors, Feature::Difference];
            features
                .extend((params["concatenation_sent_multiplication"] == true).then_some(Feature::Product));
            Loss::Softmax(Softmax { features })
        }
        "GISTEmbedLoss" => configured("gist", params, &[("guide", "its vectors".into())]),
        "MSELoss" => configured("mse", params, &teacher),
        "EmbedDistillLoss" => {
            let distance = ("teacher_distance", params["distance_metric"].clone());
            configured("embed_distill", &Value::Null, &[teacher[0].clone(), distance])
        }
        "MarginMSELoss" => configured("margin_mse", params, &teacher),
        "DistillKLDivLoss" => configured("distill_kl_div", params, &teacher),
        "GlobalOrthogonalRegularizationLoss" => configured("global_orthogonal_regularization", params, &[]),
        other => return Err(other.to_owned()),
    })
}

/// The loss that a config with the reference's parameters, and some more, describes.
fn configured(name: &str, params: &Value, more: &[(&str, Value)]) -> Loss {
    let mut config = params.as_object().cloned().unwrap_or_default();
    config.insert("name".to_owned(), name.into());
    config.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let config: LossConfig = serde_json::from_value(config.into()).unwrap();
    config.check().unwrap();
    config.build()
}

fn matrix(values: Vec<f32>, shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), &golden::device()).autodiff()
}

/// Vectors beside those that are learned: the guide's.
fn extra(case: &Value, name: &str, tensors: &Tensors) -> Vec<Tensor<2>> {
    let keys = case["extra"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let tensor = |key| tensors.f32(&format!("{name}/{key}"));
    keys.map(tensor).map(|(shape, values)| matrix(values, [shape[0], shape[1]])).collect()
}

/// A teacher's vectors, given as `[batch, dim]` for all columns alike or `[batch, columns, dim]`.
fn teacher_columns(shape: &[usize], values: &[f32], columns: usize) -> Vec<Tensor<2>> {
    let (batch, dim) = (shape[0], shape[shape.len() - 1]);
    let given = shape[1..shape.len() - 1].iter().product::<usize>();
    let column = |c: usize| {
        let row = |i: usize| (i * given + c.min(given - 1)) * dim;
        (0..batch).flat_map(|i| values[row(i)..row(i) + dim].to_vec()).collect()
    };
    (0..columns).map(|c| matrix(column(c), [batch, dim])).collect()
}

/// A teacher's margins `[batch, negatives]`, given as they are or as scores `[batch, 1 + negatives]`.
fn margins(shape: &[usize], labels: Vec<f32>, negatives: usize) -> Tensor<2> {
    let given = labels.len() / shape[0];
    let labels = matrix(labels, [shape[0], given]);
    if given == negatives { labels } else { labels.clone().narrow(1, 0, 1) - labels.narrow(1, 1, negatives) }
}

/// The differences of the value, and of the gradients as a share of their largest entry.
fn check(name: &str, case: &Value, loss: Loss, tensors: &Tensors) -> (f64, f64) {
    let gradient = |key: &str| tensors.f32(&format!("{name}/{key}")).1;
    compare(name, learned(name, case, &loss, tensors), case["value"].as_f64().unwrap(), gradient)
}

/// A value, and gradients by their name in the fixture.
type Learned = (f64, Vec<(String, Vec<f32>)>);

/// What a loss makes of a case's vectors.
fn learned(name: &str, case: &Value, loss: &Loss, tensors: &Tensors) -> Learned {
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
    let (shape, labels) = match case["labels"] {
        Value::Null => (Vec::new(), Vec::new()),
        _ => tensors.numbers(&format!("{name}/labels")),
    };
    let text_ids = (0..columns.len()).map(|c| (0..batch).map(|i| (c * batch + i) as u64).collect()).collect();
    let owned = owned(loss, name, tensors);
    let value = match loss {
        Loss::MarginMse(loss) => loss.of_margins(&columns, margins(&shape, labels, columns.len() - 2)),
        Loss::DistillKlDiv(loss) => loss.of_scores(&columns, matrix(labels, [shape[0], shape[1]])),
        _ => {
            let guide = match loss {
                Loss::EmbedDistill(loss) => {
                    let mut teacher = teacher_columns(&shape, &labels, columns.len());
                    if loss.target == Target::Anchor {
                        // What it makes of the other texts is of no account.
                        teacher[1..].iter_mut().for_each(|column| *column = column.zeros_like());
                    }
                    teacher
                }
                Loss::Softmax(_) => Vec::new(),
                _ => extra(case, name, tensors),
            };
            loss.forward(LossInput {
                columns: columns.clone(),
                layers: Vec::new(),
                labels,
                text_ids,
                guide,
                owned: &owned,
                draw: 0,
            })
        }
    };

    let gradients = value.backward();
    let flat = |gradient: Tensor<2>| gradient.into_data().try_into_vec::<f32>().unwrap();
    let mut found: Vec<(String, Vec<f32>)> = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        found.push((format!("grad{index}"), flat(column.grad(&gradients).unwrap())));
    }
    if let Some(Classifier { weight, bias }) = &owned.classifier {
        let bias = bias.val().grad(&gradients).unwrap().into_data().try_into_vec::<f32>().unwrap();
        found.push(("grad_weight".to_owned(), flat(weight.val().grad(&gradients).unwrap())));
        found.push(("grad_bias".to_owned(), bias));
    }
    (value.into_scalar::<f32>().into(), found)
}

/// The same differences between what was found and what the reference gives.
fn compare(
    name: &str,
    (value, gradients): Learned,
    expected_value: f64,
    expected: impl Fn(&str) -> Vec<f32>,
) -> (f64, f64) {
    let of_value = (value - expected_value).abs();
    let tolerance = 1e-5 * expected_value.abs().max(1.0);
    assert!(of_value <= tolerance, "{name}: value {value}, reference {expected_value}");
    let mut worst = 0.0f64;
    for (key, found) in gradients {
        let expected = expected(&key);
        let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        let difference = golden::max_difference(&found, &expected);
        assert!(
            difference <= 2e-5 * golden::slack() as f32 * largest,
            "{name}: {key} differs by {difference} of {largest}"
        );
        worst = worst.max(f64::from(difference / largest.max(f32::MIN_POSITIVE)));
    }
    (of_value, worst)
}

/// A classifier where the loss has one.
fn owned(loss: &Loss, name: &str, tensors: &Tensors) -> Owned {
    let Loss::Softmax(_) = loss else { return Owned::default() };
    let (shape, weight) = tensors.f32(&format!("{name}/weight"));
    let (_, bias) = tensors.f32(&format!("{name}/bias"));
    let bias = Tensor::from_floats(bias.as_slice(), &golden::device());
    let weight = Tensor::from_data(TensorData::new(weight, shape), &golden::device());
    let classifier = Classifier { weight: Param::from_tensor(weight), bias: Param::from_tensor(bias) };
    Owned { classifier: Some(classifier), ..Owned::default() }.train()
}
