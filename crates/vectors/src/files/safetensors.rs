//! A safetensors file with one tensor, `embeddings`, whose header leaves room for the final row count.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use ::safetensors::tensor::Metadata;
use serde_json::json;

use super::floats::Dtype;
use super::{Format, parse_provenance};
use crate::provenance::METADATA_KEY;
use crate::{Embeddings, Error, Provenance, Result};

const TENSOR: &str = "embeddings";
/// The format's own limit on its header.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The bytes before the first value, of one length for any row count that fits a file.
pub(super) fn header(rows: usize, dim: usize, provenance: &Provenance) -> Vec<u8> {
    let room = header_json(usize::MAX, usize::MAX, dim, provenance).len().next_multiple_of(8);
    let mut header = (room as u64).to_le_bytes().to_vec();
    header.extend(header_json(rows, rows * dim * size_of::<f32>(), dim, provenance).bytes());
    header.resize(8 + room, b' ');
    header
}

fn header_json(rows: usize, bytes: usize, dim: usize, provenance: &Provenance) -> String {
    let tensor = json!({"dtype": "F32", "shape": [rows, dim], "data_offsets": [0, bytes]});
    json!({"__metadata__": {METADATA_KEY: provenance.to_json()}, TENSOR: tensor}).to_string()
}

pub(super) fn read_provenance(path: &Path) -> Result<Option<Provenance>> {
    let (metadata, _) = open(path)?;
    provenance(path, metadata.metadata().as_ref())
}

pub(super) fn read(path: &Path) -> Result<(Embeddings, Option<Provenance>)> {
    let malformed =
        |reason: String| Error::Malformed { path: path.to_owned(), format: Format::Safetensors, reason };
    let (metadata, mut input) = open(path)?;
    let info = metadata.info(TENSOR).ok_or_else(|| malformed(format!("it has no tensor `{TENSOR}`")))?;
    let &[_, dim] = info.shape.as_slice() else {
        return Err(malformed(format!("`{TENSOR}` has shape {:?}, expected [rows, dim]", info.shape)));
    };
    let dtype = match info.dtype {
        ::safetensors::Dtype::F32 => Dtype::F32,
        ::safetensors::Dtype::F16 => Dtype::F16,
        ::safetensors::Dtype::BF16 => Dtype::Bf16,
        ::safetensors::Dtype::F64 => Dtype::F64,
        other => {
            return Err(malformed(format!("`{TENSOR}` holds {other:?}, expected F32, F16, BF16 or F64")));
        }
    };
    let failed = |source| Error::Read { path: path.to_owned(), source };
    input.seek_relative(info.data_offsets.0 as i64).map_err(failed)?;
    let count = (info.data_offsets.1 - info.data_offsets.0) / dtype.bytes();
    let values = dtype.read(&mut input, count).map_err(failed)?;
    Ok((Embeddings::from_values(dim, values)?, provenance(path, metadata.metadata().as_ref())?))
}

/// Reads and checks the header; the reader is left at the first value.
fn open(path: &Path) -> Result<(Metadata, BufReader<File>)> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let malformed =
        |reason: String| Error::Malformed { path: path.to_owned(), format: Format::Safetensors, reason };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut input = BufReader::new(file);
    let mut promised = [0; 8];
    input.read_exact(&mut promised).map_err(|_| malformed("it is shorter than its header".to_owned()))?;
    let promised = u64::from_le_bytes(promised);
    if promised > MAX_HEADER_BYTES || promised.saturating_add(8) > length {
        return Err(malformed(format!("it promises a header of {promised} bytes and has {length} in all")));
    }
    let mut header = vec![0; promised as usize];
    input.read_exact(&mut header).map_err(failed)?;
    // Parsed here and not by `SafeTensors::read_metadata`, which wants the whole file in memory.
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| malformed(error.to_string()))?;
    let data = metadata.data_len() as u64;
    if 8 + promised + data > length {
        return Err(malformed(format!(
            "it promises {data} bytes of values and ends after {}",
            length - 8 - promised
        )));
    }
    Ok((metadata, input))
}

fn provenance(path: &Path, metadata: Option<&HashMap<String, String>>) -> Result<Option<Provenance>> {
    let json = metadata.and_then(|metadata| metadata.get(METADATA_KEY));
    parse_provenance(path, Format::Safetensors, json.map(String::as_str))
}
