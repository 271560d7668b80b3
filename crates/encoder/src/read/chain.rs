//! Which modules a folder's model is made of, and where each one lies.

use std::path::{Path, PathBuf};

use serde_json::Value;
use temper_kernels::Pool;

use super::json::{json, text};
use super::module_config::{dense, pooling};
use crate::Error;
use crate::contract::{ModuleSpec, PoolingSpec};
use crate::weights::{NamedTensor, table};

/// The names that sentence-transformers has given a transformer's settings, in the order in which it looks for them.
pub const SETTINGS: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// Classes of a transformer: before 1.0 each architecture had one.
pub(crate) const TRANSFORMERS: [&str; 6] =
    ["Transformer", "BERT", "RoBERTa", "DistilBERT", "XLMRoBERTa", "CamemBERT"];

/// The class of a table of word vectors, which stands in place of a transformer.
const TABLE: &str = "StaticEmbedding";

/// Where pooling is said, in folders with and without `modules.json`.
const POOLING_FILE: &str = "1_Pooling/config.json";

/// The folders of a chain's modules.
pub(super) struct Chain {
    /// The folder of the transformer.
    pub(super) transformer: PathBuf,
    /// The same, as a path in the model folder.
    path: String,
    pub(super) modules: Vec<Module>,
    pub(super) dense: Vec<PathBuf>,
    /// The file that says how to pool, as a path in the model folder; none where nothing does.
    pub(super) pooling_file: Option<String>,
    /// Which of [`SETTINGS`] there is.
    pub(super) settings_file: Option<&'static str>,
    /// What it holds.
    pub(super) settings: Value,
    /// Of a static model.
    pub(super) table: Option<NamedTensor>,
}

pub(super) enum Module {
    Transformer,
    /// A pooling that no file describes.
    Unsaid,
    Other(ModuleSpec),
}

impl Chain {
    /// With the transformer in `path` of `folder`, and nothing behind it.
    fn of(folder: &Path, path: &str) -> Result<Self, Error> {
        // Joining nothing would end the path with a slash, in messages too.
        let transformer = if path.is_empty() { folder.to_owned() } else { folder.join(path) };
        let settings_file = SETTINGS.into_iter().find(|name| transformer.join(name).is_file());
        let settings = settings_file.map_or(Ok(Value::Null), |name| json(&transformer.join(name)))?;
        let modules = vec![Module::Transformer];
        let (path, dense) = (path.to_owned(), Vec::new());
        Ok(Self {
            transformer,
            path,
            modules,
            dense,
            pooling_file: None,
            settings_file,
            settings,
            table: None,
        })
    }

    /// Reads a static model's table; the mean that it implies is the next module.
    fn read_table(&mut self) -> Result<(), Error> {
        let table = table::read(&self.transformer)?;
        let mean = PoolingSpec { dim: table.shape[1], pools: vec![Pool::Mean] };
        self.modules.push(Module::Other(ModuleSpec::Pooling(mean)));
        self.pooling_file = Some(self.inner("model.safetensors"));
        self.table = Some(table);
        Ok(())
    }

    /// A file of the transformer, as a path in the model folder.
    pub(super) fn inner(&self, name: &str) -> String {
        Path::new(&self.path).join(name).display().to_string()
    }
}

pub(super) fn chain(folder: &Path) -> Result<Chain, Error> {
    if !folder.is_dir() {
        return Err(Error::Reference(format!("`{}` is not a model folder", folder.display())));
    }
    let list = folder.join("modules.json");
    if !list.is_file() {
        return plain_chain(folder);
    }
    let modules = json(&list)?;
    let modules = modules.as_array().ok_or_else(|| Error::model(&list, "expected a list of modules"))?;
    let entries: Vec<Entry<'_>> =
        modules.iter().map(|module| Entry::read(&list, module)).collect::<Result<_, _>>()?;
    let is_transformer = |entry: &&Entry<'_>| TRANSFORMERS.contains(&entry.class) || entry.class == TABLE;
    let Some(first) = entries.first().filter(is_transformer) else {
        return Err(Error::model(&list, "the first module must be a Transformer or a StaticEmbedding"));
    };
    first.must_be_there(&list, folder)?;
    let mut chain = Chain::of(folder, first.path)?;
    if first.class == TABLE {
        chain.read_table()?;
    }
    for entry in &entries[1..] {
        let config = folder.join(entry.path).join("config.json");
        chain.modules.push(Module::Other(match entry.class {
            "Pooling" => {
                entry.must_be_there(&list, folder)?;
                chain.pooling_file = Some(Path::new(entry.path).join("config.json").display().to_string());
                ModuleSpec::Pooling(pooling(&config)?)
            }
            "Dense" => {
                entry.must_be_there(&list, folder)?;
                chain.dense.push(folder.join(entry.path));
                ModuleSpec::Dense(dense(&config)?)
            }
            // It has no settings, and git and the hub keep no empty folder.
            "Normalize" => ModuleSpec::Normalize,
            class if TRANSFORMERS.contains(&class) => {
                let (one, other) = (first.path, entry.path);
                let problem = format!("lists two transformers, in `{one}` and in `{other}`; temper runs one");
                return Err(Error::model(&list, problem));
            }
            other => {
                let problem = format!(
                    "module `{other}` is not supported; known: Transformer, {TABLE}, Pooling, Dense, Normalize"
                );
                return Err(Error::model(&list, problem));
            }
        }));
    }
    if chain.pooling_file.is_none() {
        return Err(Error::model(&list, "the chain has no Pooling module, so it gives no vector a text"));
    }
    Ok(chain)
}

/// A line of `modules.json`.
struct Entry<'a> {
    /// The class, without the module of Python that it lies in.
    class: &'a str,
    /// The folder, as a path in the model folder; empty for the model folder itself.
    path: &'a str,
}

impl<'a> Entry<'a> {
    fn read(list: &Path, module: &'a Value) -> Result<Self, Error> {
        let class = text(module, "type").ok_or_else(|| Error::model(list, "a module has no `type`"))?;
        Ok(Self {
            class: class.rsplit('.').next().unwrap_or_default(),
            path: inside(list, text(module, "path").unwrap_or_default())?,
        })
    }

    fn must_be_there(&self, list: &Path, folder: &Path) -> Result<(), Error> {
        if folder.join(self.path).is_dir() {
            return Ok(());
        }
        let problem = format!(
            "the folder `{}` of its module {} is not there; copy the model with all its folders",
            self.path, self.class
        );
        Err(Error::model(list, problem))
    }
}

/// A folder as transformers saves it, which hardly ever says how to pool, or as model2vec does.
fn plain_chain(folder: &Path) -> Result<Chain, Error> {
    if !folder.join("config.json").is_file() {
        let problem = "neither `modules.json` nor `config.json` here; is this a model folder?";
        return Err(Error::model(folder, problem));
    }
    let mut chain = Chain::of(folder, "")?;
    let config = json(&folder.join("config.json"))?;
    if text(&config, "model_type") == Some("model2vec") {
        chain.read_table()?;
        if config.get("normalize").and_then(Value::as_bool).unwrap_or(false) {
            chain.modules.push(Module::Other(ModuleSpec::Normalize));
        }
        return Ok(chain);
    }
    let said = folder.join(POOLING_FILE);
    chain.modules.push(if said.is_file() {
        chain.pooling_file = Some(POOLING_FILE.to_owned());
        Module::Other(ModuleSpec::Pooling(pooling(&said)?))
    } else {
        Module::Unsaid
    });
    Ok(chain)
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
