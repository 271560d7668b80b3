//! Rows of CSV and TSV with a header; quotes work as spreadsheets write them, in both.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ByteRecordsIntoIter, ReaderBuilder, Terminator};
use serde_json::Value;

use crate::bad_row::{Fault, Reason};
use crate::error::Error;
use crate::format::{Cells, Row, Rows, Span};

/// The rows of `reader`, whose first byte stands at `offset` of the file.
pub(crate) fn rows(
    reader: impl BufRead + Send + 'static,
    path: &Path,
    offset: u64,
    delimiter: u8,
) -> Result<Rows, Error> {
    // Every row ends with exactly one \n, so that the reader's line after a row tells where the row was; a
    // line end of \r\n leaves its \r in the last field.
    let reader = reader.chain(&b"\n"[..]);
    let terminator = Terminator::Any(b'\n');
    let mut csv = ReaderBuilder::new();
    csv.delimiter(delimiter).terminator(terminator).flexible(true).has_headers(false);
    let mut rows = csv.from_reader(reader).into_byte_records();
    let Some(header) = rows.next() else { return Ok(Box::new(std::iter::empty())) };
    let header = header.map_err(|error| io_error(path, error))?;
    let header =
        names(&header, offset).map_err(|fault| Error::Header { bad: Box::new(fault.at(path, 1)) })?;
    Ok(Box::new(Records { rows, header, path: path.to_owned(), offset }))
}

fn names(header: &ByteRecord, offset: u64) -> Result<Vec<String>, Fault> {
    let mut names: Vec<String> = Vec::new();
    for field in header {
        let name = text(field, offset)?.trim().to_owned();
        if names.contains(&name) {
            return Err(Fault::column(&name, Reason::NamedTwice));
        }
        names.push(name);
    }
    Ok(names)
}

struct Records<R> {
    rows: ByteRecordsIntoIter<R>,
    header: Vec<String>,
    path: PathBuf,
    offset: u64,
}

impl<R: Read> Iterator for Records<R> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let record = match self.rows.next()? {
                Ok(record) => record,
                Err(error) => return Some(Err(io_error(&self.path, error))),
            };
            if record.len() == 1 && record[0].trim_ascii().is_empty() && self.header.len() > 1 {
                continue;
            }
            let newlines: usize =
                record.iter().map(|field| field.split(|&byte| byte == b'\n').count() - 1).sum();
            let line = self.rows.reader().position().line() - 1 - newlines as u64;
            let byte = self.offset + record.position().map_or(0, csv::Position::byte);
            let end = self.offset + self.rows.reader().position().byte();
            let span = Some(Span { offset: byte, bytes: end - byte });
            return Some(Ok(Row { line, span, cells: cells(&record, &self.header, byte, newlines > 0) }));
        }
    }
}

fn cells(record: &ByteRecord, header: &[String], byte: u64, spans_lines: bool) -> Result<Cells, Fault> {
    let (expected, found) = (header.len(), record.len());
    if expected != found {
        return Err(Fault::row(Reason::FieldCount { expected, found, spans_lines }));
    }
    let mut cells = Cells::with_capacity(expected);
    for (place, (name, mut field)) in header.iter().zip(record).enumerate() {
        if place + 1 == expected {
            field = field.strip_suffix(b"\r").unwrap_or(field);
        }
        let value = text(field, byte).map_err(|fault| Fault::column(name, fault.reason))?;
        cells.insert(name.clone(), Value::String(value));
    }
    Ok(cells)
}

fn text(field: &[u8], byte: u64) -> Result<String, Fault> {
    std::str::from_utf8(field).map(str::to_owned).map_err(|_| Fault::row(Reason::NotUtf8 { byte }))
}

/// A flexible byte reader can only fail to read.
fn io_error(path: &Path, error: csv::Error) -> Error {
    let source = match error.into_kind() {
        csv::ErrorKind::Io(source) => source,
        other => std::io::Error::other(format!("{other:?}")),
    };
    Error::Io { path: path.to_owned(), source }
}
