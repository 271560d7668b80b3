//! JSON files of a model folder.

use std::path::Path;

use serde_json::Value;

use crate::Error;

pub(super) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

pub(super) fn json(path: &Path) -> Result<Value, Error> {
    let bytes = std::fs::read(path).map_err(Error::read(path))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.to_owned(), source })
}

pub(super) fn optional(path: &Path) -> Result<Value, Error> {
    if path.is_file() { json(path) } else { Ok(Value::Null) }
}
