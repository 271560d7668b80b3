//! A model folder becomes an encoder: sentence-transformers folders of both schemas, plain transformers folders.
//!
//! Nothing from a folder is ever executed; class paths in `modules.json` are only compared by their last part.

mod chain;
mod json;
mod module_config;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::tensor::Device;
use serde_json::{Value, json};
use temper_kernels::Pool;
use temper_vectors::Similarity;

use crate::architecture::{Transformer, TransformerConfig};
use crate::contract::{Contract, ModuleSpec, TruncationSide};
use crate::encoder::Encoder;
use crate::network::{Dense, Network};
use crate::tokenizing::Tokenizer;
use crate::weights::{NamedTensor, Weights};
use crate::{Error, parameters};

use chain::{Chain, Module, chain};
use json::{json, optional, text};

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
    /// One line each: guesses and ignored fields.
    pub warnings: Vec<String>,
}

/// Reads the model in `folder`.
pub fn read(folder: &Path, options: &ReadOptions, device: &Device) -> Result<Loaded, Error> {
    let mut warnings = Vec::new();
    let mut chain = chain(folder, options, &mut warnings)?;
    let table = chain.table.take();
    let root = &chain.transformer;
    let config_path = root.join("config.json");
    let config = match &table {
        // Such a model has no config, or one that says nothing of its shape.
        Some(NamedTensor { shape, .. }) => {
            json!({"model_type": "model2vec", "vocab_size": shape[0], "hidden_size": shape[1]})
        }
        None => json(&config_path)?,
    };
    let (transformer, unknown) = TransformerConfig::from_json(&config_path, &config)?;
    if !unknown.is_empty() {
        warnings.push(format!(
            "`{}`: fields not known to temper: {}",
            config_path.display(),
            unknown.join(", ")
        ));
    }
    let contract = contract(folder, &chain, transformer, options)?;
    let tokenizer = tokenizer(root)?;
    let vocab_size = contract.transformer().shape().vocab_size;
    if tokenizer.vocab_size() > vocab_size {
        return Err(Error::model(
            root,
            format!(
                "the tokenizer has {} tokens but `vocab_size` in config.json is {}; they belong to different models",
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
    Ok(Loaded { encoder, warnings })
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

fn contract(
    folder: &Path,
    chain: &Chain,
    transformer: TransformerConfig,
    options: &ReadOptions,
) -> Result<Contract, Error> {
    let path = folder.join("config_sentence_transformers.json");
    let st = optional(&path)?;
    let similarity = match text(&st, "similarity_fn_name") {
        None | Some("cosine") => Similarity::Cosine,
        Some("dot") => Similarity::Dot,
        Some("euclidean") => Similarity::Euclidean,
        Some("manhattan") => Similarity::Manhattan,
        Some(other) => return Err(Error::model(&path, format!("field `similarity_fn_name` is `{other}`"))),
    };
    let prompts: BTreeMap<String, String> = match st.get("prompts") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|source| Error::Json { path: path.clone(), source })?,
    };
    let default_prompt = text(&st, "default_prompt_name").map(str::to_owned);
    if let Some(name) = default_prompt.as_ref().filter(|n| !prompts.contains_key(*n)) {
        return Err(Error::model(
            &path,
            format!("field `default_prompt_name` is `{name}`, which is not among `prompts`"),
        ));
    }
    let tokenizer_config = optional(&chain.transformer.join("tokenizer_config.json"))?;
    let from_tokenizer =
        tokenizer_config.get("model_max_length").and_then(Value::as_f64).unwrap_or(f64::INFINITY);
    let positions = transformer.shape().max_tokens;
    let own_limit = chain.settings.get("max_seq_length").and_then(Value::as_u64).map(|n| n as usize);
    let table = if from_tokenizer < positions as f64 { from_tokenizer as usize } else { positions };
    let max_seq_length = options.max_seq_length.or(own_limit).unwrap_or(table);
    if max_seq_length > positions || max_seq_length < 3 {
        return Err(Error::model(
            &chain.transformer,
            format!(
                "`max_seq_length` {max_seq_length} must be between 3 and the model's {positions} positions"
            ),
        ));
    }
    let truncate_dim =
        options.truncate_dim.or_else(|| st.get("truncate_dim").and_then(Value::as_u64).map(|n| n as usize));
    let modules = chain.modules.iter().map(|module| match module {
        Module::Transformer => ModuleSpec::Transformer(transformer.clone()),
        Module::Other(spec) => spec.clone(),
    });
    let contract = Contract {
        modules: modules.collect(),
        max_seq_length,
        truncation_side: match text(&tokenizer_config, "truncation_side") {
            Some("left") => TruncationSide::Left,
            _ => TruncationSide::Right,
        },
        lower_case: chain.settings.get("do_lower_case").and_then(Value::as_bool).unwrap_or(false),
        prompts,
        default_prompt,
        truncate_dim,
        similarity,
    };
    check_widths(folder, &contract)?;
    Ok(contract)
}

/// Every module must take what the one before it gives.
fn check_widths(folder: &Path, contract: &Contract) -> Result<(), Error> {
    let mut width = 0;
    for module in &contract.modules {
        let (name, takes, gives) = match module {
            ModuleSpec::Transformer(c) => ("Transformer", width, c.shape().hidden_size),
            ModuleSpec::Pooling(p) => ("Pooling", p.dim, p.dim * p.pools.len()),
            ModuleSpec::Dense(d) => ("Dense", d.in_features, d.out_features),
            ModuleSpec::Normalize => ("Normalize", width, width),
        };
        if takes != width {
            let problem =
                format!("module {name} takes vectors of width {takes}, but the one before gives {width}");
            return Err(Error::model(folder, problem));
        }
        width = gives;
    }
    match contract.truncate_dim {
        Some(dim) if dim == 0 || dim > width => {
            Err(Error::model(folder, format!("`truncate_dim` {dim} must be between 1 and {width}")))
        }
        _ => Ok(()),
    }
}

fn tokenizer(root: &Path) -> Result<Tokenizer, Error> {
    Tokenizer::read(root, optional(&root.join("tokenizer_config.json"))?)
}
