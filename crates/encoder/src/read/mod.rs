//! A model folder becomes an encoder: sentence-transformers folders of both schemas, plain transformers folders.
//!
//! Nothing from a folder is ever executed; class paths in `modules.json` are only compared by their last part.

mod chain;
mod contract;
mod json;
mod module_config;
mod origin;

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::Device;
use serde_json::json;
use temper_kernels::Pool;

use crate::architecture::Transformer;
use crate::encoder::Encoder;
use crate::network::{Dense, Network};
use crate::tokenizing::Tokenizer;
use crate::weights::{NamedTensor, Weights};
use crate::{Error, parameters};

use chain::chain;
use contract::{Drafted, contract};
use json::{json, optional};

pub use chain::SETTINGS;
pub(crate) use chain::TRANSFORMERS;
pub use origin::{Origin, Origins};

/// How to read a folder.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Pooling of a plain transformers folder, which does not say.
    pub pooling: Option<Pool>,
    /// Longest input in tokens, in place of the folder's.
    pub max_seq_length: Option<usize>,
    /// Cut vectors to this many dimensions, in place of the folder's setting.
    pub truncate_dim: Option<usize>,
}

/// What was read, and what the reader had to guess.
pub struct Loaded {
    /// The encoder.
    pub encoder: Encoder,
    /// What its contract rests on.
    pub origins: Origins,
    /// One line each: guesses, presets and ignored fields.
    pub warnings: Vec<String>,
}

/// Reads the model in `folder`.
pub fn read(folder: &Path, options: &ReadOptions, device: &Device) -> Result<Loaded, Error> {
    let mut chain = chain(folder)?;
    let table = chain.table.take();
    let root = &chain.transformer;
    let config = match &table {
        // Such a model has no config, or one that says nothing of its shape.
        Some(NamedTensor { shape, .. }) => {
            json!({"model_type": "model2vec", "vocab_size": shape[0], "hidden_size": shape[1]})
        }
        None => json(&root.join("config.json"))?,
    };
    let Drafted { contract, origins, warnings } = contract(folder, &chain, &config, options)?;
    let tokenizer = Tokenizer::read(root, optional(&root.join("tokenizer_config.json"))?)?;
    let vocab_size = contract.transformer().shape().vocab_size;
    if tokenizer.vocab_size() > vocab_size {
        return Err(Error::model(
            root,
            format!(
                "the tokenizer has {} tokens but `vocab_size` in config.json is {}, so they belong to different models; \
                 copy the tokenizer that came with these weights",
                tokenizer.vocab_size(),
                vocab_size
            ),
        ));
    }
    let mut weights = match table {
        Some(table) => Weights::from_tensors(root.join("model.safetensors"), std::iter::once(table)),
        None => Weights::read(root)?,
    };
    for prefix in PREFIXES {
        weights.strip_prefix(prefix);
    }
    let transformer = parameters::load(contract.transformer().empty(device), &mut weights)?;
    let carried = carried(&transformer, weights)?;
    let dense = chain
        .dense
        .iter()
        .zip(contract.dense())
        .map(|(path, spec)| parameters::load(Dense::empty(spec, device), &mut Weights::read(path)?))
        .collect::<Result<_, _>>()?;
    let mut encoder = Encoder::new(contract, tokenizer, Network { transformer, dense }, config)?;
    encoder.carry(carried);
    Ok(Loaded { encoder, origins, warnings })
}

/// What the names of the transformer's tensors begin with in models that were saved with a head.
const PREFIXES: [&str; 6] = ["bert.", "roberta.", "distilbert.", "mpnet.", "new.", "model."];

/// Tensors that temper does not compute with but writes again (the pooler). One that lies in a part of the transformer
/// and has no place there is an error: the config would silently drop a part of the model.
fn carried(transformer: &Transformer, weights: Weights) -> Result<Vec<NamedTensor>, Error> {
    let path = weights.path().to_owned();
    let part = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let parts: BTreeSet<String> = parameters::names(transformer).iter().map(|name| part(name)).collect();
    let rest: Vec<_> = weights.rest().collect();
    // Buffers that follow from the config.
    let buffer = |name: &str| name.ends_with("inv_freq");
    if let Some(t) = rest.iter().find(|t| parts.contains(&part(&t.name)) && !buffer(&t.name)) {
        return Err(Error::weights(
            &path,
            format!("tensor `{}` has no place in the model that config.json describes", t.name),
        ));
    }
    Ok(rest.into_iter().filter(|t| t.name.starts_with("pooler.")).collect())
}
