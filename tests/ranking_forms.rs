//! Multiple negatives ranking in every form, against the reference's loss, whose version in mini-batches gave the same.

use serde_json::Value;

use crate::own_negatives::{Columns, assert_close, learned, loss, numbered};

#[test]
fn every_form_has_the_value_and_gradients_of_the_reference() {
    let made: Value = serde_json::from_str(include_str!("fixtures/golden/ranking-forms/cases.json")).unwrap();
    let columns = |value: &Value| serde_json::from_value::<Columns>(value.clone()).unwrap();
    let given = columns(&made["columns"]);
    let cases = made["cases"].as_array().unwrap();
    // Eight sets of directions and one with a softmax each; four kinds of hardness; two similarities.
    assert_eq!(cases.len(), 72);
    for case in cases {
        let gradients = columns(&case["gradients"]).iter().map(|rows| rows.concat()).collect();
        let expected = (case["value"].as_f64().unwrap() as f32, gradients);
        let found = learned(&loss(&case["config"]), &given, &numbered(&given), &Vec::new());
        assert_close(&case["config"].to_string(), found, expected);
    }
}
