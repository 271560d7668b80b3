//! One row becomes examples, or a fault: the checks that every format shares.

use serde_json::Value;

use crate::bad_row::{Fault, Reason};
use crate::columns::{LabelColumn, Mapping, TextColumns};
use crate::format::Cells;

/// What a row gives.
#[derive(Debug, PartialEq)]
pub(crate) struct Converted {
    /// The texts of each example; several where the row lists several positives.
    pub(crate) texts: Vec<Vec<String>>,
    pub(crate) label: Option<Label>,
    /// A teacher's scores of all texts but the anchor.
    pub(crate) scores: Vec<f32>,
}

/// What a row says of its texts.
#[derive(Debug, PartialEq)]
pub(crate) enum Label {
    Score(f32),
    Class(String),
}

/// Converts one row.
pub(crate) fn convert(
    cells: &Cells,
    mapping: &Mapping,
    range: Option<(f32, f32)>,
) -> Result<Converted, Fault> {
    let label = match &mapping.label {
        Some(LabelColumn::Score(column)) => Some(Label::Score(score(cells, column, range)?)),
        Some(LabelColumn::Class(column)) => Some(Label::Class(class(cells, column)?)),
        None => None,
    };
    let texts: Vec<Vec<String>> = match &mapping.texts {
        TextColumns::List(column) => vec![listed(cells, column, label.is_some())?],
        TextColumns::One(column) => vec![vec![one_text(cells, column)?]],
        TextColumns::Named { anchor, positive, negatives } => {
            let anchor = one_text(cells, anchor)?;
            let positives = some_texts(cells, positive)?;
            let mut others = Vec::new();
            for column in negatives {
                others.extend(texts(cells, column)?);
            }
            let example =
                |positive| [anchor.clone(), positive].into_iter().chain(others.iter().cloned()).collect();
            positives.into_iter().map(example).collect()
        }
    };
    let scores = match &mapping.scores {
        Some(column) if texts.len() > 1 => return Err(Fault::column(column, Reason::SeveralPositives)),
        Some(column) => scores(cells, column, texts[0].len() - 1)?,
        None => Vec::new(),
    };
    Ok(Converted { texts, label, scores })
}

/// A number for each text.
fn scores(cells: &Cells, column: &str, expected: usize) -> Result<Vec<f32>, Fault> {
    let Value::Array(values) = present(cells, column)? else {
        return Err(wrong_type(column, "a list of numbers", &cells[column]));
    };
    let number = |value: &Value| match value.as_f64().map(|number| number as f32) {
        Some(number) if number.is_finite() => Ok(number),
        _ => Err(Fault::column(column, Reason::BadLabel { found: shown(value) })),
    };
    if values.len() != expected {
        return Err(Fault::column(column, Reason::ScoreCount { expected, found: values.len() }));
    }
    values.iter().map(number).collect()
}

fn listed(cells: &Cells, column: &str, scored: bool) -> Result<Vec<String>, Fault> {
    let list = texts(cells, column)?;
    let expected = match (scored, list.len()) {
        (true, 2) | (false, 2..) => return Ok(list),
        (true, _) => "2",
        (false, _) => "at least 2",
    };
    Err(Fault::column(column, Reason::TextCount { expected: expected.to_owned(), found: list.len() }))
}

fn one_text(cells: &Cells, column: &str) -> Result<String, Fault> {
    match present(cells, column)? {
        Value::String(text) => checked(text, column),
        other => Err(wrong_type(column, "a text", other)),
    }
}

fn some_texts(cells: &Cells, column: &str) -> Result<Vec<String>, Fault> {
    let list = texts(cells, column)?;
    if list.is_empty() {
        return Err(Fault::column(column, Reason::TextCount { expected: "at least 1".to_owned(), found: 0 }));
    }
    Ok(list)
}

/// A text or a list of texts.
fn texts(cells: &Cells, column: &str) -> Result<Vec<String>, Fault> {
    match present(cells, column)? {
        Value::String(text) => Ok(vec![checked(text, column)?]),
        Value::Array(values) => values
            .iter()
            .map(|value| match value {
                Value::String(text) => checked(text, column),
                other => Err(wrong_type(column, "texts", other)),
            })
            .collect(),
        other => Err(wrong_type(column, "a text", other)),
    }
}

fn score(cells: &Cells, column: &str, range: Option<(f32, f32)>) -> Result<f32, Fault> {
    let value = match present(cells, column)? {
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Value::Bool(yes) => f64::from(u8::from(*yes)),
        Value::String(text) if text.trim().is_empty() => return Err(Fault::column(column, Reason::Missing)),
        Value::String(text) => text.trim().parse().unwrap_or(f64::NAN),
        other => return Err(wrong_type(column, "a number", other)),
    } as f32;
    if !value.is_finite() {
        return Err(Fault::column(column, Reason::BadLabel { found: shown(&cells[column]) }));
    }
    match range {
        Some((low, high)) if !(low..=high).contains(&value) => {
            Err(Fault::column(column, Reason::LabelOutOfRange { found: value, low, high }))
        }
        _ => Ok(value),
    }
}

/// The name of a class; spaces around it are none of it.
fn class(cells: &Cells, column: &str) -> Result<String, Fault> {
    let name = match present(cells, column)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        Value::Number(number) => match number.as_f64().filter(|number| number.fract() == 0.0) {
            Some(whole) => format!("{whole:.0}"),
            None => return Err(Fault::column(column, Reason::NoClass { found: number.to_string() })),
        },
        other => return Err(wrong_type(column, "a class", other)),
    };
    if name.is_empty() { Err(Fault::column(column, Reason::Missing)) } else { Ok(name) }
}

