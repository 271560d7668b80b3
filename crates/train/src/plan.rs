//! What a run is going to do, said before it starts.

use std::fmt;

use burn::module::Module;
use serde::{Deserialize, Serialize};
use temper_encoder::Encoder;
use temper_eval::Task;

use crate::batches::StepOrder;
use crate::config::Config;
use crate::error::Error;
use crate::losses::Objective;
use crate::memory;
use crate::prepare::Prepared;

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
    /// Kind of examples.
    pub kind: String,
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
    /// Prompts in use, `column: text`.
    pub prompts: Vec<String>,
    /// The model starts from random weights.
    pub from_scratch: bool,
}

/// Works the plan out; tokenizes a sample of the texts.
pub fn plan(config: &Config, prepared: &Prepared, order: &StepOrder) -> Result<Plan, Error> {
    let (dataset, encoder) = (&prepared.dataset, &prepared.encoder);
    let (tokens_per_example, longest, truncated_share) = lengths(config, prepared, encoder)?;
    let batch = config.train.per_device_train_batch_size.min(dataset.len());
    let parameters = encoder.num_parameters();
    let columns = dataset.kind.columns();
    let examples_at_once = match config.loss.mini_batch_size {
        Some(texts) => batch.min(texts.div_ceil(columns)),
        None => batch,
    };
    let tokens = longest.min(tokens_per_example * 1.6) * examples_at_once as f64;
    let prompts = [("anchor", &config.prompts.anchor), ("positive", &config.prompts.positive)];
    Ok(Plan {
        model: encoder.contract.summary(),
        parameters,
        longest_input: encoder.contract.longest_input(),
        mappings: prepared.mappings.clone(),
        kind: dataset.kind.name().to_owned(),
        train_examples: dataset.len(),
        streaming: dataset.are_in_files(),
        held_out: prepared.held_out,
        excluded: prepared.excluded,
        tasks: prepared.tasks.iter().map(task_line).collect(),
        metric: prepared.metric.clone(),
        tokens_per_example,
        truncated_share,
        batch_size: batch,
        gradient_accumulation_steps: config.train.gradient_accumulation_steps,
        total_steps: order.total_steps(),
        negatives_per_anchor: prepared.loss.negatives_per_anchor(batch, dataset.kind),
        memory_estimate: memory::estimate(
            &encoder.contract.transformer().shape(),
            parameters + prepared.owned.num_params(),
            tokens as usize,
        ),
        memory_available: memory::available(),
        prompts: prompts.iter().filter_map(|(c, p)| p.as_ref().map(|p| format!("{c}: {p:?}"))).collect(),
        from_scratch: config.model.fresh.is_some(),
    })
}

fn task_line((name, task): &(String, Task)) -> String {
    let name = if name.is_empty() { String::new() } else { format!("{name}, ") };
    format!("{name}{}: {}", task.name(), task.describe())
}

/// Mean tokens of an example, those of the longest one, and the share of texts that are cut off.
fn lengths(config: &Config, prepared: &Prepared, encoder: &Encoder) -> Result<(f64, f64, f64), Error> {
    let examples = &prepared.dataset;
    let step = examples.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<_> =
        (0..examples.len()).step_by(step).map(|index| examples.get(index)).collect::<Result<_, _>>()?;
    let limit = encoder.contract.max_seq_length;
    let (mut totals, mut cut, mut texts) = (vec![0usize; sample.len()], 0usize, 0usize);
    for column in 0..prepared.dataset.kind.columns() {
        let prompt = if column == 0 { &config.prompts.anchor } else { &config.prompts.positive };
        let column: Vec<&str> = sample.iter().map(|e| e.texts[column].as_str()).collect();
        let lengths = encoder.tokenizer().lengths(&column, prompt.as_deref())?;
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
        let streaming = if self.streaming { ", read from their files as they are needed" } else { "" };
        writeln!(f, "train     {} {}{held}{streaming}", self.train_examples, self.kind)?;
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
