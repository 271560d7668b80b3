//! The table of a static model: one vector a token, in the files of sentence-transformers' `StaticEmbedding` and of
//! model2vec.

use std::path::Path;

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensors};
use temper_kernels::with_mapped;

use super::NamedTensor;
use super::cursor::Problem;
use super::precision::to_f32;
use crate::Error;

/// Reads `model.safetensors` of a folder as `embedding.weight`, a row for each token.
///
/// A model2vec file may share rows among tokens (`mapping`), weigh them (`weights`) and hold them as bytes; the row of
/// token `t` is `embeddings[mapping[t]] * weights[t]`.
pub(crate) fn read(folder: &Path) -> Result<NamedTensor, Error> {
    let path = folder.join("model.safetensors");
    let parsed = with_mapped(&path, parse).map_err(Error::read(&path))?;
    parsed.map_err(|problem| Error::weights(&path, problem))
}

fn parse(bytes: &[u8]) -> Result<NamedTensor, Problem> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| format!("not a whole safetensors file ({e}); was the download or copy cut off?"))?;
    let tensor = |name: &str| file.tensor(name).ok();
    let table = tensor("embedding.weight").or_else(|| tensor("embeddings"));
    let table = table.ok_or("holds neither `embedding.weight` nor `embeddings`")?;
    let &[rows, dim] = table.shape() else {
        return Err(format!("the table has shape {:?}, expected a row for each token", table.shape()));
    };
    let values = numbers(&table)?;
    let mapping = match tensor("mapping") {
        Some(mapping) => integers(&mapping)?,
        None => (0..rows as i64).collect(),
    };
    let weights = tensor("weights").map(|weights| numbers(&weights)).transpose()?;
    if let Some(found) = weights.as_ref().map(Vec::len).filter(|found| *found != mapping.len()) {
        return Err(format!("`weights` has {found} entries for {} tokens", mapping.len()));
    }
    let mut joined = Vec::with_capacity(mapping.len() * dim);
    for (token, row) in mapping.iter().enumerate() {
        let row = usize::try_from(*row).ok().filter(|row| *row < rows);
        let row = row.ok_or_else(|| format!("`mapping` sends token {token} to a row that is not there"))?;
        let weight = weights.as_ref().map_or(1.0, |weights| weights[token]);
        joined.extend(values[row * dim..(row + 1) * dim].iter().map(|value| value * weight));
    }
    Ok(NamedTensor { name: "embedding.weight".to_owned(), shape: vec![mapping.len(), dim], values: joined })
}

fn numbers(tensor: &TensorView<'_>) -> Result<Vec<f32>, Problem> {
    match tensor.dtype() {
        Dtype::I8 => Ok(tensor.data().iter().map(|byte| f32::from(*byte as i8)).collect()),
        dtype => to_f32(dtype, tensor.data()).ok_or_else(|| format!("holds numbers of type {dtype:?}")),
    }
}

fn integers(tensor: &TensorView<'_>) -> Result<Vec<i64>, Problem> {
    let data = tensor.data();
    match tensor.dtype() {
        Dtype::I64 => Ok(bytemuck::pod_collect_to_vec(data)),
        Dtype::I32 => Ok(bytemuck::pod_collect_to_vec::<u8, i32>(data).into_iter().map(i64::from).collect()),
        dtype => Err(format!("`mapping` holds numbers of type {dtype:?}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(mapping: [i64; 3]) -> Vec<u8> {
        let view = |dtype, shape, data| TensorView::new(dtype, shape, data).unwrap();
        let mapping: &[u8] = bytemuck::cast_slice(&mapping);
        let weights = [1.0f32, 0.5, 2.0];
        let tensors = [
            ("embeddings", view(Dtype::I8, vec![2, 2], &[1, 2, 0xff, 4])),
            ("mapping", view(Dtype::I64, vec![3], mapping)),
            ("weights", view(Dtype::F32, vec![3], bytemuck::cast_slice(&weights))),
        ];
        ::safetensors::serialize(tensors, None).unwrap()
    }

    #[test]
    fn rows_are_shared_weighed_and_bytes() {
        let table = parse(&file([1, 0, 1])).unwrap();
        assert_eq!((table.shape, table.values), (vec![3, 2], vec![-1.0, 4.0, 0.5, 1.0, -2.0, 8.0]));
    }

    #[test]
    fn a_row_that_is_not_there_is_named() {
        assert!(parse(&file([1, 2, 1])).unwrap_err().contains("token 1 to a row that is not there"));
        assert!(parse(&file([1, -1, 1])).unwrap_err().contains("token 1"));
    }
}
