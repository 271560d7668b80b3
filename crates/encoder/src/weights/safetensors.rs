//! Safetensors files, read and written.

use ::safetensors::tensor::TensorView;
use ::safetensors::{SafeTensorError, SafeTensors};
use rayon::prelude::*;

use super::cursor::Problem;
use super::precision::{Precision, to_f32};
use super::{Dtypes, NamedTensor, Tensors};

/// The float tensors of a file.
pub(super) fn parse(bytes: &[u8]) -> Result<Tensors, Problem> {
    let tensors = opened(bytes)?.tensors().into_par_iter().filter_map(|(name, view)| {
        let values = to_f32(view.dtype(), view.data())?;
        Some((name, (view.shape().to_vec(), values)))
    });
    Ok(tensors.collect())
}

/// The types of all tensors by name.
pub(super) fn dtypes(bytes: &[u8]) -> Result<Dtypes, Problem> {
    Ok(opened(bytes)?.iter().map(|(name, view)| (name.to_owned(), view.dtype())).collect())
}

fn opened(bytes: &[u8]) -> Result<SafeTensors<'_>, Problem> {
    SafeTensors::deserialize(bytes)
        .map_err(|e| format!("not a whole safetensors file ({e}); was the download or copy cut off?"))
}

/// A safetensors file as transformers writes it, tensors in name order.
pub fn serialize(tensors: &[NamedTensor], precision: Precision) -> Result<Vec<u8>, SafeTensorError> {
    let encoded: Vec<_> = tensors.iter().map(|t| (&t.name, &t.shape, precision.encode(&t.values))).collect();
    let views = encoded
        .iter()
        .map(|(name, shape, (dtype, bytes))| {
            TensorView::new(*dtype, (*shape).clone(), bytes).map(|view| (*name, view))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    ::safetensors::serialize(views, Some(metadata))
}
