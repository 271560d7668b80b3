//! What a run is going to do, said before it starts.

use std::fmt;

use burn::module::Module;
use serde::{Deserialize, Serialize};
use temper_data::Mixing;
use temper_encoder::Encoder;
use temper_eval::Task;

use crate::batches::StepOrder;
use crate::config::Config;
use crate::error::Error;
use crate::losses::Objective;
use crate::memory;
use crate::mining::MineConfig;
use crate::prepare::{Prepared, TrainSet};

/// Texts whose lengths are looked at; a sample is enough for a plan.
const SAMPLE: usize = 2000;

/// The effective plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The encoder's chain.
    pub model: String,
    /// Number of parameters.
    pub parameters: usize,
    /// Longest input in tokens.
    pub longest_input: String,
    /// Which file column became which role.
    pub mappings: Vec<String>,
    /// Kind of examples; of several sets, `examples`.
    pub kind: String,
    /// What each set has, in a run of several, and how they take turns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<String>,
    /// Training examples.
    pub train_examples: usize,
    /// Their texts stay in the files until they are needed.
    #[serde(default)]
    pub streaming: bool,
    /// Examples taken out of the training files for evaluation.
    pub held_out: usize,
    /// Examples left out because an exclusion file names them: of those to learn from, and of those to judge by.
    #[serde(default)]
    pub excluded: [usize; 2],
    /// What is judged on.
    pub tasks: Vec<String>,
    /// The score that decides.
    pub metric: String,
    /// Mean tokens of an example, all columns.
    pub tokens_per_example: f64,
    /// Share of texts that are cut off.
    pub truncated_share: f64,
    /// Examples of a forward pass.
    pub batch_size: usize,
    /// Forward passes of a step.
    pub gradient_accumulation_steps: usize,
    /// Optimizer steps.
    pub total_steps: u64,
    /// Candidates each anchor is told apart from.
    pub negatives_per_anchor: Option<usize>,
    /// Estimated peak memory in bytes.
    pub memory_estimate: u64,
    /// Bytes that are free now, where the system says.
    pub memory_available: Option<u64>,
    /// Which negatives are mined, and when.
    #[serde(default)]
    pub mining: Option<String>,
    /// Prompts in use, `column: text`.
    pub prompts: Vec<String>,
    /// The model starts from random weights.
    pub from_scratch: bool,
}

/// Works the plan out; tokenizes a sample of the texts.
pub fn plan(config: &Config, prepared: &Prepared, order: &StepOrder) -> Result<Plan, Error> {
    let encoder = &prepared.encoder;
    let parameters = encoder.num_parameters();
    let shares = order.shares();
    let (mut tokens_per_example, mut truncated_share, mut tokens) = (0.0, 0.0, 0.0_f64);
    for (set, share) in prepared.sets.iter().zip(&shares) {
        let (mean, longest, truncated) = lengths(set, encoder)?;
        tokens_per_example += share * mean;
        truncated_share += share * truncated;
        let at_once = longest.min(mean * 1.6) * examples_at_once(set, config) as f64;
        let most = set.config.loss.mini_batch_tokens.map_or(f64::INFINITY, |most| most as f64);
        tokens = tokens.max(at_once.min(most));
    }
    let first = &prepared.sets[0];
    let several = prepared.sets.len() > 1;
    let largest = prepared.sets.iter().map(|set| batch(set, config)).max();
    Ok(Plan {
        model: encoder.contract.summary(),
        parameters,
        longest_input: encoder.contract.longest_input(),
        mappings: prepared.mappings.clone(),
        kind: if several { "examples" } else { first.dataset.kind.name() }.to_owned(),
        sets: if first.config.name.is_empty() { Vec::new() } else { set_lines(config, prepared, &shares) },
        train_examples: prepared.train_examples(),
        streaming: prepared.sets.iter().any(|set| set.dataset.are_in_files()),
        held_out: prepared.held_out,
        excluded: prepared.excluded,
        tasks: prepared.tasks.iter().map(task_line).collect(),
        metric: prepared.metric.clone(),
        tokens_per_example,
        truncated_share,
        batch_size: largest.unwrap_or_default(),
        gradient_accumulation_steps: config.train.gradient_accumulation_steps,
        total_steps: order.total_steps(),
        negatives_per_anchor: if several { None } else { negatives_per_anchor(first, config) },
        memory_estimate: memory::estimate(
            &encoder.contract.transformer().shape(),
            parameters + prepared.owned.num_params(),
            tokens as usize,
        ),
        memory_available: memory::available(),
        mining: config.mine.as_ref().map(|mine| mining(mine, order)),
        prompts: prompt_lines(prepared),
        from_scratch: config.model.fresh.is_some(),
    })
}