fn present<'a>(cells: &'a Cells, column: &str) -> Result<&'a Value, Fault> {
    match cells.get(column) {
        None | Some(Value::Null) => Err(Fault::column(column, Reason::Missing)),
        Some(value) => Ok(value),
    }
}

fn checked(text: &str, column: &str) -> Result<String, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::column(column, Reason::Empty));
    }
    Ok(text.to_owned())
}

fn wrong_type(column: &str, expected: &str, found: &Value) -> Fault {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Fault::column(column, Reason::WrongType { expected: expected.to_owned(), found: found.to_owned() })
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::columns::{ColumnMap, map_columns};
    use std::path::Path;

    fn converted(json: &str) -> Result<Converted, String> {
        let cells: Cells = serde_json::from_str(json).unwrap();
        let columns: Vec<String> = cells.keys().cloned().collect();
        let mapping = map_columns(Path::new("x"), &columns, &ColumnMap::default()).unwrap();
        convert(&cells, &mapping, Some((0.0, 1.0))).map_err(|fault| fault.at(Path::new("x"), 3).to_string())
    }

    #[test]
    fn every_listed_positive_becomes_an_example() {
        let row = converted(r#"{"query": "q", "pos": ["p1", "p2"], "neg": ["n1", "n2"]}"#).unwrap();
        assert_eq!(row.texts, [["q", "p1", "n1", "n2"], ["q", "p2", "n1", "n2"]]);
    }

    #[test]
    fn labels_are_numbers_or_texts_of_numbers() {
        for label in ["1", "\" 1.0 \"", "true", "1.0"] {
            let row = converted(&format!(r#"{{"text1": "a", "text2": "b", "label": {label}}}"#)).unwrap();
            assert_eq!(row.label, Some(Label::Score(1.0)), "{label}");
        }
    }

    #[test]
    fn a_teacher_scores_every_text_but_the_anchor() {
        let cells = |json: &str| serde_json::from_str::<Cells>(json).unwrap();
        let row = |scores: &str| {
            cells(&format!(r#"{{"query": "q", "pos": ["p"], "neg": ["n", "m"], "s": {scores}}}"#))
        };
        let columns = ["query", "pos", "neg", "s"].map(str::to_owned);
        let wanted = ColumnMap { scores: Some("s".into()), ..ColumnMap::default() };
        let mapping = map_columns(Path::new("x"), &columns, &wanted).unwrap();
        assert_eq!(convert(&row("[0.9, 0.5, -1]"), &mapping, None).unwrap().scores, [0.9, 0.5, -1.0]);
        for (scores, problem) in [
            ("[0.9, 0.5]", "2 scores where there are 3 texts beside the anchor"),
            ("0.9", "expected a list of numbers, found a number"),
            ("[0.9, 0.5, \"x\"]", "label `x` is not a finite number"),
            ("[0.9, 0.5, 0.1], \"pos\": [\"p\", \"r\"]", "a row with scores has one positive"),
        ] {
            let fault = convert(&row(scores), &mapping, None).unwrap_err().at(Path::new("x"), 1).to_string();
            assert!(fault.contains(problem), "{fault}");
        }
    }

    #[test]
    fn classes_are_words_or_whole_numbers() {
        for (label, name) in
            [("\" card lost \"", "card lost"), ("3", "3"), ("3.0", "3"), ("\"3\"", "3"), ("true", "true")]
        {
            let row = converted(&format!(r#"{{"text": "a", "label": {label}}}"#)).unwrap();
            assert_eq!(
                (row.texts, row.label),
                (vec![vec!["a".to_owned()]], Some(Label::Class(name.to_owned())))
            );
        }
    }

    #[test]
    fn faults_name_column_and_reason() {
        for (json, message) in [
            (r#"{"anchor": "a", "positive": null}"#, "x:3: column `positive`: missing"),
            (r#"{"anchor": "a", "positive": " \t"}"#, "x:3: column `positive`: empty text"),
            (r#"{"anchor": 7, "positive": "b"}"#, "x:3: column `anchor`: expected a text, found a number"),
            (r#"{"query": "a", "pos": []}"#, "x:3: column `pos`: expected at least 1 texts, found 0"),
            (r#"{"texts": ["a"]}"#, "x:3: column `texts`: expected at least 2 texts, found 1"),
            (r#"{"texts": ["a", "b", "c"], "label": 1}"#, "x:3: column `texts`: expected 2 texts, found 3"),
            (
                r#"{"text1": "a", "text2": "b", "label": "nan"}"#,
                "x:3: column `label`: label `nan` is not a finite number",
            ),
            (r#"{"text1": "a", "text2": "b", "label": 5}"#, "x:3: column `label`: label 5 is outside 0..=1"),
            (r#"{"text1": "a", "text2": "b", "label": ""}"#, "x:3: column `label`: missing"),
            (r#"{"text": "a", "label": " "}"#, "x:3: column `label`: missing"),
            (
                r#"{"text": "a", "label": 0.5}"#,
                "x:3: column `label`: a class is a word or a whole number, not 0.5",
            ),
        ] {
            assert_eq!(converted(json).unwrap_err(), message);
        }
    }
}
