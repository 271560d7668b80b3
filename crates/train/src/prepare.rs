//! From a config to everything the loop needs: encoder, examples, tasks to be judged by.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use temper_data::{BatchSampler, Examples, Kind, ReadOptions, Split, batch_count, files_of, read};
use temper_encoder::contract::{POOL_NAMES, pool_from_name};
use temper_encoder::{Contract, Encoder, LinearPrecision, reference};
use temper_runs::DataFile;

use crate::batches::{StepOrder, sampler};
use crate::config::Config;
use crate::error::Error;
use crate::judging::{NamedTasks, excluded_pairs, hash_all, leaks, mappings, metric, tasks};
use crate::losses::{Given, Loss, Objective, Owned};
use crate::memory;
use crate::sets::SetConfig;

/// A run's ingredients, before its first step.
#[derive(Debug)]
pub struct Prepared {
    /// The encoder, prompts of the config in its contract.
    pub encoder: Encoder,
    /// The commit of a base from the hub.
    pub commit: Option<String>,
    /// What is learned from; at least one.
    pub sets: Vec<TrainSet>,
    /// What is judged on, with the name that goes in front of its scores (empty for a single one).
    pub tasks: NamedTasks,
    /// The score that decides which checkpoint is best.
    pub metric: String,
    /// The parameters of the losses before the first step.
    pub owned: Owned,
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

/// Examples, and what is learned from them.
#[derive(Debug)]
pub struct TrainSet {
    /// Name, prompts and whatever else the config says.
    pub config: SetConfig,
    /// The examples.
    pub dataset: Examples,
    /// What they are to the loss: more than their own texts, where negatives are mined.
    pub kind: Kind,
    /// What is minimised.
    pub loss: Loss,
    /// The encoder that the loss learns from beside the data: its guide or teacher.
    pub guide: Option<Encoder>,
}

impl TrainSet {
    /// Puts the set's name in front of what is said of it.
    pub(crate) fn named(&self, text: String) -> String {
        match self.config.name.as_str() {
            "" => text,
            name => format!("set `{name}`: {text}"),
        }
    }

    fn problem(&self, problem: String) -> Error {
        Error::Plan(self.named(problem))
    }

    /// Texts in front of a column.
    pub fn prompt(&self, column: usize) -> Option<&str> {
        let prompts = self.config.prompts.as_ref()?;
        if column == 0 { prompts.anchor.as_deref() } else { prompts.positive.as_deref() }
    }
}

impl Prepared {
    /// The order of all examples over the run.
    pub fn order<'a>(&'a self, config: &'a Config) -> StepOrder<'a> {
        StepOrder::new(self.sets.iter().map(|set| &set.dataset).collect(), config)
    }

