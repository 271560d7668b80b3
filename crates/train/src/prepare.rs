//! From a config to everything the loop needs: encoder, examples, tasks to be judged by.

use std::path::Path;

use burn::tensor::Device;
use temper_data::{Examples, read};
use temper_encoder::contract::{POOL_NAMES, pool_from_name};
use temper_encoder::{Contract, Encoder, LinearPrecision, reference};
use temper_runs::DataFile;

use crate::batches::StepOrder;
use crate::config::Config;
use crate::error::Error;
use crate::judging::{NamedTasks, excluded_pairs, hash_all, leaks, mappings, metric, read_options, tasks};
use crate::losses::{Given, Loss, Objective, Owned};
use crate::memory;

/// A run's ingredients, before its first step.
#[derive(Debug)]
pub struct Prepared {
    /// The encoder, prompts of the config in its contract.
    pub encoder: Encoder,
    /// The commit of a base from the hub.
    pub commit: Option<String>,
    /// What is learned from.
    pub dataset: Examples,
    /// What is judged on, with the name that goes in front of its scores (empty for a single one).
    pub tasks: NamedTasks,
    /// The score that decides which checkpoint is best.
    pub metric: String,
    /// What is minimised.
    pub loss: Loss,
    /// The parameters of the loss before the first step.
    pub owned: Owned,
    /// The encoder that the loss learns from beside the data: its guide or teacher.
    pub guide: Option<Encoder>,
    /// Files and their hashes.
    pub files: Vec<DataFile>,
    /// Which column became which role, one line a file, evaluation files included.
    pub mappings: Vec<String>,
    /// One line each.
    pub warnings: Vec<String>,
    /// Examples held out of the training files, when no evaluation file was named.
    pub held_out: usize,
    /// Examples left out because an exclusion file names them: of those to learn from, and of those to judge by.
    pub excluded: [usize; 2],
}

/// Reads data and encoder. `checkpoint` is the model folder to continue from, in place of the base.
pub fn prepare(config: &Config, checkpoint: Option<&Path>) -> Result<Prepared, Error> {
    let device = config.device.open()?;
    let mut warnings = Vec::new();
    let mut dataset = examples(config)?;
    if !dataset.skipped.is_empty() {
        warnings.push(format!("{} bad rows of the training files are left out", dataset.skipped.len()));
    }
    let loss = config.loss.build();
    loss.accepts(dataset.kind).map_err(Error::Plan)?;
    let mut files = data_files("train", &dataset);
    let mut mappings = mappings(&dataset);
    let mut pairs = excluded_pairs(&config.data.exclude)?;
    for path in &config.data.exclude {
        files.extend(hash_all("exclude", path)?);
    }
    // Behind the split, so that an exclusion moves no other example between training and evaluation.
    let (tasks, held_out) =
        tasks(config, &mut dataset, &mut pairs, &mut files, &mut mappings, &mut warnings)?;
    let judged = pairs.left_out();
    pairs.leave_out_of(&mut dataset);
    let excluded = [dataset.excluded, judged];
    if pairs.unmet() > 0 {
        warnings.push(format!(
            "{} of the {} pairs in data.exclude are in none of the data; a pair is met by the whole text of both sides",
            pairs.unmet(),
            pairs.len()
        ));
    }
    if dataset.len() < 2 {
        return Err(Error::Plan(format!(
            "{} training examples are left after holding {held_out} out and excluding {}; give more data, or \
             data.held_out = 0",
            dataset.len(),
            dataset.excluded
        )));
    }
    let (encoder, commit) = match checkpoint {
        Some(folder) => (read_model(folder, config, &device, &mut Vec::new())?, None),
        None => base(config, &dataset, &device, &mut warnings)?,
    };
    let guide = guide(config, &device, &mut files)?;
    let guide_dim = guide.as_ref().map(|guide| guide.contract.dim());
    loss.fits(encoder.contract.full_dim(), guide_dim).map_err(Error::Plan)?;
    let mut owned = Owned::default();
    let given = Given { encoder: &encoder, dataset: &dataset, seed: config.seed };
    loss.own(&mut owned, &given).map_err(Error::Plan)?;
    if StepOrder::new(&dataset, config).total_steps() == 0 {
        return Err(Error::Plan(format!(
            "no batch of {} can be filled from {} training examples, and train.dataloader_drop_last leaves out the \
             others; lower train.per_device_train_batch_size",
            config.train.per_device_train_batch_size,
            dataset.len()
        )));
    }
    warnings.extend(leaks(&dataset, &tasks));
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
    Ok(Prepared {
        encoder,
        commit,
        dataset,
        tasks,
        metric,
        loss,
        owned,
        guide,
        files,
        mappings,
        warnings,
        held_out,
        excluded,
    })
}

