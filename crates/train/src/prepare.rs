//! From a config to everything the loop needs: encoder, examples, tasks to be judged by.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use temper_data::{Dataset, ReadOptions, hold_out};
use temper_encoder::contract::{ModuleSpec, POOL_NAMES, pool_from_name};
use temper_encoder::{Contract, Encoder, reference};
use temper_eval::{Prompts, Task};
use temper_runs::DataFile;

use crate::batches::StepOrder;
use crate::config::Config;
use crate::error::Error;
use crate::losses::Loss;

/// A run's ingredients, before its first step.
#[derive(Debug)]
pub struct Prepared {
    /// The encoder, prompts of the config in its contract.
    pub encoder: Encoder,
    /// What is learned from.
    pub dataset: Dataset,
    /// What is judged on, with the name that goes in front of its scores (empty for a single one).
    pub tasks: NamedTasks,
    /// The score that decides which checkpoint is best.
    pub metric: String,
    /// What is minimised.
    pub loss: Loss,
    /// Files and their hashes.
    pub files: Vec<DataFile>,
    /// Which column became which role, one line a file, evaluation files included.
    pub mappings: Vec<String>,
    /// One line each.
    pub warnings: Vec<String>,
    /// Examples held out of the training files, when no evaluation file was named.
    pub held_out: usize,
}

/// Tasks with the name that goes in front of their scores.
pub type NamedTasks = Vec<(String, Task)>;

/// Reads data and encoder. `checkpoint` is the model folder to continue from, in place of the base.
pub fn prepare(config: &Config, checkpoint: Option<&Path>) -> Result<Prepared, Error> {
    let mut warnings = Vec::new();
    let dataset =
        temper_data::read(&config.data.train, &read_options(config, config.data.max_train_samples))?;
    if !dataset.skipped.is_empty() {
        warnings.push(format!("{} bad rows of the training files are left out", dataset.skipped.len()));
    }
    let loss = config.loss.build();
    loss.accepts(dataset.kind).map_err(Error::Plan)?;
    let mut files = data_files("train", &dataset);
    let mut mappings = mappings(&dataset);
    let (dataset, tasks, held_out) = tasks(config, dataset, &mut files, &mut mappings, &mut warnings)?;
    if dataset.len() < 2 {
        return Err(Error::Plan(format!(
            "{} training example is left after holding {held_out} out; give more data, or data.held_out = 0",
            dataset.len()
        )));
    }
    let encoder = match checkpoint {
        Some(folder) => read_model(folder, config, &mut Vec::new())?,
        None => base(config, &dataset, &mut warnings)?,
    };
    if StepOrder::new(&dataset, config).total_steps() == 0 {
        return Err(Error::Plan(format!(
            "no batch of {} can be filled from {} training examples, and train.dataloader_drop_last leaves out the \
             others; lower train.per_device_train_batch_size",
            config.train.per_device_train_batch_size,
            dataset.len()
        )));
    }
    let metric = metric(config, &tasks);
    if tasks.is_empty()
        && (config.train.metric_for_best_model.is_some() || config.train.early_stopping_patience > 0)
    {
        warnings.push(
            "train.metric_for_best_model and train.early_stopping_patience do nothing without evaluation data"
                .to_owned(),
        );
    }
    if dataset.len() < config.train.per_device_train_batch_size {
        warnings.push(format!(
            "only {} training examples for a batch of {}: every batch is smaller",
            dataset.len(),
            config.train.per_device_train_batch_size
        ));
    }
    Ok(Prepared { encoder, dataset, tasks, metric, loss, files, mappings, warnings, held_out })
}

fn read_options(config: &Config, limit: Option<usize>) -> ReadOptions {
    ReadOptions {
        columns: config.data.columns.clone(),
        on_bad_row: config.data.on_bad_row,
        limit,
        label_range: config.data.label_range.or_else(|| config.loss.build().label_range()),
    }
}

/// The encoder that the run starts from.
fn base(config: &Config, dataset: &Dataset, warnings: &mut Vec<String>) -> Result<Encoder, Error> {
    let encoder = match (&config.model.base, &config.model.fresh) {
        (_, Some(fresh)) => {
            let texts: Vec<&str> =
                dataset.examples.iter().flat_map(|e| e.texts.iter().map(String::as_str)).collect();
            let encoder = fresh.build(&texts, config.seed, &Device::flex())?;
            configure(encoder, config)?
        }
        (Some(base), None) => read_model(&reference::resolve(base)?, config, warnings)?,
        (None, None) => return Err(Error::Plan("`model.base` is missing".to_owned())),
    };
    Ok(encoder)
}

fn read_model(folder: &Path, config: &Config, warnings: &mut Vec<String>) -> Result<Encoder, Error> {
    let pooling = match &config.model.pooling {
        Some(name) => Some(
            pool_from_name(name)
                .ok_or_else(|| Error::Plan(format!("model.pooling is `{name}`; known: {POOL_NAMES}")))?,
        ),
        None => None,
    };
    let options = temper_encoder::ReadOptions {
        pooling,
        max_seq_length: config.model.max_seq_length,
        truncate_dim: None,
    };
    let loaded = temper_encoder::read(folder, &options, &Device::flex())?;
    warnings.extend(loaded.warnings);
    let prompts = &loaded.encoder.contract.prompts;
    if config.prompts.is_empty() && prompts.values().any(|p| !p.is_empty()) {
        let names: Vec<&str> =
            prompts.iter().filter(|(_, p)| !p.is_empty()).map(|(n, _)| n.as_str()).collect();
        warnings.push(format!(
            "the base has prompts ({}), but the config names none: it trains and is judged without, and the export \
             keeps them; set [prompts] anchor and positive to use them",
            names.join(", ")
        ));
    }
    configure(loaded.encoder, config)
}

