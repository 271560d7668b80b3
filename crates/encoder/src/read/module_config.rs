//! The `config.json` of a Pooling and of a Dense module, in the spellings of old and new sentence-transformers.

use std::path::Path;

use serde_json::Value;
use temper_kernels::{Activation, Pool};

use super::json::{json, text};
use crate::Error;
use crate::contract::{DenseSpec, POOL_FLAGS, POOL_NAMES, PoolingSpec, pool_from_name};

/// `1_Pooling/config.json`: a `pooling_mode` (since 5.4) or one boolean a mode.
pub(super) fn pooling(path: &Path) -> Result<PoolingSpec, Error> {
    let config = json(path)?;
    let dim = config
        .get("embedding_dimension")
        .or_else(|| config.get("word_embedding_dimension"))
        .and_then(Value::as_u64)
        .ok_or_else(|| Error::model(path, "field `word_embedding_dimension` is missing"))?
        as usize;
    if config.get("include_prompt") == Some(&Value::Bool(false)) {
        return Err(Error::model(
            path,
            "field `include_prompt` is false; temper pools the prompt's tokens too",
        ));
    }
    let known = ["embedding_dimension", "word_embedding_dimension", "include_prompt", "pooling_mode"];
    for key in config.as_object().into_iter().flat_map(serde_json::Map::keys) {
        if !known.contains(&key.as_str()) && !POOL_FLAGS.iter().any(|(flag, _)| flag == key) {
            return Err(Error::model(path, format!("unknown field `{key}`; it may change the pooling")));
        }
    }
    let pools: Vec<Pool> = match config.get("pooling_mode") {
        Some(mode) => {
            let names = mode.as_array().cloned().unwrap_or_else(|| vec![mode.clone()]);
            let name = |n: &Value| n.as_str().and_then(pool_from_name);
            names.iter().map(name).collect::<Option<_>>().ok_or_else(|| {
                Error::model(path, format!("field `pooling_mode` is {mode}; known: {POOL_NAMES}"))
            })?
        }
        None => POOL_FLAGS
            .iter()
            .filter(|(flag, _)| config.get(*flag) == Some(&Value::Bool(true)))
            .map(|(_, pool)| *pool)
            .collect(),
    };
    if pools.is_empty() {
        return Err(Error::model(path, "no pooling mode is on"));
    }
    Ok(PoolingSpec { dim, pools })
}

/// `2_Dense/config.json`.
pub(super) fn dense(path: &Path) -> Result<DenseSpec, Error> {
    let config = json(path)?;
    let width = |name: &str| {
        config
            .get(name)
            .and_then(Value::as_u64)
            .map(|n| n as usize)
            .ok_or_else(|| Error::model(path, format!("field `{name}` is missing")))
    };
    for name in ["module_input_name", "module_output_name"] {
        if let Some(other) = text(&config, name).filter(|n| *n != "sentence_embedding") {
            return Err(Error::model(
                path,
                format!("field `{name}` is `{other}`; temper applies Dense to the pooled vector"),
            ));
        }
    }
    let class = text(&config, "activation_function").unwrap_or("torch.nn.modules.linear.Identity");
    let activation = match class.rsplit('.').next().unwrap_or_default() {
        "Identity" => Activation::Identity,
        "Tanh" => Activation::Tanh,
        "ReLU" => Activation::Relu,
        "GELU" => Activation::Gelu,
        "SiLU" => Activation::Silu,
        _ => {
            let problem =
                format!("field `activation_function` is `{class}`; known: Identity, Tanh, ReLU, GELU, SiLU");
            return Err(Error::model(path, problem));
        }
    };
    Ok(DenseSpec {
        in_features: width("in_features")?,
        out_features: width("out_features")?,
        bias: config.get("bias").and_then(Value::as_bool).unwrap_or(true),
        activation,
    })
}