/// What is learned from: in memory, unless the config wants it otherwise or the files are large.
fn examples(config: &Config) -> Result<Examples, Error> {
    let (data, options) = (&config.data, read_options(config, config.data.max_train_samples));
    let bytes: u64 = data.train.iter().filter_map(|path| Some(std::fs::metadata(path).ok()?.len())).sum();
    let large =
        || memory::available().is_some_and(|free| bytes > free / 4) && Examples::can_stay_in(&data.train);
    Ok(if data.streaming.unwrap_or_else(large) {
        Examples::in_files(&data.train, &options)?
    } else {
        read(&data.train, &options)?.into()
    })
}

/// The encoder that the run starts from, and its commit on the hub.
fn base(
    config: &Config,
    dataset: &Examples,
    device: &Device,
    warnings: &mut Vec<String>,
) -> Result<(Encoder, Option<String>), Error> {
    Ok(match (&config.model.base, &config.model.fresh) {
        (_, Some(fresh)) => {
            let mut failed = None;
            let texts = dataset.each_text().map_while(|text| text.map_err(|error| failed = Some(error)).ok());
            let encoder = fresh.build(texts, config.seed, device)?;
            match failed {
                Some(error) => return Err(error.into()),
                None => (configure(encoder, config)?, None),
            }
        }
        (Some(base), None) => {
            let found = reference::find(base, config.model.revision.as_deref(), &|_| ())?;
            (read_model(&found.folder, config, device, warnings)?, found.commit)
        }
        (None, None) => return Err(Error::Plan("`model.base` is missing".to_owned())),
    })
}

/// The loss's guide or teacher, whose files count as data: another one would teach something else after a resume.
fn guide(config: &Config, device: &Device, files: &mut Vec<DataFile>) -> Result<Option<Encoder>, Error> {
    let Some(model) = config.loss.guide_model() else { return Ok(None) };
    let folder = reference::find(model, None, &|_| ())?.folder;
    files.extend(hash_all("guide", &folder)?);
    let loaded = temper_encoder::read(&folder, &temper_encoder::ReadOptions::default(), device)?;
    Ok(Some(loaded.encoder.for_inference(LinearPrecision::F32)))
}

fn read_model(
    folder: &Path,
    config: &Config,
    device: &Device,
    warnings: &mut Vec<String>,
) -> Result<Encoder, Error> {
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
    let loaded = temper_encoder::read(folder, &options, device)?;
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

/// Puts the config's prompts into the contract.
fn configure(encoder: Encoder, config: &Config) -> Result<Encoder, Error> {
    let mut contract: Contract = encoder.contract.clone();
    if !config.prompts.is_empty() {
        // A side without a prompt gets an empty one: the base's own must not stand in front of what was trained without.
        for (name, prompt) in [("query", &config.prompts.anchor), ("document", &config.prompts.positive)] {
            contract.prompts.insert(name.to_owned(), prompt.clone().unwrap_or_default());
        }
    }
    if let Some(dropout) = config.model.dropout.filter(|dropout| *dropout >= 1.0) {
        return Err(Error::Plan(format!("model.dropout is {dropout}, expected below 1")));
    }
    Ok(encoder.with_contract(contract)?)
}

fn data_files(role: &str, dataset: &Examples) -> Vec<DataFile> {
    let file = |f: &temper_data::FileReport| DataFile {
        role: role.to_owned(),
        path: f.path.display().to_string(),
        size: std::fs::metadata(&f.path).map_or(0, |m| m.len()),
        blake3: f.hash.clone(),
    };
    dataset.files.iter().map(file).collect()
}