/// Examples of a set's full batch.
fn batch(set: &TrainSet, config: &Config) -> usize {
    config.train.per_device_train_batch_size.min(set.dataset.len())
}

fn examples_at_once(set: &TrainSet, config: &Config) -> usize {
    let batch = batch(set, config);
    let columns = set.kind.columns();
    set.config.loss.mini_batch_size.map_or(batch, |texts| batch.min(texts.div_ceil(columns)))
}

fn negatives_per_anchor(set: &TrainSet, config: &Config) -> Option<usize> {
    set.loss.negatives_per_anchor(batch(set, config), set.kind)
}

/// One line a set, and one on how they take turns.
fn set_lines(config: &Config, prepared: &Prepared, shares: &[f64]) -> Vec<String> {
    let line = |(set, share): (&TrainSet, &f64)| {
        let negatives = negatives_per_anchor(set, config)
            .map(|n| format!(", {n} negatives per anchor"))
            .unwrap_or_default();
        format!(
            "{}: {} {}, {}{negatives}, {:.1} % of the batches",
            set.config.name,
            set.dataset.len(),
            set.dataset.kind.name(),
            set.config.loss.name.name(),
            share * 100.0
        )
    };
    let mixing = match config.mixing() {
        Mixing::RoundRobin => "in turn, until the smallest has no batch left".to_owned(),
        Mixing::Proportional => "every batch of every set, in random order".to_owned(),
        Mixing::Temperature(temperature) => format!("in random order, evened by temperature {temperature}"),
    };
    prepared.sets.iter().zip(shares).map(line).chain([mixing]).collect()
}

/// `column: text`, of several sets with their names.
fn prompt_lines(prepared: &Prepared) -> Vec<String> {
    let of_set = |set: &TrainSet| {
        let name = if set.config.name.is_empty() { String::new() } else { format!("{} ", set.config.name) };
        let line = |(at, column): (usize, &str)| Some(format!("{name}{column}: {:?}", set.prompt(at)?));
        ["anchor", "positive"].into_iter().enumerate().filter_map(line).collect::<Vec<_>>()
    };
    prepared.sets.iter().flat_map(of_set).collect()
}

fn mining(mine: &MineConfig, order: &StepOrder) -> String {
    let steps: Vec<String> = order.minings().map(|step| step.to_string()).collect();
    let plural = if mine.num_negatives == 1 { "" } else { "s" };
    format!("{} negative{plural} of each anchor after steps {}", mine.num_negatives, steps.join(", "))
}

fn task_line((name, task): &(String, Task)) -> String {
    let name = if name.is_empty() { String::new() } else { format!("{name}, ") };
    format!("{name}{}: {}", task.name(), task.describe())
}

