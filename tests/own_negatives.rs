//! Ranking losses without in-batch negatives: a batch is as good as its rows one by one.

use burn::tensor::{Tensor, TensorData};
use serde_json::{Value, json};
use temper_train::losses::{Loss, LossConfig, LossInput, Objective, Owned};

use crate::golden;

/// `[rows, dim]` a column.
pub type Columns = Vec<Vec<Vec<f32>>>;

pub fn loss(config: &Value) -> Loss {
    serde_json::from_value::<LossConfig>(config.clone()).unwrap().build()
}

/// The value, and the gradient of each column.
pub fn learned(
    loss: &Loss,
    columns: &Columns,
    text_ids: &[Vec<u64>],
    guide: &Columns,
) -> (f32, Vec<Vec<f32>>) {
    let tensors = |columns: &Columns| -> Vec<Tensor<2>> {
        let tensor = |rows: &Vec<Vec<f32>>| {
            let data = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
            Tensor::from_data(data, &golden::device()).autodiff()
        };
        columns.iter().map(tensor).collect()
    };
    let columns: Vec<_> = tensors(columns).into_iter().map(Tensor::require_grad).collect();
    let value = loss.forward(LossInput {
        columns: columns.clone(),
        layers: Vec::new(),
        labels: Vec::new(),
        text_ids: text_ids.to_vec(),
        guide: tensors(guide),
        owned: &Owned::default(),
        draw: 0,
    });
    let gradients = value.backward();
    let gradient = |column: &Tensor<2>| column.grad(&gradients).unwrap().into_data().try_into_vec().unwrap();
    (value.into_scalar(), columns.iter().map(gradient).collect())
}

pub fn numbered(columns: &Columns) -> Vec<Vec<u64>> {
    let rows = columns[0].len() as u64;
    (0..columns.len() as u64).map(|column| (column * rows..(column + 1) * rows).collect()).collect()
}

/// The differences of the value, and of the gradients as a share of their largest entry.
pub fn assert_close(what: &str, found: (f32, Vec<Vec<f32>>), expected: (f32, Vec<Vec<f32>>)) -> (f64, f64) {
    let of_value = (found.0 - expected.0).abs();
    assert!(of_value <= 1e-5 * expected.0.abs().max(1.0), "{what}: {found:?} {expected:?}");
    let mut worst = 0.0f32;
    for (found, expected) in found.1.iter().zip(&expected.1) {
        let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        let difference = golden::max_difference(found, expected);
        assert!(difference <= 2e-5 * golden::slack() as f32 * largest, "{what}: {difference} of {largest}");
        worst = worst.max(difference / largest.max(f32::MIN_POSITIVE));
    }
    (of_value.into(), worst.into())
}

fn cases() -> Vec<Value> {
    let text = include_str!("fixtures/golden/own-negatives/cases.json");
    serde_json::from_str::<Value>(text).unwrap()["cases"].as_array().unwrap().clone()
}

#[test]
fn the_value_and_gradients_are_the_reference_of_single_rows() {
    for case in cases() {
        let mut config = case["config"].clone();
        config["in_batch_negatives"] = json!(false);
        let columns: Columns = serde_json::from_value(case["columns"].clone()).unwrap();
        let gradients: Columns = serde_json::from_value(case["gradients"].clone()).unwrap();
        let expected =
            (case["value"].as_f64().unwrap() as f32, gradients.iter().map(|g| g.concat()).collect());
        let found = learned(&loss(&config), &columns, &numbered(&columns), &Vec::new());
        assert_close(case["name"].as_str().unwrap(), found, expected);
    }
}

/// GIST too, and where a negative's text is that of the positive.
#[test]
fn a_batch_is_the_mean_of_its_rows() {
    let columns: Columns = serde_json::from_value(cases()[1]["columns"].clone()).unwrap();
    let guide: Columns = columns.iter().map(|rows| rows.iter().rev().cloned().collect()).collect();
    let mut text_ids = numbered(&columns);
    text_ids[3][2] = text_ids[1][2];
    for config in [json!({}), json!({"name": "gist", "guide": "m", "margin": 0.2})] {
        let whole = loss(&config);
        let mut own = config.clone();
        own["in_batch_negatives"] = json!(false);
        let found = learned(&loss(&own), &columns, &text_ids, &guide);
        let rows = columns[0].len();
        let (mut value, mut gradients) = (0.0, vec![Vec::new(); columns.len()]);
        for row in 0..rows {
            let of_row =
                |columns: &Columns| columns.iter().map(|c| vec![c[row].clone()]).collect::<Columns>();
            let ids: Vec<Vec<u64>> = text_ids.iter().map(|ids| vec![ids[row]]).collect();
            let (alone, gradient) = learned(&whole, &of_row(&columns), &ids, &of_row(&guide));
            value += alone / rows as f32;
            for (all, own) in gradients.iter_mut().zip(gradient) {
                all.extend(own.iter().map(|g| g / rows as f32));
            }
        }
        assert_close(&config.to_string(), found, (value, gradients));
    }
}
