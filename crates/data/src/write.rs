//! Examples as files, with the column names that everybody knows.

use std::path::Path;

use serde_json::Value;

use crate::error::Error;
use crate::example::{Dataset, Kind};
use crate::format::Format;

/// The bytes of a file with some examples, in the format that the file's name says: JSONL, CSV or TSV.
pub fn to_bytes(dataset: &Dataset, examples: &[usize], path: &Path) -> Result<Vec<u8>, Error> {
    let mut names = dataset.kind.roles();
    names.extend(label_column(dataset.kind).map(str::to_owned));
    let rows = examples.iter().map(|index| (&dataset.examples[*index].texts, *index));
    let has_scores = examples.iter().any(|index| !dataset.examples[*index].scores.is_empty());
    let delimiter = match Format::of(path)? {
        Format::Jsonl => {
            names.extend(has_scores.then(|| "scores".to_owned()));
            let mut bytes = Vec::new();
            for (texts, index) in rows {
                let texts = texts.iter().map(|text| Value::from(text.as_str()));
                let values =
                    texts.chain(label(dataset, index)).chain(has_scores.then(|| scores(dataset, index)));
                let row = Value::Object(names.iter().cloned().zip(values).collect());
                bytes.extend(row.to_string().into_bytes());
                bytes.push(b'\n');
            }
            return Ok(bytes);
        }
        Format::Csv | Format::Tsv if has_scores => {
            return Err(Error::ScoresNotWritten { path: path.to_owned() });
        }
        Format::Csv => b',',
        Format::Tsv => b'\t',
        Format::Parquet => return Err(Error::NotWritten { path: path.to_owned() }),
    };
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    let failed = |error: csv::Error| Error::Io { path: path.to_owned(), source: error.into() };
    writer.write_record(&names).map_err(failed)?;
    for (texts, index) in rows {
        let label = dataset.shown_label(index);
        writer.write_record(texts.iter().chain(label.as_ref())).map_err(failed)?;
    }
    writer.into_inner().map_err(|error| Error::Io { path: path.to_owned(), source: error.into_error() })
}

/// The column beside the texts. The class of a pair is called so, since a `label` that is a number would be a score.
fn label_column(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Pairs | Kind::Triplets { .. } => None,
        Kind::Scored => Some("score"),
        Kind::Labelled => Some("label"),
        Kind::ClassifiedPairs => Some("class"),
    }
}

/// The score or class of an example; a class that was a number is one.
fn label(dataset: &Dataset, index: usize) -> Option<Value> {
    let shown = dataset.shown_label(index)?;
    if !dataset.kind.has_classes() {
        return dataset.examples[index].label.map(|label| Value::from(shortest(label)));
    }
    let number = shown.parse::<i64>().ok().filter(|number| number.to_string() == shown);
    Some(number.map_or_else(|| Value::from(shown), Value::from))
}

/// A teacher's scores, one for each text but the anchor.
fn scores(dataset: &Dataset, index: usize) -> Value {
    dataset.examples[index].scores.iter().map(|score| Value::from(shortest(*score))).collect()
}

/// The number that has the same digits as the f32: 0.1, not 0.10000000149011612.
fn shortest(label: f32) -> f64 {
    label.to_string().parse().unwrap_or(f64::from(label))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::example::tests::dataset;
    use crate::{ReadOptions, read};

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let triplets = dataset(&[&["a, \"b\"", "c\td", "e\nf"], &["é", "x", "y"]]);
        let mut scored = dataset(&[&["a", "b"], &["c", "d"]]);
        scored.kind = Kind::Scored;
        scored.examples[0].label = Some(0.1);
        scored.examples[1].label = Some(-3.0);
        let mut labelled = dataset(&[&["a"], &["b"], &["c"]]);
        labelled.classes = ["card lost", "7", "07"].map(str::to_owned).to_vec();
        let mut classified = dataset(&[&["a", "b"], &["c", "d"]]);
        classified.kind = Kind::ClassifiedPairs;
        classified.classes = ["1", "0"].map(str::to_owned).to_vec();
        for data in [&mut labelled, &mut classified] {
            data.examples
                .iter_mut()
                .enumerate()
                .for_each(|(index, example)| example.label = Some(index as f32));
        }
        let mut taught = dataset(&[&["a", "b", "c"], &["d", "e", "f"]]);
        for example in &mut taught.examples {
            example.scores = vec![0.9, -0.1];
        }
        let path = folder.path().join("taught.jsonl");
        std::fs::write(&path, to_bytes(&taught, &[0, 1], &path).unwrap()).unwrap();
        let columns = crate::ColumnMap { scores: Some("scores".into()), ..crate::ColumnMap::default() };
        let back = read(&[path], &ReadOptions { columns, ..ReadOptions::default() }).unwrap();
        assert_eq!(back.examples[1].scores, [0.9, -0.1]);
        assert!(to_bytes(&taught, &[0], Path::new("x.csv")).is_err());
        for data in [&triplets, &scored, &labelled, &classified, &dataset(&[&["a", "b"]])] {
            for name in ["x.jsonl", "x.csv", "x.tsv"] {
                let path = folder.path().join(name);
                let all: Vec<usize> = (0..data.len()).collect();
                std::fs::write(&path, to_bytes(data, &all, &path).unwrap()).unwrap();
                let back = read(&[path], &ReadOptions::default()).unwrap();
                assert_eq!((back.kind, &back.classes), (data.kind, &data.classes), "{name}");
                let parts = |data: &Dataset| -> Vec<_> {
                    data.examples.iter().map(|e| (e.texts.clone(), e.label)).collect()
                };
                assert_eq!(parts(&back), parts(data), "{name}");
            }
        }
    }

    #[test]
    fn only_some_examples_and_only_known_formats() {
        let data = dataset(&[&["a", "b"], &["c", "d"]]);
        let bytes = to_bytes(&data, &[1], Path::new("x.jsonl")).unwrap();
        assert_eq!(bytes, b"{\"anchor\":\"c\",\"positive\":\"d\"}\n");
        assert!(to_bytes(&data, &[1], Path::new("x.parquet")).is_err());
    }
}
