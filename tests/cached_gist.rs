//! GIST where a margin decides which texts are negatives, against the reference's loss in mini-batches.

use serde_json::Value;

use crate::encoder_losses::Row;
use crate::own_negatives::{Columns, assert_close, learned, loss, numbered};

#[test]
fn margins_mask_what_the_reference_masks() {
    assert_eq!(row().0, 5);
}

/// Checks every case: how many there are, and the largest differences.
pub fn row() -> Row {
    let text = include_str!("fixtures/golden/cached-gist/cases.json");
    let cases = serde_json::from_str::<Value>(text).unwrap();
    let mut row = Row::default();
    for case in cases["cases"].as_array().unwrap() {
        let mut config = case["config"].clone();
        config["name"] = "gist".into();
        config["guide"] = "its vectors".into();
        let columns = |key: &str| serde_json::from_value::<Columns>(case[key].clone()).unwrap();
        let (given, guide) = (columns("columns"), columns("guide"));
        let gradients = columns("gradients").iter().map(|rows| rows.concat()).collect();
        let expected = (case["value"].as_f64().unwrap() as f32, gradients);
        let found = learned(&loss(&config), &given, &numbered(&given), &guide);
        let (value, gradient) = assert_close(case["name"].as_str().unwrap(), found, expected);
        row = (row.0 + 1, row.1.max(value), row.2.max(gradient));
    }
    row
}
