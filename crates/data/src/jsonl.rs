//! Rows of JSON Lines: one object per line; a bare array stands for `texts`, a bare string for `text`.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bad_row::{Fault, Reason};
use crate::error::Error;
use crate::format::{Cells, Row, Rows, Span};

/// The rows of `reader`, whose first byte stands at `offset` of the file.
pub(crate) fn rows(reader: impl BufRead + Send + 'static, path: &Path, offset: u64) -> Rows {
    Box::new(Lines { reader, path: path.to_owned(), line: 0, offset, buffer: Vec::new() })
}

struct Lines<R> {
    reader: R,
    path: PathBuf,
    line: u64,
    offset: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.buffer.clear();
            let start = self.offset;
            match self.reader.read_until(b'\n', &mut self.buffer) {
                Ok(0) => return None,
                Ok(read) => self.offset += read as u64,
                Err(source) => return Some(Err(Error::Io { path: self.path.clone(), source })),
            }
            self.line += 1;
            if !self.buffer.trim_ascii().is_empty() {
                let span = Some(Span { offset: start, bytes: self.buffer.len() as u64 });
                return Some(Ok(Row { line: self.line, span, cells: parse(&self.buffer, start) }));
            }
        }
    }
}

fn parse(line: &[u8], start: u64) -> Result<Cells, Fault> {
    let text = std::str::from_utf8(line)
        .map_err(|error| Fault::row(Reason::NotUtf8 { byte: start + error.valid_up_to() as u64 }))?;
    match serde_json::from_str(text.trim_end()) {
        Ok(Value::Object(cells)) => Ok(cells),
        Ok(value @ Value::Array(_)) => Ok(Cells::from_iter([("texts".to_owned(), value)])),
        Ok(value @ Value::String(_)) => Ok(Cells::from_iter([("text".to_owned(), value)])),
        Ok(_) => Err(invalid("expected an object".to_owned())),
        Err(error) => Err(invalid(explain(text, &error))),
    }
}

fn invalid(detail: String) -> Fault {
    Fault::row(Reason::InvalidJson { detail })
}

/// serde_json's message with the column only (its line is always 1), and the two usual causes named.
fn explain(text: &str, error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let hint = if text.trim_start().starts_with('[') {
        "; one object per line is needed: `jq -c '.[]'` turns an array into that"
    } else if text.contains("NaN") || text.contains("Infinity") {
        "; NaN and Infinity are no numbers"
    } else {
        ""
    };
    format!("{message} at character {}{hint}", error.column())
}
