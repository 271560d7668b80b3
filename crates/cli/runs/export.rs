//! `temper runs export`: runs as tables that other tools import.

use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::PathBuf;

use anyhow::Context as _;
use temper_runs::{FlatError, write_atomic, write_json, write_steps, write_summaries};

use super::Root;
use crate::embed::is_special;
use crate::failure::BadInput;
use crate::terminal::Terminal;

/// Write runs as CSV or JSON, for Weights & Biases, MLflow or a spreadsheet
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper runs export -o steps.csv
  temper runs export --summary runs/a runs/b
  temper runs export --format json runs/shop -o shop.json

CSV, a line a step that was logged or evaluated (empty: there was no such number at this step; NaN: it was none):
  run, step                   the run folder's name, optimizer steps taken (0 is before training)
  time                        Unix seconds
  train/epoch, train/loss, train/learning_rate, train/grad_norm, train/examples_per_second, train/tokens_per_second
                              as in the TensorBoard log; the loss is the mean since the line before
  train/examples, train/tokens, train/elapsed_seconds
                              in all since the run began
  train/memory                bytes of the process in RAM, where the run noted it
  eval/NAME                   every score
CSV with --summary, a line a run:
  run, status, created, temper_version, seed, device, instruction_set, base, base_fingerprint,
  data_hashes                 `path=blake3`, separated by `;`
  metric, baseline, best, best_step
                              the deciding score: its name, before training, of the best checkpoint
  step, total_steps, elapsed_seconds, config_hash
  config.KEY                  the resolved config
  eval/NAME                   the best checkpoint's scores
JSON, an array with an object a run: `summary` and `config` as above, `scores` (`baseline`, `best`), and `history`, an
object a step with the names above, where absent numbers are absent and NaN is null.

Weights & Biases: one `wandb.init(name=run, config=config)` a run, one `run.log(row, step=row[\"step\"])` a row of `history`.
MLflow: `mlflow.log_params(config)`, and `mlflow.log_metric(name, value, step=row[\"step\"])` for every number of a row.")]
pub struct Args {
    /// The runs; all of them when none is named
    #[arg(value_name = "RUN")]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    root: Root,
    /// How to write them
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// CSV with a line a run, in place of a line a step
    #[arg(long)]
    summary: bool,
    /// Where to write; stdout when not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One table.
    Csv,
    /// Everything.
    Json,
}

/// Runs the command.
pub fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    if args.summary && args.format == Format::Json {
        return Err(BadInput::new("--summary means nothing with --format json, which holds both").into());
    }
    let runs = args.root.find_all(&args.runs, terminal)?;
    let failed = || match &args.output {
        Some(path) => format!("failed to export to `{}`", path.display()),
        None => "failed to export".to_owned(),
    };
    // A file that is there stays as it is until the new one is whole.
    let file = args.output.as_deref().filter(|path| !is_special(path));
    let mut whole = Vec::new();
    let mut out: Box<dyn Write> = match (&args.output, file) {
        (_, Some(_)) => Box::new(&mut whole),
        (Some(path), None) => Box::new(BufWriter::new(File::create(path).with_context(failed)?)),
        (None, None) => Box::new(BufWriter::new(stdout())),
    };
    let written = match (args.format, args.summary) {
        (Format::Csv, false) => write_steps(&runs, &mut out),
        (Format::Csv, true) => write_summaries(&runs, &mut out),
        (Format::Json, _) => write_json(&runs, &mut out),
    };
    // Its wrapper would hide a closed pipe from whoever decides how the command ends.
    written
        .map_err(|error| match error {
            FlatError::Run(error) => anyhow::Error::from(error),
            FlatError::Write(error) => error.into(),
        })
        .with_context(failed)?;
    out.flush().with_context(failed)?;
    drop(out);
    file.map_or(Ok(()), |path| write_atomic(path, &whole)).with_context(failed)
}
