//! A training run as one TOML file. Keys bear the names of the HF `TrainingArguments` where one exists.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use temper_data::{BatchSampler, ColumnMap, OnBadRow};
use temper_encoder::fresh::FreshConfig;
use temper_kernels::DeviceName;

use crate::losses::LossConfig;
use crate::mining::MineConfig;
use crate::sets::{SetConfig, SetSampler};

/// Everything that decides what a run computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the run; its folder is `<runs>/<name>-<time>`.
    #[serde(default = "default_name")]
    pub name: String,
    /// Where runs go; `$TEMPER_RUNS` or `./runs` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<PathBuf>,
    /// Seed of every random choice.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Where to compute: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `ndarray`.
    #[serde(default)]
    pub device: DeviceName,
    /// The encoder to start from.
    pub model: ModelConfig,
    /// The examples.
    #[serde(default)]
    pub data: DataConfig,
    /// Texts put in front of a column, in training and evaluation alike; the export carries them.
    #[serde(default, skip_serializing_if = "PromptConfig::is_empty")]
    pub prompts: PromptConfig,
    /// What is minimised.
    #[serde(default)]
    pub loss: LossConfig,
    /// Hard negatives for pairs, mined anew while training; none are where the section is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mine: Option<MineConfig>,
    /// How it is minimised.
    #[serde(default)]
    pub train: TrainConfig,
    /// Several sets of training examples with a loss each, in place of `data.train` and `[loss]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<SetConfig>,
}

/// The encoder to start from: `base`, or `fresh`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// MODEL to fine-tune: a folder, a run or a hub id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Branch, tag or commit of a base on the hub; a run's own config names the commit it began from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Pooling of a base that is a plain transformers folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooling: Option<String>,
    /// Longest input in tokens; the base's own when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seq_length: Option<usize>,
    /// Dropout while training; the base's own when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// A random encoder with a vocabulary trained on the training texts, in place of a base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<FreshConfig>,
}

/// The examples to learn from and to judge by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Training files (JSONL, CSV, TSV, Parquet) or folders of them as on the hub, all of one kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub train: Vec<PathBuf>,
    /// Evaluation files, BEIR folders or folders of data sets; without one, a part of the training examples is held out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub eval: Vec<PathBuf>,
    /// Files of pairs that are wrong, as the dashboard marks them (`exclusions.jsonl` of a run): neither learned from
    /// nor judged by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<PathBuf>,
    /// Which column is what; recognised by the usual names when not given.
    pub columns: ColumnMap,
    /// What to do with rows that cannot be used.
    pub on_bad_row: OnBadRow,
    /// Read only this many training examples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_train_samples: Option<usize>,
    /// Read only this many evaluation examples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_eval_samples: Option<usize>,
    /// Leave the training texts in their files and read them when they are needed, for files larger than memory (JSONL,
    /// CSV, TSV). Decided by the size of the files and the free memory when not given; the results are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<bool>,
    /// Labels outside this range are bad rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_range: Option<(f32, f32)>,
    /// Share of the training examples that is held out when there is no evaluation file.
    pub held_out: f64,
    /// Most examples that are held out.
    pub held_out_max: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            train: Vec::new(),
            eval: Vec::new(),
            exclude: Vec::new(),
            columns: ColumnMap::default(),
            on_bad_row: OnBadRow::default(),
            max_train_samples: None,
            max_eval_samples: None,
            streaming: None,
            label_range: None,
            held_out: 0.1,
            held_out_max: 1000,
        }
    }
}

/// Prompt texts by column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptConfig {
    /// In front of anchors (queries) or first sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor: Option<String>,
    /// In front of positives and negatives (documents) or second sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
}

impl PromptConfig {
    /// Whether no column has a prompt.
    pub fn is_empty(&self) -> bool {
        self.anchor.is_none() && self.positive.is_none()
    }
}

/// The optimisation, named as in the HF `TrainingArguments`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Passes over the training examples.
    pub num_train_epochs: u64,
    /// Optimizer steps, in place of epochs; 0 means epochs decide.
    pub max_steps: u64,
    /// Examples of one forward pass; in-batch negatives come from these.
    pub per_device_train_batch_size: usize,
    /// Forward passes whose gradients are averaged into one step. Adds no negatives.
    pub gradient_accumulation_steps: usize,
    /// How examples are put into batches; labelled texts `group_by_label` and all others `no_duplicates` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_sampler: Option<BatchSampler>,
    /// Several sets: which one each batch comes from; `proportional` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_dataset_batch_sampler: Option<SetSampler>,
    /// Sampler `temperature`: 1 is proportional, and the larger, the more equal the shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_dataset_temperature: Option<f64>,
    /// Leave out the last batch of an epoch when it is not full.
    pub dataloader_drop_last: bool,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// How the learning rate falls after warm-up.
    pub lr_scheduler_type: SchedulerType,
    /// Share of the steps spent warming up.
    pub warmup_ratio: f64,
    /// Steps spent warming up; takes precedence over the ratio when above 0.
    pub warmup_steps: u64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Which parameters decay.
    pub weight_decay_on: DecayGroups,
    /// AdamW's beta1.
    pub adam_beta1: f64,
    /// AdamW's beta2.
    pub adam_beta2: f64,
    /// AdamW's epsilon.
    pub adam_epsilon: f64,
    /// Global gradient norm above which gradients are scaled down; 0 switches clipping off.
    pub max_grad_norm: f64,
    /// Steps between two log lines.
    pub logging_steps: u64,
    /// Steps between two evaluations (below 1: share of all steps; 0: only before and after).
    pub eval_steps: f64,
    /// Steps between two checkpoints beyond those at evaluations (below 1: share; 0: none).
    pub save_steps: f64,
    /// Checkpoints kept beside the best one.
    pub save_total_limit: usize,
    /// The score that decides which checkpoint is best; the task's own when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_for_best_model: Option<String>,
    /// Evaluations without improvement after which training stops; 0 never stops early.
    pub early_stopping_patience: u64,
    /// Improvement below this counts as none.
    pub early_stopping_threshold: f64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            num_train_epochs: 1,
            max_steps: 0,
            per_device_train_batch_size: 32,
            gradient_accumulation_steps: 1,
            batch_sampler: None,
            multi_dataset_batch_sampler: None,
            multi_dataset_temperature: None,
            dataloader_drop_last: false,
            learning_rate: 2e-5,
            lr_scheduler_type: SchedulerType::Linear,
            warmup_ratio: 0.1,
            warmup_steps: 0,
            weight_decay: 0.01,
            weight_decay_on: DecayGroups::Weights,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            max_grad_norm: 1.0,
            logging_steps: 10,
            eval_steps: 0.25,
            save_steps: 0.0,
            save_total_limit: 2,
            metric_for_best_model: None,
            early_stopping_patience: 0,
            early_stopping_threshold: 0.0,
        }
    }
}

/// How the learning rate falls after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerType {
    /// In a straight line to zero.
    Linear,
    /// Along half a cosine to zero.
    Cosine,
    /// It does not.
    Constant,
}

/// Which parameters decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecayGroups {
    /// All but biases and `LayerNorm`, as the HF Trainer groups them.
    Weights,
    /// All.
    All,
}

fn default_name() -> String {
    "run".to_owned()
}

fn default_seed() -> u64 {
    42
}
