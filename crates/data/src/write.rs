//! Examples as files, with the column names that everybody knows.

use std::path::Path;

use serde_json::Value;

use crate::error::Error;
use crate::example::{Dataset, Kind};
use crate::format::Format;

/// The bytes of a file with some examples, in the format that the file's name says: JSONL, CSV or TSV.
pub fn to_bytes(dataset: &Dataset, examples: &[usize], path: &Path) -> Result<Vec<u8>, Error> {
    let mut names = dataset.kind.roles();
    if dataset.kind == Kind::Scored {
        names.push("score".to_owned());
    }
    let rows = examples.iter().map(|index| &dataset.examples[*index]);
    let delimiter = match Format::of(path)? {
        Format::Jsonl => {
            let mut bytes = Vec::new();
            for example in rows {
                let texts = example.texts.iter().map(|text| Value::from(text.as_str()));
                let values = texts.chain(example.label.map(|label| Value::from(shortest(label))));
                let row = Value::Object(names.iter().cloned().zip(values).collect());
                bytes.extend(row.to_string().into_bytes());
                bytes.push(b'\n');
            }
            return Ok(bytes);
        }
        Format::Csv => b',',
        Format::Tsv => b'\t',
        Format::Parquet => return Err(Error::NotWritten { path: path.to_owned() }),
    };
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    let failed = |error: csv::Error| Error::Io { path: path.to_owned(), source: error.into() };
    writer.write_record(&names).map_err(failed)?;
    for example in rows {
        let label = example.label.map(|label| label.to_string());
        writer.write_record(example.texts.iter().chain(label.as_ref())).map_err(failed)?;
    }
    writer.into_inner().map_err(|error| Error::Io { path: path.to_owned(), source: error.into_error() })
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
        for data in [&triplets, &scored, &dataset(&[&["a", "b"]])] {
            for name in ["x.jsonl", "x.csv", "x.tsv"] {
                let path = folder.path().join(name);
                let all: Vec<usize> = (0..data.len()).collect();
                std::fs::write(&path, to_bytes(data, &all, &path).unwrap()).unwrap();
                let back = read(&[path], &ReadOptions::default()).unwrap();
                assert_eq!(back.kind, data.kind, "{name}");
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
