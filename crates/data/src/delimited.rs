//! Rows of CSV and TSV with a header; quotes work as spreadsheets write them, in both.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ByteRecordsIntoIter, ReaderBuilder};
use serde_json::Value;

use crate::bad_row::{Fault, Reason};
use crate::error::Error;
use crate::format::{Cells, Row, Rows};

/// The rows of `reader`, whose first byte stands at `offset` of the file.
pub(crate) fn rows(
    reader: impl BufRead + Send + 'static,
    path: &Path,
    offset: u64,
    delimiter: u8,
) -> Result<Rows, Error> {
    let mut csv = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(reader);
    let header = csv.byte_headers().map_err(|error| io_error(path, error))?;
    let header = names(header, offset).map_err(|fault| Error::Header { bad: fault.at(path, 1) })?;
    Ok(Box::new(Records { records: csv.into_byte_records(), header, path: path.to_owned(), offset }))
}

fn names(header: &ByteRecord, offset: u64) -> Result<Vec<String>, Fault> {
    let names: Vec<String> = header
        .iter()
        .map(|field| text(field, offset).map(|name| name.trim().to_owned()))
        .collect::<Result<_, _>>()?;
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            let expected = "a name used once".to_owned();
            return Err(Fault::column(
                name,
                Reason::WrongType { expected, found: "the name twice".to_owned() },
            ));
        }
    }
    Ok(names)
}

struct Records<R> {
    records: ByteRecordsIntoIter<R>,
    header: Vec<String>,
    path: PathBuf,
    offset: u64,
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = match self.records.next()? {
            Ok(record) => record,
            Err(error) => return Some(Err(io_error(&self.path, error))),
        };
        let (line, byte) = record.position().map_or((0, 0), |position| (position.line(), position.byte()));
        let lines = self.records.reader().position().line() - line;
        Some(Ok(Row { line, cells: cells(&record, &self.header, byte + self.offset, lines) }))
    }
}

fn cells(record: &ByteRecord, header: &[String], byte: u64, lines: u64) -> Result<Cells, Fault> {
    if record.len() != header.len() {
        let (expected, found, spans_lines) = (header.len(), record.len(), lines > 1);
        return Err(Fault::row(Reason::FieldCount { expected, found, spans_lines }));
    }
    header
        .iter()
        .zip(record)
        .map(|(name, field)| {
            let value = text(field, byte).map_err(|fault| Fault::column(name, fault.reason))?;
            Ok((name.clone(), Value::String(value)))
        })
        .collect()
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
