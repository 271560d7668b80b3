//! Examples as files, with the column names that everybody knows.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bad_row::BadRow;
use crate::classes::Classes;
use crate::error::Error;
use crate::example::{Dataset, Example, Kind, shown_label};
use crate::folder::files_of;
use crate::format::Format;
use crate::read::{ReadOptions, Summary, read_each, summarise};

/// Writes some examples in the format that the file's name says: JSONL, CSV or TSV.
pub fn write(dataset: &Dataset, examples: &[usize], path: &Path, out: impl Write) -> Result<(), Error> {
    let examples = || examples.iter().map(|index| &dataset.examples[*index]);
    let scores = examples().any(|example| !example.scores.is_empty());
    let mut writer = Writer::new(out, path, dataset.kind, &dataset.classes, scores)?;
    examples().try_for_each(|example| writer.write(example))?;
    writer.finish()
}

/// What files were rewritten as one.
#[derive(Debug)]
pub struct Rewritten {
    /// What the examples are.
    pub kind: Kind,
    /// How many there are.
    pub examples: usize,
    /// Rows that were left out.
    pub skipped: Vec<BadRow>,
}

/// Writes all examples of files as one, in the format that its name says. The files are read twice, to know what they have in
/// common, and no more than a row is in memory.
pub fn rewrite(
    paths: &[PathBuf],
    options: &ReadOptions,
    path: &Path,
    out: impl Write,
) -> Result<Rewritten, Error> {
    // A name that nothing can be written under is told before the work.
    Writer::new(std::io::sink(), path, Kind::Pairs, &[], false)?;
    let paths = &files_of(paths, &options.split)?;
    let (mut classes, mut scores) = (Classes::default(), false);
    let contents = read_each(paths, options, &mut classes, &mut |found| {
        scores |= !found.example.scores.is_empty();
        Ok(())
    })?;
    let examples = contents.iter().map(|content| content.examples).sum();
    let Summary { kind, skipped, .. } = summarise(paths, contents, options)?;
    let names = classes.names();
    let mut writer = Writer::new(out, path, kind, &names, scores)?;
    read_each(paths, options, &mut classes, &mut |mut found| {
        found.example.fit(kind);
        writer.write(&found.example)
    })?;
    writer.finish()?;
    Ok(Rewritten { kind, examples, skipped })
}

/// Writes one example after the other.
struct Writer<'a, W: Write> {
    path: &'a Path,
    kind: Kind,
    classes: &'a [String],
    names: Vec<String>,
    /// Whether examples have a teacher's scores.
    scores: bool,
    rows: Rows<W>,
}

enum Rows<W: Write> {
    Json(W),
    Delimited(Box<csv::Writer<W>>),
}

impl<'a, W: Write> Writer<'a, W> {
    fn new(out: W, path: &'a Path, kind: Kind, classes: &'a [String], scores: bool) -> Result<Self, Error> {
        let mut names = kind.roles();
        names.extend(label_column(kind).map(str::to_owned));
        let delimiter = match Format::of(path)? {
            Format::Jsonl => None,
            Format::Csv | Format::Tsv if scores => {
                return Err(Error::ScoresNotWritten { path: path.to_owned() });
            }
            Format::Csv => Some(b','),
            Format::Tsv => Some(b'\t'),
            Format::Parquet => return Err(Error::NotWritten { path: path.to_owned() }),
        };
        let rows = if let Some(delimiter) = delimiter {
            let mut rows = csv::WriterBuilder::new().delimiter(delimiter).from_writer(out);
            rows.write_record(&names).map_err(|error| failed(path, error))?;
            Rows::Delimited(Box::new(rows))
        } else {
            names.extend(scores.then(|| "scores".to_owned()));
            Rows::Json(out)
        };
        Ok(Self { path, kind, classes, names, scores, rows })
    }

    fn write(&mut self, example: &Example) -> Result<(), Error> {
        let shown = example.label.map(|label| shown_label(self.kind, self.classes, label));
        match &mut self.rows {
            Rows::Json(out) => {
                let texts = example.texts.iter().map(|text| Value::from(text.as_str()));
                let label = example.label.zip(shown).map(|(label, shown)| {
                    if self.kind.has_classes() { class(shown) } else { Value::from(shortest(label)) }
                });
                let scores = self.scores.then(|| scores(example));
                let values = texts.chain(label).chain(scores);
                let row = Value::Object(self.names.iter().cloned().zip(values).collect());
                writeln!(out, "{row}").map_err(|error| failed(self.path, error))
            }
            Rows::Delimited(rows) => {
                let record = example.texts.iter().chain(shown.as_ref());
                rows.write_record(record).map_err(|error| failed(self.path, error))
            }
        }
    }

    fn finish(self) -> Result<(), Error> {
        let flushed = match self.rows {
            Rows::Json(mut out) => out.flush(),
            Rows::Delimited(mut rows) => rows.flush(),
        };
        flushed.map_err(|error| failed(self.path, error))
    }
}

fn failed(path: &Path, source: impl Into<std::io::Error>) -> Error {
    Error::Write { path: path.to_owned(), source: source.into() }
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

/// A class; one that was a number is one.
fn class(name: String) -> Value {
    let number = name.parse::<i64>().ok().filter(|number| number.to_string() == name);
    number.map_or_else(|| Value::from(name), Value::from)
}

/// A teacher's scores, one for each text but the anchor.
fn scores(example: &Example) -> Value {
    example.scores.iter().map(|score| Value::from(shortest(*score))).collect()
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

    fn to_bytes(data: &Dataset, examples: &[usize], path: &Path) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        write(data, examples, path, &mut bytes).map(|()| bytes)
    }

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
    fn files_are_rewritten_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.jsonl", "b.csv"].map(|name| folder.path().join(name)).to_vec();
        std::fs::write(&paths[0], "{\"question\": \"a\", \"answer\": \"b\", \"negative\": [\"c\", \"d\"]}\n")
            .unwrap();
        std::fs::write(&paths[1], "anchor,positive,negative\ne,f,g\n").unwrap();
        let mut bytes = Vec::new();
        let path = Path::new("x.tsv");
        let done = rewrite(&paths, &ReadOptions::default(), path, &mut bytes).unwrap();
        assert_eq!((done.examples, done.kind), (2, Kind::Triplets { negatives: 1 }));
        let whole = read(&paths, &ReadOptions::default()).unwrap();
        assert_eq!(bytes, to_bytes(&whole, &[0, 1], path).unwrap());
        let refused = rewrite(&paths, &ReadOptions::default(), Path::new("x.parquet"), &mut bytes);
        assert!(matches!(refused, Err(Error::NotWritten { .. })));
    }

    #[test]
    fn only_some_examples_and_only_known_formats() {
        let data = dataset(&[&["a", "b"], &["c", "d"]]);
        let bytes = to_bytes(&data, &[1], Path::new("x.jsonl")).unwrap();
        assert_eq!(bytes, b"{\"anchor\":\"c\",\"positive\":\"d\"}\n");
        assert!(to_bytes(&data, &[1], Path::new("x.parquet")).is_err());
    }
}
