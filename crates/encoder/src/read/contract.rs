//! What the files of a folder say together: its contract.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use temper_kernels::Pool;
use temper_vectors::Similarity;

use super::ReadOptions;
use super::chain::{Chain, Module};
use super::json::{optional, text};
use super::origin::{Origin, Origins};
use crate::Error;
use crate::architecture::TransformerConfig;
use crate::contract::{Contract, ModuleSpec, PoolingSpec, TruncationSide, pool_name};
use crate::presets::{self, Preset};

/// A contract, what it rests on, and what of it somebody should know.
pub(super) struct Drafted {
    pub(super) contract: Contract,
    pub(super) origins: Origins,
    pub(super) warnings: Vec<String>,
}

/// Puts the contract of `folder` together; `config` is its transformer's `config.json`.
pub(super) fn contract(
    folder: &Path,
    chain: &Chain,
    config: &Value,
    options: &ReadOptions,
) -> Result<Drafted, Error> {
    let config_path = chain.transformer.join("config.json");
    let (transformer, unknown) = TransformerConfig::from_json(&config_path, config)?;
    let mut warnings = Vec::new();
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        warnings.push(format!("`{}`: fields not known to temper: {unknown}", config_path.display()));
    }
    let preset = presets::find(folder, config);
    let (pool, pooling_origin) = pooling(folder, chain, options, preset, &mut warnings);
    let path = folder.join("config_sentence_transformers.json");
    let st = optional(&path)?;
    let (prompts, prompts_origin) = prompts(&path, &st, preset, &mut warnings)?;
    let default_prompt = text(&st, "default_prompt_name").map(str::to_owned);
    if let Some(name) = default_prompt.as_ref().filter(|n| !prompts.contains_key(*n)) {
        return Err(Error::model(
            &path,
            format!("field `default_prompt_name` is `{name}`, which is not among `prompts`"),
        ));
    }
    let tokenizer_config = optional(&chain.transformer.join("tokenizer_config.json"))?;
    let (max_seq_length, length_origin) = longest_input(chain, &transformer, &tokenizer_config, options)?;
    let modules = chain.modules.iter().map(|module| match module {
        Module::Transformer => ModuleSpec::Transformer(transformer.clone()),
        Module::Unsaid => {
            ModuleSpec::Pooling(PoolingSpec { dim: transformer.shape().hidden_size, pools: vec![pool] })
        }
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
        truncate_dim: options
            .truncate_dim
            .or_else(|| st.get("truncate_dim").and_then(Value::as_u64).map(|n| n as usize)),
        similarity: similarity(&path, &st)?,
    };
    check_widths(folder, &contract)?;
    let origins = Origins { pooling: pooling_origin, prompts: prompts_origin, max_seq_length: length_origin };
    Ok(Drafted { contract, origins, warnings })
}

/// The pooling of a folder that does not say; mean, and of no account, for one that does.
fn pooling(
    folder: &Path,
    chain: &Chain,
    options: &ReadOptions,
    preset: Option<&'static Preset>,
    warnings: &mut Vec<String>,
) -> (Pool, Origin) {
    const REMEDY: &str = "(name it: --pooling, or model.pooling in a config)";
    match (&chain.pooling_file, options.pooling, preset) {
        (Some(file), ..) => (Pool::Mean, Origin::File(file.clone())),
        (None, Some(pool), _) => (pool, Origin::Caller),
        (None, None, Some(Preset { id, pooling, .. })) => {
            let name = pool_name(*pooling);
            warnings.push(format!("pooling of {id} from temper's presets: {name} {REMEDY}"));
            (*pooling, Origin::Preset(id))
        }
        (None, None, None) => {
            warnings.push(format!(
                "`{}` is a plain transformers folder that does not say how to pool: mean pooling is a guess {REMEDY}",
                folder.display()
            ));
            (Pool::Mean, Origin::Nothing)
        }
    }
}

/// A folder whose `prompts` are empty has none: only one without the field leaves them to a preset.
fn prompts(
    path: &Path,
    st: &Value,
    preset: Option<&'static Preset>,
    warnings: &mut Vec<String>,
) -> Result<(BTreeMap<String, String>, Origin), Error> {
    let said = st.get("prompts").filter(|prompts| !prompts.is_null());
    match (said, preset.filter(|preset| !preset.prompts.is_empty())) {
        (Some(value), _) => {
            let prompts = serde_json::from_value(value.clone())
                .map_err(|source| Error::Json { path: path.to_owned(), source })?;
            Ok((prompts, Origin::File("config_sentence_transformers.json".to_owned())))
        }
        (None, Some(Preset { id, prompts, .. })) => {
            let told: Vec<_> = prompts.iter().map(|(name, prompt)| format!("{name} = {prompt:?}")).collect();
            warnings.push(format!(
                "prompts of {id} from temper's presets: {} (others: `prompts` in `{}`)",
                told.join(", "),
                path.display()
            ));
            let owned = prompts.iter().map(|(name, prompt)| ((*name).to_owned(), (*prompt).to_owned()));
            Ok((owned.collect(), Origin::Preset(id)))
        }
        (None, None) => Ok((BTreeMap::new(), Origin::Nothing)),
    }
}

/// The first that says: the caller, the settings of sentence-transformers, the tokenizer, the position table.
fn longest_input(
    chain: &Chain,
    transformer: &TransformerConfig,
    tokenizer_config: &Value,
    options: &ReadOptions,
) -> Result<(usize, Origin), Error> {
    let positions = transformer.shape().max_tokens;
    let file = |name: &str| Origin::File(chain.inner(name));
    let asked = options.max_seq_length.map(|n| (n, Origin::Caller));
    let set = || Some((chain.settings.get("max_seq_length")?.as_u64()? as usize, file(chain.settings_file?)));
    // Tokenizers without a limit say 1e30.
    let of_tokenizer = || {
        let tokens = tokenizer_config.get("model_max_length")?.as_f64()?;
        (tokens < positions as f64).then(|| (tokens as usize, file("tokenizer_config.json")))
    };
    // A static model has no other place: sentence-transformers leaves truncation there to its tokenizer.
    let whole = match transformer {
        TransformerConfig::Static(_) => optional(&chain.transformer.join("tokenizer.json"))?,
        _ => Value::Null,
    };
    let cut = whole["truncation"]["max_length"].as_u64();
    let of_positions = || match (transformer, cut) {
        (TransformerConfig::Static(_), Some(tokens)) => (tokens as usize, file("tokenizer.json")),
        (TransformerConfig::Static(_), None) => (positions, Origin::Kind),
        _ => (positions, file("config.json")),
    };
    let (tokens, origin) = asked.or_else(set).or_else(of_tokenizer).unwrap_or_else(of_positions);
    if tokens > positions || tokens < 3 {
        return Err(Error::model(
            &chain.transformer,
            format!("`max_seq_length` {tokens} must be between 3 and the model's {positions} positions"),
        ));
    }
    Ok((tokens, origin))
}

fn similarity(path: &Path, st: &Value) -> Result<Similarity, Error> {
    match text(st, "similarity_fn_name") {
        None | Some("cosine") => Ok(Similarity::Cosine),
        Some("dot") => Ok(Similarity::Dot),
        Some("euclidean") => Ok(Similarity::Euclidean),
        Some("manhattan") => Ok(Similarity::Manhattan),
        Some(other) => Err(Error::model(path, format!("field `similarity_fn_name` is `{other}`"))),
    }
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
