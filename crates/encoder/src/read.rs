//! A model folder becomes an encoder: sentence-transformers folders of both schemas, plain transformers folders.
//!
//! Nothing from a folder is ever executed; class paths in `modules.json` are only compared by their last part.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::Value;
use temper_kernels::{Activation, Pool};
use temper_vectors::Similarity;

use crate::bert::Bert;
use crate::bert_config::BertConfig;
use crate::contract::{
    Contract, DenseSpec, ModuleSpec, POOL_NAMES, PoolingSpec, TruncationSide, pool_from_name,
};
use crate::encoder::Encoder;
use crate::network::{Dense, Network};
use crate::tokenizing::Tokenizer;
use crate::weights::Weights;
use crate::{Error, parameters};

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
    let chain = chain(folder, options, &mut warnings)?;
    let root = &chain.transformer;
    let config_path = root.join("config.json");
    let config = json(&config_path)?;
    let model_type = text(&config, "model_type").unwrap_or("missing");
    if model_type != "bert" {
        return Err(Error::model(
            &config_path,
            format!("field `model_type` is `{model_type}`; this version of temper loads: bert"),
        ));
    }
    let (bert, unknown) = BertConfig::from_json(&config_path, &config)?;
    if !unknown.is_empty() {
        warnings.push(format!(
            "`{}`: fields not known to temper: {}",
            config_path.display(),
            unknown.join(", ")
        ));
    }
    let contract = contract(folder, &chain, bert, options)?;
    let tokenizer = tokenizer(root)?;
    let bert = contract.transformer();
    if tokenizer.vocab_size() > bert.vocab_size {
        return Err(Error::model(
            root,
            format!(
                "the tokenizer has {} tokens but `vocab_size` in config.json is {}; they belong to different models",
                tokenizer.vocab_size(),
                bert.vocab_size
            ),
        ));
    }
    let mut weights = Weights::read(root)?;
    weights.strip_prefix("bert.");
    let transformer = parameters::load(Bert::empty(bert, device), &mut weights)?;
    let carried = carried(weights)?;
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

/// Tensors that temper does not compute with but writes again (the pooler). A block or table that the config does
/// not know is an error: the config would silently drop a part of the model.
fn carried(weights: Weights) -> Result<Vec<crate::weights::NamedTensor>, Error> {
    let path = weights.path().to_owned();
    let rest: Vec<_> = weights.rest().collect();
    if let Some(t) = rest.iter().find(|t| t.name.starts_with("encoder.") || t.name.starts_with("embeddings."))
    {
        return Err(Error::weights(
            &path,
            format!("tensor `{}` has no place in the model that config.json describes", t.name),
        ));
    }
    Ok(rest.into_iter().filter(|t| t.name.starts_with("pooler.")).collect())
}

/// The folders of a chain's modules.
struct Chain {
    transformer: PathBuf,
    modules: Vec<Module>,
    dense: Vec<PathBuf>,
    /// `sentence_bert_config.json`, or nothing.
    settings: Value,
}

enum Module {
    Transformer,
    Other(ModuleSpec),
}

