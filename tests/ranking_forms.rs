//! Multiple negatives ranking in every form, against the reference's loss, whose version in mini-batches gave the same.

use serde_json::Value;

use crate::encoder_losses::Row;
use crate::own_negatives::{Columns, assert_close, learned, loss, numbered};

#[test]
fn every_form_has_the_value_and_gradients_of_the_reference() {
    // Eight sets of directions and one with a softmax each; four kinds of hardness; two similarities.
    assert_eq!(row().0, 72);
}

/// Checks every form: how many there are, and the largest differences.
pub fn row() -> Row {
    let made: Value = serde_json::from_str(include_str!("fixtures/golden/ranking-forms/cases.json")).unwrap();
    let columns = |value: &Value| serde_json::from_value::<Columns>(value.clone()).unwrap();
    let given = columns(&made["columns"]);
    let mut row = Row::default();
    for case in made["cases"].as_array().unwrap() {
        let gradients = columns(&case["gradients"]).iter().map(|rows| rows.concat()).collect();
        let expected = (case["value"].as_f64().unwrap() as f32, gradients);
        let found = learned(&loss(&case["config"]), &given, &numbered(&given), &Vec::new());
        let (value, gradient) = assert_close(&case["config"].to_string(), found, expected);
        row = (row.0 + 1, row.1.max(value), row.2.max(gradient));
    }
    row
}
