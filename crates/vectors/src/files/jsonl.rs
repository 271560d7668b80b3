//! One JSON object per line: the format for pipes and for reading by eye.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Format;
use crate::{Embeddings, Error, Piece, Result};

/// What a line holds when it is written; a reader asks only for the vector.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    piece: Option<&'a Piece>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    embedding: &'a [f32],
}

#[derive(Deserialize)]
struct ReadLine {
    embedding: Vec<f32>,
}

pub(super) fn write_row(
    output: &mut impl Write,
    piece: Option<&Piece>,
    text: Option<&str>,
    embedding: &[f32],
) -> std::io::Result<()> {
    serde_json::to_writer(&mut *output, &Line { piece, text, embedding })?;
    output.write_all(b"\n")
}

pub(super) fn read(path: &Path) -> Result<Embeddings> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let input = BufReader::new(File::open(path).map_err(failed)?);
    let mut all: Option<Embeddings> = None;
    for (index, line) in input.lines().enumerate() {
        let line = line.map_err(failed)?;
        if line.trim().is_empty() {
            continue;
        }
        let malformed = |reason: String| Error::Malformed {
            path: path.to_owned(),
            format: Format::Jsonl,
            reason: format!("line {}: {reason}", index + 1),
        };
        let row: ReadLine = serde_json::from_str(&line).map_err(|error| malformed(error.to_string()))?;
        let all = all.get_or_insert_with(|| Embeddings::new(row.embedding.len()));
        all.push(&row.embedding).map_err(|error| malformed(error.to_string()))?;
    }
    Ok(all.unwrap_or_default())
}
