//! MODEL and the flags that every command which loads one shares.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use temper_encoder::contract::pool_from_name;
use temper_encoder::{Encoder, LinearPrecision, Loaded, Origin, Origins, ReadOptions};
use temper_kernels::{DeviceName, is_fused};

use crate::failure::BadInput;
use crate::fetch::fetch;
use crate::terminal::Terminal;

/// Where the help lists these flags.
const READING: &str = "Reading the model";

const POOLINGS: [&str; 6] = ["cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"];

/// A model and how to read it.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// Model folder, run (`runs/x` is its best checkpoint, `runs/x@last`, `runs/x@400`), or hub id (`org/name`, `org/name@revision`)
    #[arg(value_name = "MODEL")]
    pub model: String,
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// How to read a model.
#[derive(clap::Args, Default)]
pub struct ReadingArgs {
    /// Pooling of a plain transformers folder, which does not say
    #[arg(long, help_heading = READING, value_name = "NAME", value_parser = PossibleValuesParser::new(POOLINGS))]
    pooling: Option<String>,
    /// Longest input in tokens; the rest of a text is cut off
    #[arg(long, help_heading = READING, value_name = "N")]
    max_seq_length: Option<usize>,
    /// Keep this many leading values of every vector
    #[arg(long, help_heading = READING, value_name = "N")]
    truncate_dim: Option<usize>,
    /// Where to compute: auto (a GPU if there is one), cpu, cuda, cuda:N, ndarray; see `temper devices`
    #[arg(long, help_heading = READING, value_name = "DEVICE", default_value_t)]
    device: DeviceName,
}

/// How exactly to compute.
#[derive(clap::Args)]
pub struct PrecisionArgs {
    /// What to compute with: `int8` is several times as fast and moves vectors a little
    #[arg(long, help_heading = READING, value_enum, default_value_t = PrecisionName::F32)]
    precision: PrecisionName,
}

/// The precisions as the command line spells them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PrecisionName {
    /// 32-bit floats.
    F32,
    /// 8-bit integers in the linear layers, each token with a range of its own.
    Int8,
}

impl PrecisionArgs {
    /// The model, packed for inference.
    pub fn prepare(&self, opened: Opened) -> anyhow::Result<Opened> {
        let precision = match self.precision {
            PrecisionName::F32 => LinearPrecision::F32,
            PrecisionName::Int8 => LinearPrecision::Int8,
        };
        let device = opened.encoder.device();
        if precision == LinearPrecision::Int8 && !is_fused(&device) {
            let problem = format!("--precision int8 is for the CPU, not for `{}`", DeviceName::of(&device));
            return Err(BadInput::new(problem).hint("leave it out, or add `--device cpu`").into());
        }
        Ok(Opened { encoder: opened.encoder.for_inference(precision), ..opened })
    }
}

/// A model that was read.
pub struct Opened {
    /// As the user named it.
    pub reference: String,
    /// The folder it lies in.
    pub folder: PathBuf,
    /// The encoder.
    pub encoder: Encoder,
    /// What its contract rests on.
    pub origins: Origins,
    /// What the reader had to guess, told already.
    pub warnings: Vec<String>,
}

impl ModelArgs {
    /// Finds and reads the model; what the reader had to guess becomes warnings.
    pub fn open(&self, terminal: &Terminal) -> anyhow::Result<Opened> {
        self.reading.open(&self.model, terminal)
    }
}

impl ReadingArgs {
    /// Finds and reads the model that `model` names.
    pub fn open(&self, model: &str, terminal: &Terminal) -> anyhow::Result<Opened> {
        let device = self.device.open()?;
        let folder = fetch(model, None, terminal)?.folder;
        let options = ReadOptions {
            pooling: self.pooling.as_deref().and_then(pool_from_name),
            max_seq_length: self.max_seq_length,
            truncate_dim: self.truncate_dim,
        };
        let started = Instant::now();
        let loaded = temper_encoder::read(&folder, &options, &device)
            .with_context(|| format!("failed to load the model `{model}`"))?;
        if let (Some(_), Origin::File(file)) = (&self.pooling, &loaded.origins.pooling) {
            let problem = format!(
                "`{}` says itself how it pools, in {file}, so --pooling means nothing",
                folder.display()
            );
            return Err(BadInput::new(problem)
                .hint("leave --pooling out; `temper info` shows the model's")
                .into());
        }
        terminal.detail(|| {
            format!(
                "read `{model}` from `{}` to {} in {:.2} s",
                folder.display(),
                DeviceName::of(&device),
                started.elapsed().as_secs_f64()
            )
        });
        for warning in &loaded.warnings {
            terminal.warn(warning);
        }
        let Loaded { encoder, origins, warnings } = loaded;
        Ok(Opened { reference: model.to_owned(), folder, encoder, origins, warnings })
    }
}
