//! An encoder becomes a sentence-transformers folder.
//!
//! The old schema is written, which every reader understands: text-embeddings-inference needs it and newer
//! sentence-transformers converts it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use temper_kernels::Activation;

use crate::architecture::ANY_LENGTH;
use crate::contract::{DenseSpec, ModuleSpec, POOL_FLAGS, PoolingSpec, TruncationSide, pool_name};
use crate::encoder::Encoder;
use crate::weights::{NamedTensor, Precision, serialize};
use crate::{Error, parameters};

/// Every file of the folder, by its path inside it. Same encoder, same bytes.
pub fn files(encoder: &Encoder, precision: Precision) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let contract = &encoder.contract;
    let mut files = BTreeMap::new();
    let mut modules = Vec::new();
    let mut dense = encoder.network.dense.iter();
    // A static model's file implies the mean that follows.
    let implied = usize::from(contract.is_static());
    for (index, module) in contract.modules.iter().skip(implied).enumerate() {
        let (class, path) = match module {
            ModuleSpec::Pooling(_) if contract.is_static() && index == 0 => {
                ("StaticEmbedding", String::new())
            }
            ModuleSpec::Transformer(_) => ("Transformer", String::new()),
            ModuleSpec::Pooling(spec) => {
                let path = format!("{index}_Pooling");
                files.insert(format!("{path}/config.json"), pretty(&pooling_json(spec)));
                ("Pooling", path)
            }
            ModuleSpec::Dense(spec) => {
                let path = format!("{index}_Dense");
                let layer = dense.next().expect("this is a bug: one layer for every Dense of the contract");
                files.insert(format!("{path}/config.json"), pretty(&dense_json(spec)));
                let weights = weight_file(&path, parameters::collect(layer), precision)?;
                files.insert(format!("{path}/model.safetensors"), weights);
                ("Dense", path)
            }
            ModuleSpec::Normalize => ("Normalize", format!("{index}_Normalize")),
        };
        modules.push(json!({
            "idx": index,
            "name": index.to_string(),
            "path": path,
            "type": format!("sentence_transformers.models.{class}"),
        }));
    }
    files.insert("modules.json".into(), pretty(&Value::Array(modules)));
    files.insert("config_sentence_transformers.json".into(), pretty(&sentence_transformers_json(encoder)));
    files.insert("tokenizer.json".into(), pretty(&tokenizer_json(encoder)));
    if !contract.is_static() {
        let settings =
            json!({"max_seq_length": contract.max_seq_length, "do_lower_case": contract.lower_case});
        files.insert("sentence_bert_config.json".into(), pretty(&settings));
        files.insert("config.json".into(), pretty(&transformer_json(encoder, precision)));
        files.insert("tokenizer_config.json".into(), pretty(&tokenizer_config(encoder)));
    }
    let mut tensors = parameters::collect(&encoder.network.transformer);
    tensors.extend_from_slice(encoder.carried());
    files.insert("model.safetensors".into(), weight_file("model", tensors, precision)?);
    Ok(files)
}

/// Writes [`files`] into `folder`.
pub fn write(encoder: &Encoder, folder: &Path, precision: Precision) -> Result<(), Error> {
    for (name, bytes) in files(encoder, precision)? {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(Error::write(parent))?;
        }
        std::fs::write(&path, bytes).map_err(Error::write(&path))?;
    }
    Ok(())
}

fn weight_file(name: &str, tensors: Vec<NamedTensor>, precision: Precision) -> Result<Vec<u8>, Error> {
    serialize(&tensors, precision).map_err(|e| Error::weights(Path::new(name), e.to_string()))
}

/// Booleans, which every reader understands but which have one order; another order needs the newer list.
fn pooling_json(spec: &PoolingSpec) -> Value {
    let ranks: Vec<_> = spec.pools.iter().map(|p| POOL_FLAGS.iter().position(|(_, q)| p == q)).collect();
    if !ranks.is_sorted_by(|a, b| a < b) {
        let names: Vec<_> = spec.pools.iter().map(|p| pool_name(*p)).collect();
        return json!({"embedding_dimension": spec.dim, "pooling_mode": names, "include_prompt": true});
    }
    let mut value = json!({"word_embedding_dimension": spec.dim, "include_prompt": true});
    for (flag, pool) in POOL_FLAGS {
        value[flag] = spec.pools.contains(&pool).into();
    }
    value
}

fn dense_json(spec: &DenseSpec) -> Value {
    let class = match spec.activation {
        Activation::Identity => "torch.nn.modules.linear.Identity",
        Activation::Tanh => "torch.nn.modules.activation.Tanh",
        Activation::Relu => "torch.nn.modules.activation.ReLU",
        Activation::Gelu | Activation::GeluTanh => "torch.nn.modules.activation.GELU",
        Activation::Silu => "torch.nn.modules.activation.SiLU",
    };
    json!({
        "in_features": spec.in_features,
        "out_features": spec.out_features,
        "bias": spec.bias,
        "activation_function": class,
    })
}

fn sentence_transformers_json(encoder: &Encoder) -> Value {
    let contract = &encoder.contract;
    let mut value = json!({
        "__version__": {"temper": env!("CARGO_PKG_VERSION")},
        "prompts": contract.prompts,
        "default_prompt_name": contract.default_prompt,
        "similarity_fn_name": contract.similarity.name(),
    });
    if let Some(dim) = contract.truncate_dim {
        value["truncate_dim"] = dim.into();
    }
    value
}

fn transformer_json(encoder: &Encoder, precision: Precision) -> Value {
    let mut config = encoder.config().clone();
    if let Some(object) = config.as_object_mut() {
        object.shift_remove("dtype");
        object.insert("torch_dtype".into(), precision.torch_name().into());
    }
    config
}

/// The tokenizer with the contract's truncation, so that readers without a contract cut at the same place.
fn tokenizer_json(encoder: &Encoder) -> Value {
    let mut value = encoder.tokenizer().json().clone();
    value["padding"] = Value::Null;
    if encoder.contract.max_seq_length == ANY_LENGTH {
        value["truncation"] = Value::Null;
        return value;
    }
    value["truncation"] = json!({
        "direction": match encoder.contract.truncation_side {
            TruncationSide::Left => "Left",
            TruncationSide::Right => "Right",
        },
        "max_length": encoder.contract.max_seq_length,
        "strategy": "LongestFirst",
        "stride": 0,
    });
    value
}

fn tokenizer_config(encoder: &Encoder) -> Value {
    let mut value = match encoder.tokenizer().config() {
        Value::Null => json!({
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": true,
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "mask_token": "[MASK]",
        }),
        read => read.clone(),
    };
    value["model_max_length"] = encoder.contract.max_seq_length.into();
    value
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = format!("{value:#}").into_bytes();
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use temper_kernels::Pool;

    use super::*;

    #[test]
    fn the_order_of_a_concatenation_survives() {
        let spec = |pools: &[Pool]| PoolingSpec { dim: 4, pools: pools.to_vec() };
        let usual = pooling_json(&spec(&[Pool::Cls, Pool::Mean]));
        assert_eq!(usual["pooling_mode_cls_token"], true);
        assert_eq!(usual["pooling_mode_max_tokens"], false);
        let other = pooling_json(&spec(&[Pool::Mean, Pool::Cls]));
        assert_eq!(other["pooling_mode"], json!(["mean", "cls"]));
    }
}