/// Mean tokens of an example, those of the longest one, and the share of texts that are cut off.
fn lengths(set: &TrainSet, encoder: &Encoder) -> Result<(f64, f64, f64), Error> {
    let examples = &set.dataset;
    let step = examples.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<_> =
        (0..examples.len()).step_by(step).map(|index| examples.get(index)).collect::<Result<_, _>>()?;
    let limit = encoder.contract.max_seq_length;
    let (mut totals, mut cut, mut texts) = (vec![0usize; sample.len()], 0usize, 0usize);
    for column in 0..set.kind.columns() {
        // Mined negatives are positives of others.
        let column = if column < set.dataset.kind.columns() { column } else { 1 };
        let prompt = set.prompt(column);
        let column: Vec<&str> = sample.iter().map(|e| e.texts[column].as_str()).collect();
        let lengths = encoder.tokenizer().lengths(&column, prompt)?;
        cut += lengths.iter().filter(|l| **l > limit).count();
        texts += lengths.len();
        for (total, length) in totals.iter_mut().zip(lengths) {
            *total += length.min(limit);
        }
    }
    let longest = totals.iter().copied().max().unwrap_or(0) as f64;
    let mean = totals.iter().sum::<usize>() as f64 / totals.len().max(1) as f64;
    Ok((mean, longest, cut as f64 / texts.max(1) as f64))
}

impl Plan {
    /// What the person should hear before hours go by.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(free) = self.memory_available.filter(|free| *free < self.memory_estimate) {
            warnings.push(format!(
                "about {} of memory will be needed, but only {} is free; \
                 lower train.per_device_train_batch_size or model.max_seq_length",
                mib(self.memory_estimate),
                mib(free)
            ));
        }
        if self.truncated_share > 0.2 {
            warnings.push(format!(
                "{:.0} % of the texts are longer than max_seq_length ({}) and are cut off",
                self.truncated_share * 100.0,
                self.longest_input
            ));
        }
        warnings
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let million = self.parameters as f64 / 1e6;
        let scratch = if self.from_scratch { ", from random weights" } else { "" };
        writeln!(
            f,
            "model     {} ({million:.1} M parameters, longest input {}{scratch})",
            self.model, self.longest_input
        )?;
        for mapping in &self.mappings {
            writeln!(f, "data      {mapping}")?;
        }
        let held = match self.held_out {
            0 => String::new(),
            n => format!(", {n} held out (no anchor or positive on both sides)"),
        };
        let of_sets = match self.sets.len() {
            0 => String::new(),
            lines => format!(" of {} sets", lines - 1),
        };
        if let Some(mining) = &self.mining {
            writeln!(f, "mine      {mining}")?;
        }
        let streaming = if self.streaming { ", read from their files as they are needed" } else { "" };
        writeln!(f, "train     {} {}{of_sets}{held}{streaming}", self.train_examples, self.kind)?;
        for (at, line) in self.sets.iter().enumerate() {
            writeln!(f, "{}{line}", if at + 1 < self.sets.len() { "set       " } else { "mixed     " })?;
        }
        let [train, eval] = self.excluded;
        if train + eval > 0 {
            writeln!(f, "left out  {train} excluded pairs to learn from, {eval} to judge by")?;
        }
        for task in &self.tasks {
            writeln!(f, "judge     {task}")?;
        }
        if !self.metric.is_empty() {
            writeln!(f, "best by   {}", self.metric)?;
        }
        for prompt in &self.prompts {
            writeln!(f, "prompt    {prompt}")?;
        }
        writeln!(
            f,
            "tokens    {:.0} an example, {:.1} % of texts cut off",
            self.tokens_per_example,
            self.truncated_share * 100.0
        )?;
        let negatives =
            self.negatives_per_anchor.map(|n| format!(", {n} negatives per anchor")).unwrap_or_default();
        let accumulation = match self.gradient_accumulation_steps {
            1 => String::new(),
            n => format!(" x {n} accumulated (which adds no negatives)"),
        };
        writeln!(f, "steps     {} of batch {}{accumulation}{negatives}", self.total_steps, self.batch_size)?;
        let free = self.memory_available.map(|m| format!(" of {} free", mib(m))).unwrap_or_default();
        write!(f, "memory    about {}{free}", mib(self.memory_estimate))
    }
}
