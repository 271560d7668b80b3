//! Rows of any supported format, as maps from column to value, one at a time.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use serde_json::{Map, Value};

use crate::bad_row::Fault;
use crate::error::Error;
use crate::{delimited, jsonl};

/// The values of one row by column.
pub(crate) type Cells = Map<String, Value>;

/// One row of a file: its values, or what is wrong with it as a whole.
pub(crate) struct Row {
    pub(crate) line: u64,
    /// Where it stands; none where rows are not in one piece.
    pub(crate) span: Option<Span>,
    pub(crate) cells: Result<Cells, Fault>,
}

/// A piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// The rows of a file; an error ends them.
pub(crate) type Rows = Box<dyn Iterator<Item = Result<Row, Error>> + Send>;

/// The formats whose rows have named columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Jsonl,
    Csv,
    Tsv,
    Parquet,
}

impl Format {
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match extension.as_str() {
            "jsonl" | "ndjson" | "json" => Ok(Self::Jsonl),
            "csv" => Ok(Self::Csv),
            "tsv" => Ok(Self::Tsv),
            "parquet" => Ok(Self::Parquet),
            _ => Err(Error::UnknownFormat { path: path.to_owned(), extension }),
        }
    }

    /// Opens a file of this format.
    pub(crate) fn open(self, path: &Path) -> Result<Rows, Error> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        match self {
            Self::Parquet => parquet_rows(file, path),
            _ => self.rows(BufReader::with_capacity(1 << 16, file), path),
        }
    }

    /// The rows of a stream; Parquet needs a file, because its index stands at the end.
    pub(crate) fn rows(self, reader: impl BufRead + Send + 'static, path: &Path) -> Result<Rows, Error> {
        let (reader, offset) =
            without_bom(reader).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        match self {
            Self::Jsonl => Ok(jsonl::rows(reader, path, offset)),
            Self::Csv => delimited::rows(reader, path, offset, b','),
            Self::Tsv => delimited::rows(reader, path, offset, b'\t'),
            Self::Parquet => Err(Error::UnknownFormat { path: path.to_owned(), extension: "parquet".into() }),
        }
    }
}

/// The stream behind a UTF-8 byte order mark, which spreadsheets like to write, and how many bytes that was.
pub(crate) fn without_bom(mut reader: impl BufRead) -> io::Result<(impl BufRead, u64)> {
    let mut head = Vec::with_capacity(3);
    reader.by_ref().take(3).read_to_end(&mut head)?;
    let skipped = if head == b"\xef\xbb\xbf" { 3 } else { 0 };
    Ok((Cursor::new(head.split_off(skipped)).chain(reader), skipped as u64))
}

#[cfg(feature = "parquet")]
fn parquet_rows(file: File, path: &Path) -> Result<Rows, Error> {
    crate::parquet_rows::rows(file, path)
}

#[cfg(not(feature = "parquet"))]
fn parquet_rows(_: File, path: &Path) -> Result<Rows, Error> {
    Err(Error::ParquetLeftOut { path: path.to_owned() })
}
