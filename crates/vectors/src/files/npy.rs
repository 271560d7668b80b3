//! NumPy's array file (format version 1.0), with a header of fixed length so that the row count can be patched.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::floats::Dtype;
use super::{Format, parse_provenance};
use crate::{Embeddings, Error, Provenance, Result};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Room for any row count; NumPy aligns to 64 anyway.
const HEADER_BYTES: usize = 128;

/// The bytes before the first value.
pub(super) fn header(rows: usize, dim: usize) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend([1, 0]);
    header.extend(((HEADER_BYTES - 10) as u16).to_le_bytes());
    header.extend(format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}").bytes());
    header.resize(HEADER_BYTES - 1, b' ');
    header.push(b'\n');
    header
}

/// The file beside `NAME.npy` that tells its origin: a `.npy` header has no room for it.
fn provenance_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

/// Forgets the origin of an older file of that name, so that it is never taken for that of new vectors.
pub(super) fn remove_provenance(path: &Path) -> Result<()> {
    let path = provenance_path(path);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Write { path, source }),
        _ => Ok(()),
    }
}

pub(super) fn write_provenance(path: &Path, provenance: &Provenance) -> Result<()> {
    let path = provenance_path(path);
    let written = File::create(&path).and_then(|mut file| writeln!(file, "{}", provenance.to_json()));
    written.map_err(|source| Error::Write { path, source })
}

pub(super) fn read_provenance(path: &Path) -> Result<Option<Provenance>> {
    let path = provenance_path(path);
    match std::fs::read_to_string(&path) {
        Ok(json) => parse_provenance(&path, Format::Npy, Some(&json)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path, source }),
    }
}

pub(super) fn read(path: &Path) -> Result<Embeddings> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let malformed = |reason: String| Error::Malformed { path: path.to_owned(), format: Format::Npy, reason };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut input = BufReader::new(file);
    let text = read_header(&mut input)
        .map_err(|error| malformed(format!("its header is cut or damaged: {error}")))?;
    let text = text.ok_or_else(|| malformed("it does not begin like one".to_owned()))?;
    let array = parse_header(&text).map_err(malformed)?;
    let values = array.rows.checked_mul(array.dim).filter(|&values| {
        let expected =
            values.checked_mul(array.dtype.bytes()).and_then(|bytes| bytes.checked_add(text.len()));
        expected.is_some_and(|bytes| bytes as u64 <= length)
    });
    let values = values.ok_or_else(|| {
        malformed(format!(
            "its header promises {} rows of {}, but the file ends before",
            array.rows, array.dim
        ))
    })?;
    let values = array.dtype.read(&mut input, values).map_err(failed)?;
    Embeddings::from_values(array.dim, values)
}

/// The header's dictionary as text; none when the file is of another kind.
fn read_header(input: &mut impl Read) -> std::io::Result<Option<String>> {
    let mut start = [0; 8];
    input.read_exact(&mut start)?;
    if start[..6] != *MAGIC {
        return Ok(None);
    }
    let length = if start[6] == 1 {
        let mut bytes = [0; 2];
        input.read_exact(&mut bytes)?;
        u64::from(u16::from_le_bytes(bytes))
    } else {
        let mut bytes = [0; 4];
        input.read_exact(&mut bytes)?;
        u64::from(u32::from_le_bytes(bytes))
    };
    let mut text = String::new();
    input.take(length).read_to_string(&mut text)?;
    Ok(Some(text))
}

#[derive(Debug, PartialEq)]
struct Array {
    dtype: Dtype,
    rows: usize,
    dim: usize,
}

/// Reads the Python dictionary that NumPy writes; only its three keys matter.
fn parse_header(text: &str) -> std::result::Result<Array, String> {
    let after = |key: &str| {
        let start = text.find(key).ok_or(format!("its header has no {key}"))?;
        Ok::<_, String>(text[start + key.len()..].trim_start_matches([':', ' ']))
    };
    let descr = after("'descr'")?.trim_start_matches('\'');
    let dtype = match descr.get(..3) {
        Some("<f4") => Dtype::F32,
        Some("<f2") => Dtype::F16,
        Some("<f8") => Dtype::F64,
        _ => {
            let found = descr.split('\'').next().unwrap_or_default();
            return Err(format!("its numbers are `{found}`, expected <f4, <f2 or <f8: save it as float32"));
        }
    };
    if !after("'fortran_order'")?.starts_with("False") {
        return Err("it is in Fortran order: save numpy.ascontiguousarray(..)".to_owned());
    }
    let shape = after("'shape'")?.trim_start_matches('(').split(')').next().unwrap_or_default();
    let sizes: Vec<_> = shape.split(',').map(str::trim).filter(|size| !size.is_empty()).collect();
    match sizes.iter().map(|size| size.parse()).collect::<std::result::Result<Vec<_>, _>>().as_deref() {
        Ok(&[rows, dim]) => Ok(Array { dtype, rows, dim }),
        _ => Err(format!("its shape is ({shape}), expected (rows, dim)")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_header_has_one_length_for_any_row_count() {
        for rows in [0, 7, usize::MAX] {
            let header = header(rows, 4096);
            assert_eq!(header.len(), HEADER_BYTES);
            let text = String::from_utf8(header[10..].to_vec()).unwrap();
            assert_eq!(parse_header(&text).unwrap(), Array { dtype: Dtype::F32, rows, dim: 4096 });
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let of = |descr: &str, order: &str, shape: &str| {
            parse_header(&format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"))
        };
        assert!(of("<f2", "False", "(3, 2)").is_ok());
        assert!(of("<i4", "False", "(3, 2)").unwrap_err().contains("<i4"));
        assert!(of("<f4", "True", "(3, 2)").unwrap_err().contains("Fortran"));
        assert!(of("<f4", "False", "(3,)").unwrap_err().contains("(3,)"));
    }
}
