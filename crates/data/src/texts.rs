//! Texts one at a time, from a file or a stream of any length.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bad_row::{Fault, Reason};
use crate::error::Error;
use crate::format::{Cells, Format, Row, Rows, without_bom};

/// The formats that texts can be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// Every line is a text, an empty one too, so that vectors and lines keep the same numbers.
    Lines,
    /// A field of JSON Lines.
    Jsonl,
    /// A column of a CSV file.
    Csv,
    /// A column of a TSV file.
    Tsv,
    /// A column of a Parquet file.
    Parquet,
}

/// An iterator over texts; its memory does not grow with the input. An error ends it.
pub struct Texts {
    texts: Box<dyn Iterator<Item = Result<String, Error>> + Send>,
    failed: bool,
}

impl TextFormat {
    /// The format that the extension names; lines for any that is not known.
    pub fn from_path(path: &Path) -> Self {
        match Format::of(path) {
            Ok(Format::Jsonl) => Self::Jsonl,
            Ok(Format::Csv) => Self::Csv,
            Ok(Format::Tsv) => Self::Tsv,
            Ok(Format::Parquet) => Self::Parquet,
            Err(_) => Self::Lines,
        }
    }

    fn with_columns(self) -> Option<Format> {
        match self {
            Self::Lines => None,
            Self::Jsonl => Some(Format::Jsonl),
            Self::Csv => Some(Format::Csv),
            Self::Tsv => Some(Format::Tsv),
            Self::Parquet => Some(Format::Parquet),
        }
    }
}

impl Texts {
    /// The texts of a file; the field is `text`, else the only column of texts, where none is named.
    pub fn open(path: &Path, field: Option<&str>) -> Result<Self, Error> {
        if let Some(format) = TextFormat::from_path(path).with_columns() {
            return Self::from_rows(format.open(path)?, path, field);
        }
        let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Self::from_reader(BufReader::with_capacity(1 << 16, file), path, TextFormat::Lines, field)
    }

    /// The texts of a stream, which messages call `name`; Parquet can't be streamed.
    pub fn from_reader(
        reader: impl BufRead + Send + 'static,
        name: &Path,
        format: TextFormat,
        field: Option<&str>,
    ) -> Result<Self, Error> {
        if let Some(format) = format.with_columns() {
            return Self::from_rows(format.rows(reader, name)?, name, field);
        }
        let path = name.to_owned();
        let (reader, offset) =
            without_bom(reader).map_err(|source| Error::Io { path: path.clone(), source })?;
        Ok(Self { texts: Box::new(Lines { reader, path, line: 0, offset }), failed: false })
    }

    fn from_rows(mut rows: Rows, path: &Path, field: Option<&str>) -> Result<Self, Error> {
        let path = path.to_owned();
        let Some(first) = rows.next().transpose()? else {
            return Ok(Self { texts: Box::new(std::iter::empty()), failed: false });
        };
        let field = match &first.cells {
            Ok(cells) => choose_field(cells, field, &path)?,
            Err(fault) => return Err(bad_text(fault.clone(), &path, first.line)),
        };
        let rows = std::iter::once(Ok(first)).chain(rows);
        let texts = rows.map(move |row| row.and_then(|row| text_of(row, &field, &path)));
        Ok(Self { texts: Box::new(texts), failed: false })
    }
}

impl Iterator for Texts {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let text = self.texts.next();
        self.failed = matches!(text, Some(Err(_)));
        text
    }
}

pub(crate) fn choose_field(cells: &Cells, wanted: Option<&str>, path: &Path) -> Result<String, Error> {
    let columns = || cells.keys().cloned().collect::<Vec<_>>();
    if let Some(wanted) = wanted {
        let unknown =
            || Error::UnknownColumn { path: path.to_owned(), column: wanted.to_owned(), columns: columns() };
        return cells.contains_key(wanted).then(|| wanted.to_owned()).ok_or_else(unknown);
    }
    if cells.contains_key("text") {
        return Ok("text".to_owned());
    }
    let mut of_text = cells.iter().filter(|(_, value)| value.is_string()).map(|(name, _)| name);
    match (of_text.next(), of_text.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => Err(Error::NoTextColumn { path: path.to_owned(), columns: columns() }),
    }
}