/// Puts the config's prompts and dropout into the contract.
fn configure(encoder: Encoder, config: &Config) -> Result<Encoder, Error> {
    let mut contract: Contract = encoder.contract.clone();
    if !config.prompts.is_empty() {
        // A side without a prompt gets an empty one: the base's own must not stand in front of what was trained without.
        for (name, prompt) in [("query", &config.prompts.anchor), ("document", &config.prompts.positive)] {
            contract.prompts.insert(name.to_owned(), prompt.clone().unwrap_or_default());
        }
    }
    if let Some(dropout) = config.model.dropout {
        if dropout >= 1.0 {
            return Err(Error::Plan(format!("model.dropout is {dropout}, expected below 1")));
        }
        for module in &mut contract.modules {
            if let ModuleSpec::Transformer(bert) = module {
                bert.hidden_dropout_prob = dropout;
                bert.attention_probs_dropout_prob = dropout;
            }
        }
    }
    Ok(encoder.with_contract(contract)?)
}

/// The tasks of the evaluation files, or one on a seeded part of the training examples.
fn tasks(
    config: &Config,
    dataset: Dataset,
    files: &mut Vec<DataFile>,
    mappings: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<(Dataset, NamedTasks, usize), Error> {
    if config.data.eval.is_empty() {
        let (_, held) = hold_out(&dataset, config.seed, config.data.held_out, config.data.held_out_max);
        if held.is_empty() {
            warnings.push(
                "nothing is held out, so there is nothing to judge by; name a file in data.eval".to_owned(),
            );
            return Ok((dataset, Vec::new(), 0));
        }
        let (train, eval) = dataset.divide(&held);
        let task = Task::from_dataset(&eval);
        return Ok((train, vec![(String::new(), task)], held.len()));
    }
    let mut tasks: NamedTasks = Vec::new();
    for path in &config.data.eval {
        let name = match config.data.eval.len() {
            1 => String::new(),
            _ => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        };
        if tasks.iter().any(|(other, _)| *other == name) {
            return Err(Error::Plan(format!(
                "two entries of data.eval are called `{name}`, and their scores bear that name; rename one"
            )));
        }
        let task = if path.is_dir() {
            Task::Retrieval(temper_data::read_beir(path, None)?)
        } else {
            let judged = read_judged(config, path)?;
            if !judged.skipped.is_empty() {
                warnings.push(format!(
                    "{} bad rows of `{}` are left out",
                    judged.skipped.len(),
                    path.display()
                ));
            }
            mappings.extend(self::mappings(&judged));
            Task::from_dataset(&judged)
        };
        files.extend(hash_all("eval", path)?);
        tasks.push((name, task));
    }
    Ok((dataset, tasks, 0))
}

/// Reads an evaluation file. The mapping of the training columns applies where the file has them; else the usual
/// names do, as in a question/answer file judged by an anchor/positive one.
pub fn read_judged(config: &Config, path: &Path) -> Result<Dataset, Error> {
    let paths = [path.to_owned()];
    let options = read_options(config, config.data.max_eval_samples);
    match temper_data::read(&paths, &options) {
        Err(temper_data::Error::UnknownColumn { .. }) => {
            let columns = temper_data::ColumnMap::default();
            Ok(temper_data::read(&paths, &ReadOptions { columns, ..options })?)
        }
        read => Ok(read?),
    }
}

fn mappings(dataset: &Dataset) -> Vec<String> {
    dataset.files.iter().map(|f| format!("{}: {}", f.path.display(), f.mapping)).collect()
}

/// The name of the score that decides; the first evaluation finds out whether the tasks give it.
fn metric(config: &Config, tasks: &[(String, Task)]) -> String {
    match (&config.train.metric_for_best_model, tasks.first()) {
        (_, None) => String::new(),
        (Some(named), _) => named.strip_prefix("eval_").unwrap_or(named).to_owned(),
        (None, Some((name, task))) => score_name(name, task.default_metric()),
    }
}

/// Scores of several tasks bear the task's name.
pub(crate) fn score_name(task: &str, score: &str) -> String {
    if task.is_empty() { score.to_owned() } else { format!("{task}_{score}") }
}

/// The prompts of both sides of every task: the config's, else none, exactly as in training.
pub(crate) fn prompts(config: &Config) -> Prompts {
    Prompts { first: config.prompts.anchor.clone(), second: config.prompts.positive.clone() }
}

fn data_files(role: &str, dataset: &Dataset) -> Vec<DataFile> {
    let file = |f: &temper_data::FileReport| DataFile {
        role: role.to_owned(),
        path: f.path.display().to_string(),
        size: std::fs::metadata(&f.path).map_or(0, |m| m.len()),
        blake3: f.hash.clone(),
    };
    dataset.files.iter().map(file).collect()
}

/// Hashes a file, or the files of a BEIR folder.
fn hash_all(role: &str, path: &Path) -> Result<Vec<DataFile>, Error> {
    let read_error = |p: &Path| {
        let path = p.to_owned();
        move |source| Error::Read { path, source }
    };
    let mut files: Vec<PathBuf> = if path.is_dir() {
        let inside = |dir: PathBuf| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
        inside(path.to_owned()).chain(inside(path.join("qrels"))).filter(|p| p.is_file()).collect()
    } else {
        vec![path.to_owned()]
    };
    files.sort();
    files
        .iter()
        .map(|file| {
            let bytes = std::fs::read(file).map_err(read_error(file))?;
            Ok(DataFile {
                role: role.to_owned(),
                path: file.display().to_string(),
                size: bytes.len() as u64,
                blake3: blake3::hash(&bytes).to_hex().to_string(),
            })
        })
        .collect()
}