fn chain(folder: &Path, options: &ReadOptions, warnings: &mut Vec<String>) -> Result<Chain, Error> {
    if !folder.is_dir() {
        return Err(Error::Reference(format!("`{}` is not a model folder", folder.display())));
    }
    let list = folder.join("modules.json");
    if !list.is_file() {
        return plain_chain(folder, options, warnings);
    }
    let entries = json(&list)?;
    let entries = entries.as_array().ok_or_else(|| Error::model(&list, "expected a list of modules"))?;
    let mut chain = Chain {
        transformer: folder.to_owned(),
        modules: Vec::new(),
        dense: Vec::new(),
        settings: Value::Null,
    };
    for entry in entries {
        let class = text(entry, "type").ok_or_else(|| Error::model(&list, "a module has no `type`"))?;
        let path = match inside(&list, text(entry, "path").unwrap_or_default())? {
            "" => folder.to_owned(),
            inner => folder.join(inner),
        };
        let module = match class.rsplit('.').next().unwrap_or_default() {
            "Transformer" => {
                chain.settings = optional(&path.join("sentence_bert_config.json"))?;
                chain.transformer = path;
                Module::Transformer
            }
            "Pooling" => Module::Other(ModuleSpec::Pooling(pooling(&path.join("config.json"))?)),
            "Dense" => {
                let spec = dense(&path.join("config.json"))?;
                chain.dense.push(path);
                Module::Other(ModuleSpec::Dense(spec))
            }
            "Normalize" => Module::Other(ModuleSpec::Normalize),
            other => {
                let problem = format!(
                    "module `{other}` is not supported; known: Transformer, Pooling, Dense, Normalize"
                );
                return Err(Error::model(&list, problem));
            }
        };
        chain.modules.push(module);
    }
    if !matches!(chain.modules.first(), Some(Module::Transformer)) {
        return Err(Error::model(&list, "the first module must be a Transformer"));
    }
    if !chain.modules.iter().any(|m| matches!(m, Module::Other(ModuleSpec::Pooling(_)))) {
        return Err(Error::model(&list, "the chain has no Pooling module, so it gives no vector a text"));
    }
    Ok(chain)
}

/// A plain transformers folder says nothing about pooling.
fn plain_chain(folder: &Path, options: &ReadOptions, warnings: &mut Vec<String>) -> Result<Chain, Error> {
    let config = folder.join("config.json");
    if !config.is_file() {
        let problem = "neither `modules.json` nor `config.json` here; is this a model folder?";
        return Err(Error::model(folder, problem));
    }
    let dim = json(&config)?.get("hidden_size").and_then(Value::as_u64).unwrap_or(0) as usize;
    let pool = options.pooling.unwrap_or_else(|| {
        warnings.push(format!(
            "`{}` is a plain transformers folder that does not say how to pool: mean pooling is a guess \
             (name it: --pooling, or model.pooling in a config)",
            folder.display()
        ));
        Pool::Mean
    });
    let pooling = ModuleSpec::Pooling(PoolingSpec { dim, pools: vec![pool] });
    Ok(Chain {
        transformer: folder.to_owned(),
        modules: vec![Module::Transformer, Module::Other(pooling)],
        dense: Vec::new(),
        settings: optional(&folder.join("sentence_bert_config.json"))?,
    })
}

fn contract(
    folder: &Path,
    chain: &Chain,
    bert: BertConfig,
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
    let positions = bert.max_position_embeddings;
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
        Module::Transformer => ModuleSpec::Transformer(bert.clone()),
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
            ModuleSpec::Transformer(c) => ("Transformer", width, c.hidden_size),
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

/// `1_Pooling/config.json`: a `pooling_mode` (since 5.4) or one boolean a mode.
fn pooling(path: &Path) -> Result<PoolingSpec, Error> {
    const FLAGS: [(&str, Pool); 6] = [
        ("pooling_mode_cls_token", Pool::Cls),
        ("pooling_mode_max_tokens", Pool::Max),
        ("pooling_mode_mean_tokens", Pool::Mean),
        ("pooling_mode_mean_sqrt_len_tokens", Pool::MeanSqrtLen),
        ("pooling_mode_weightedmean_tokens", Pool::WeightedMean),
        ("pooling_mode_lasttoken", Pool::LastToken),
    ];
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
        if !known.contains(&key.as_str()) && !FLAGS.iter().any(|(flag, _)| flag == key) {
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
        None => FLAGS
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
fn dense(path: &Path) -> Result<DenseSpec, Error> {
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

/// A module path that stays inside the folder.
fn inside<'a>(list: &Path, path: &'a str) -> Result<&'a str, Error> {
    let escapes = Path::new(path).components().any(|c| !matches!(c, std::path::Component::Normal(_)));
    if escapes {
        return Err(Error::model(list, format!("module path `{path}` leaves the model folder")));
    }
    Ok(path)
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn json(path: &Path) -> Result<Value, Error> {
    let bytes = std::fs::read(path).map_err(Error::read(path))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.to_owned(), source })
}

fn optional(path: &Path) -> Result<Value, Error> {
    if path.is_file() { json(path) } else { Ok(Value::Null) }
}