pub(crate) fn text_of(row: Row, field: &str, path: &Path) -> Result<String, Error> {
    let line = row.line;
    let mut cells = row.cells.map_err(|fault| bad_text(fault, path, line))?;
    match cells.get_mut(field).map(Value::take) {
        Some(Value::String(text)) => Ok(text),
        None | Some(Value::Null) => Err(bad_text(Fault::column(field, Reason::Missing), path, line)),
        Some(other) => {
            let reason = Reason::WrongType { expected: "a text".to_owned(), found: format!("`{other}`") };
            Err(bad_text(Fault::column(field, reason), path, line))
        }
    }
}

pub(crate) fn bad_text(fault: Fault, path: &Path, line: u64) -> Error {
    Error::BadText { bad: Box::new(fault.at(path, line)) }
}

struct Lines<R> {
    reader: R,
    path: PathBuf,
    line: u64,
    offset: u64,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::new();
        let start = self.offset;
        match self.reader.read_until(b'\n', &mut bytes) {
            Ok(0) => return None,
            Ok(read) => self.offset += read as u64,
            Err(source) => return Some(Err(Error::Io { path: self.path.clone(), source })),
        }
        self.line += 1;
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        Some(String::from_utf8(bytes).map_err(|error| {
            let byte = start + error.utf8_error().valid_up_to() as u64;
            bad_text(Fault::row(Reason::NotUtf8 { byte }), &self.path, self.line)
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(format: TextFormat, bytes: &'static [u8], field: Option<&str>) -> Result<Vec<String>, String> {
        Texts::from_reader(bytes, Path::new("stdin"), format, field)
            .and_then(Iterator::collect)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_line_is_a_text_the_empty_one_too() {
        let lines = texts(TextFormat::Lines, b"\xef\xbb\xbfone\r\n\n three", None).unwrap();
        assert_eq!(lines, ["one", "", " three"]);
    }

    #[test]
    fn the_field_is_text_or_the_only_one_or_named() {
        assert_eq!(texts(TextFormat::Jsonl, b"{\"id\": 1, \"body\": \"a\"}\n", None).unwrap(), ["a"]);
        assert_eq!(texts(TextFormat::Jsonl, b"{\"title\": \"t\", \"text\": \"a\"}\n", None).unwrap(), ["a"]);
        assert_eq!(texts(TextFormat::Jsonl, b"\"a\"\n\"b\"\n", None).unwrap(), ["a", "b"]);
        assert_eq!(texts(TextFormat::Csv, b"id,body\n1,\"a\nb\"\n", Some("body")).unwrap(), ["a\nb"]);
        assert_eq!(texts(TextFormat::Csv, b"", None).unwrap(), Vec::<String>::new());
        assert_eq!(
            texts(TextFormat::Tsv, b"id\tbody\n1\ta\n", None).unwrap_err(),
            "`stdin`: which column holds the texts? there are `id`, `body`; name one with `--field`"
        );
        assert_eq!(
            texts(TextFormat::Csv, b"id,body\n1,a\n", Some("txt")).unwrap_err(),
            "`stdin`: no column `txt`; there are `id`, `body`"
        );
    }

    #[test]
    fn a_bad_text_names_its_line_and_ends_the_stream() {
        let bytes: &[u8] = b"one\ntw\xff\nthree\n";
        let mut lines = Texts::from_reader(bytes, Path::new("stdin"), TextFormat::Lines, None).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "one");
        let message = lines.next().unwrap().unwrap_err().to_string();
        assert!(message.starts_with("stdin:2: not UTF-8 near byte 6 of the file"), "{message}");
        assert!(lines.next().is_none());
        assert_eq!(
            texts(TextFormat::Jsonl, b"{\"text\": \"a\"}\n{\"text\": 5}\n", None).unwrap_err(),
            "stdin:2: column `text`: expected a text, found `5`"
        );
    }
}
