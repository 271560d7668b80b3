//! Which modules a folder's model is made of, and where each one lies.

use std::path::{Path, PathBuf};

use serde_json::Value;
use temper_kernels::Pool;

use super::ReadOptions;
use super::json::{json, optional, text};
use super::module_config::{dense, pooling};
use crate::Error;
use crate::contract::{ModuleSpec, PoolingSpec};
use crate::weights::{NamedTensor, table};

/// The folders of a chain's modules.
pub(super) struct Chain {
    pub(super) transformer: PathBuf,
    pub(super) modules: Vec<Module>,
    pub(super) dense: Vec<PathBuf>,
    /// `sentence_bert_config.json`, or nothing.
    pub(super) settings: Value,
    /// Of a static model.
    pub(super) table: Option<NamedTensor>,
}

pub(super) enum Module {
    Transformer,
    Other(ModuleSpec),
}

pub(super) fn chain(
    folder: &Path,
    options: &ReadOptions,
    warnings: &mut Vec<String>,
) -> Result<Chain, Error> {
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
        table: None,
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
            "StaticEmbedding" if chain.modules.is_empty() => {
                chain.modules.push(Module::Transformer);
                let table = table::read(&path)?;
                let pooling = mean_of(&table);
                (chain.table, chain.transformer) = (Some(table), path);
                pooling
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
                    "module `{other}` is not supported; known: Transformer, StaticEmbedding, Pooling, Dense, Normalize"
                );
                return Err(Error::model(&list, problem));
            }
        };
        chain.modules.push(module);
    }
    if !matches!(chain.modules.first(), Some(Module::Transformer)) {
        return Err(Error::model(&list, "the first module must be a Transformer or a StaticEmbedding"));
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
    let fields = json(&config)?;
    if text(&fields, "model_type") == Some("model2vec") {
        return model2vec(folder, &fields);
    }
    let dim = fields.get("hidden_size").and_then(Value::as_u64).unwrap_or(0) as usize;
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
        table: None,
    })
}

/// A folder as model2vec writes it.
fn model2vec(folder: &Path, config: &Value) -> Result<Chain, Error> {
    let table = table::read(folder)?;
    let mut modules = vec![Module::Transformer, mean_of(&table)];
    if config.get("normalize").and_then(Value::as_bool).unwrap_or(false) {
        modules.push(Module::Other(ModuleSpec::Normalize));
    }
    Ok(Chain {
        transformer: folder.to_owned(),
        modules,
        dense: Vec::new(),
        settings: Value::Null,
        table: Some(table),
    })
}

/// What follows the table of a static model without saying so.
fn mean_of(table: &NamedTensor) -> Module {
    Module::Other(ModuleSpec::Pooling(PoolingSpec { dim: table.shape[1], pools: vec![Pool::Mean] }))
}

/// A module path that stays inside the folder.
fn inside<'a>(list: &Path, path: &'a str) -> Result<&'a str, Error> {
    if path == "." {
        return Ok("");
    }
    let escapes = Path::new(path).components().any(|c| !matches!(c, std::path::Component::Normal(_)));
    if escapes {
        return Err(Error::model(list, format!("module path `{path}` leaves the model folder")));
    }
    Ok(path)
}