    /// Number of examples to learn from.
    pub fn train_examples(&self) -> usize {
        self.sets.iter().map(|set| set.dataset.len()).sum()
    }
}

/// Reads data and encoder. `checkpoint` is the model folder to continue from, in place of the base.
pub fn prepare(config: &Config, checkpoint: Option<&Path>) -> Result<Prepared, Error> {
    let device = config.device.open()?;
    let mut warnings = Vec::new();
    let mut sets = read_sets(config)?;
    let skipped: usize = sets.iter().map(|set| set.dataset.skipped.len()).sum();
    if skipped > 0 {
        warnings.push(format!("{skipped} bad rows of the training files are left out"));
    }
    let mut files: Vec<DataFile> = sets.iter().flat_map(|set| data_files("train", &set.dataset)).collect();
    let mut mappings: Vec<String> = sets.iter().flat_map(|set| mappings(&set.dataset)).collect();
    let mut pairs = excluded_pairs(&config.data.exclude)?;
    for path in &config.data.exclude {
        files.extend(hash_all("exclude", path)?);
    }
    // Behind the split, so that an exclusion moves no other example between training and evaluation.
    let (tasks, held_out) = tasks(config, &mut sets, &mut pairs, &mut files, &mut mappings, &mut warnings)?;
    let judged = pairs.left_out();
    for set in &mut sets {
        pairs.leave_out_of(&mut set.dataset);
    }
    let excluded = [sets.iter().map(|set| set.dataset.excluded).sum(), judged];
    if pairs.unmet() > 0 {
        warnings.push(format!(
            "{} of the {} pairs in data.exclude are in none of the data; a pair is met by the whole text of both sides",
            pairs.unmet(),
            pairs.len()
        ));
    }
    if let Some(set) = sets.iter().find(|set| set.dataset.len() < 2) {
        return Err(set.problem(format!(
            "{} training examples are left after holding {held_out} out and excluding {}; give more data, or \
             data.held_out = 0",
            set.dataset.len(),
            set.dataset.excluded
        )));
    }
    let (encoder, commit) = match checkpoint {
        Some(folder) => (read_model(folder, config, &device, &mut Vec::new())?, None),
        None => base(config, &sets, &device, &mut warnings)?,
    };
    guides(&mut sets, &device, &mut files)?;
    let owned = owned(&sets, &encoder, config.seed)?;
    for set in &sets {
        check_sampler(config, &set.dataset).map_err(|problem| set.problem(problem))?;
    }
    let order = StepOrder::new(sets.iter().map(|set| &set.dataset).collect(), config);
    if let Some(set) = order.without_batches().map(|set| &sets[set]) {
        return Err(set.problem(format!(
            "no batch of {} can be filled from {} training examples, and train.dataloader_drop_last leaves out the \
             others; lower train.per_device_train_batch_size",
            config.train.per_device_train_batch_size,
            set.dataset.len()
        )));
    }
    warnings.extend(leaks(&sets, &tasks));
    let metric = metric(config, &tasks);
    if tasks.is_empty()
        && (config.train.metric_for_best_model.is_some() || config.train.early_stopping_patience > 0)
    {
        warnings.push(
            "train.metric_for_best_model and train.early_stopping_patience do nothing without evaluation data"
                .to_owned(),
        );
    }
    for set in &sets {
        if set.dataset.len() < config.train.per_device_train_batch_size {
            warnings.push(set.named(format!(
                "only {} training examples for a batch of {}: every batch is smaller",
                set.dataset.len(),
                config.train.per_device_train_batch_size
            )));
        }
    }
    Ok(Prepared {
        encoder,
        commit,
        sets,
        tasks,
        metric,
        owned,
        files,
        mappings,
        warnings,
        held_out,
        excluded,
    })
}

/// The sets: in memory, unless the config wants it otherwise or the files are large.
fn read_sets(config: &Config) -> Result<Vec<TrainSet>, Error> {
    let sets = config.sets();
    let paths: Vec<PathBuf> = sets.iter().flat_map(|set| set.train.clone()).collect();
    let files = files_of(&paths, &Split::Train)?;
    let bytes: u64 = files.iter().filter_map(|path| Some(std::fs::metadata(path).ok()?.len())).sum();
    let large = memory::available().is_some_and(|free| bytes > free / 4);
    sets.into_iter().map(|set| read_set(config, set, large)).collect()
}

/// The examples of a set, of a kind that its loss can learn from.
fn read_set(config: &Config, set: SetConfig, large: bool) -> Result<TrainSet, Error> {
    let loss = set.loss.build();
    let options = ReadOptions {
        columns: set.columns.clone().unwrap_or_default(),
        on_bad_row: config.data.on_bad_row,
        limit: set.max_train_samples,
        label_range: set.label_range.or_else(|| loss.label_range()),
        labels_are_classes: loss.accepts(Kind::ClassifiedPairs).is_ok()
            && loss.accepts(Kind::Scored).is_err(),
        split: Split::Train,
    };
    let in_files = || large && Examples::can_stay_in(&set.train);
    let dataset = if config.data.streaming.unwrap_or_else(in_files) {
        Examples::in_files(&set.train, &options)?
    } else {
        read(&set.train, &options)?.into()
    };
    let kind = config.mine.as_ref().map_or(Ok(dataset.kind), |mine| mine.kind(dataset.kind));
    let mut set = TrainSet { kind: dataset.kind, config: set, dataset, loss, guide: None };
    set.kind = kind.map_err(|problem| set.problem(problem))?;
    set.loss.accepts(set.kind).map_err(|problem| set.problem(problem))?;
    check_scores(config, &set).map_err(|problem| set.problem(problem))?;
    Ok(set)
}

/// Scores come from a teacher or from the data.
fn check_scores(config: &Config, set: &TrainSet) -> Result<(), String> {
    let loss = &set.config.loss;
    let mut names = loss.also.iter().map(|term| term.loss.name).chain([loss.name]);
    let Some(name) = names.find(|name| name.learns_scores()) else { return Ok(()) };
    let in_data = set.dataset.files.iter().all(|file| file.columns.scores.is_some() || file.rows == 0);
    match (loss.guide_model(), in_data) {
        (None, true) if config.mine.is_some() => Err(format!(
            "the data has no scores of negatives that are mined while training; give {} a `teacher`, or leave out [mine]",
            name.name()
        )),
        (Some(_), false) | (None, true) => Ok(()),
        (Some(_), true) => Err(format!(
            "{} has a `teacher` and the data its scores; leave out loss.teacher, or data.columns.scores",
            name.name()
        )),
        (None, false) => Err(format!(
            "{} needs a `teacher`, the MODEL that it learns from, or a column with its scores: `[data.columns] scores = \
             \"scores\"`, as `temper mine --scores` writes it",
            name.name()
        )),
    }
}

/// Batches by class need classes, and two of them with two texts.
fn check_sampler(config: &Config, dataset: &Examples) -> Result<(), String> {
    if sampler(config, dataset) != BatchSampler::GroupByLabel {
        return Ok(());
    }
    if !dataset.kind.has_classes() {
        return Err(format!(
            "train.batch_sampler = \"group_by_label\" needs classes, but the data has {}; leave it out",
            dataset.kind.name()
        ));
    }
    let batch = config.train.per_device_train_batch_size;
    if batch < 4 || batch % 2 == 1 {
        return Err(format!(
            "train.per_device_train_batch_size is {batch}; batches by class (train.batch_sampler = \"group_by_label\") have \
             two texts of each, so give an even number of 4 or more"
        ));
    }
    if batch_count(dataset, BatchSampler::GroupByLabel, batch, config.seed, 0, false) == 0 {
        return Err(
            "no batch can be filled: a batch by class (train.batch_sampler = \"group_by_label\") needs two classes with two \
             texts or more each"
                .to_owned(),
        );
    }
    Ok(())
}

/// The encoder that the run starts from, and its commit on the hub.
fn base(
    config: &Config,
    sets: &[TrainSet],
    device: &Device,
    warnings: &mut Vec<String>,
) -> Result<(Encoder, Option<String>), Error> {
    Ok(match (&config.model.base, &config.model.fresh) {
        (_, Some(fresh)) => {
            let mut failed = None;
            let texts = sets.iter().flat_map(|set| set.dataset.each_text());
            let texts = texts.map_while(|text| text.map_err(|error| failed = Some(error)).ok());
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

/// Reads each set's guide or teacher, one that several have once. Its files count as data: another one would teach
/// something else after a resume.
fn guides(sets: &mut [TrainSet], device: &Device, files: &mut Vec<DataFile>) -> Result<(), Error> {
    let mut known: HashMap<String, Encoder> = HashMap::new();
    for set in sets {
        let Some(model) = set.config.loss.guide_model() else { continue };
        if !known.contains_key(model) {
            let folder = reference::find(model, None, &|_| ())?.folder;
            files.extend(hash_all("guide", &folder)?);
            let loaded = temper_encoder::read(&folder, &temper_encoder::ReadOptions::default(), device)?;
            known.insert(model.to_owned(), loaded.encoder.for_inference(LinearPrecision::F32));
        }
        set.guide = known.get(model).cloned();
    }
    Ok(())
}

/// The parameters of all losses.
fn owned(sets: &[TrainSet], encoder: &Encoder, seed: u64) -> Result<Owned, Error> {
    let mut all = Owned::default();
    for set in sets {
        let guide_dim = set.guide.as_ref().map(|guide| guide.contract.dim());
        set.loss.fits(encoder.contract.full_dim(), guide_dim).map_err(|problem| set.problem(problem))?;
        let mut owned = Owned::default();
        let given = Given { encoder, dataset: &set.dataset, seed };
        set.loss.own(&mut owned, &given).map_err(|problem| set.problem(problem))?;
        all.join(owned).map_err(|problem| set.problem(problem))?;
    }
    Ok(all)
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
