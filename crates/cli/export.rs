//! `temper export`: a model folder for others, certified to compute the same.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use temper_encoder::Precision;
use temper_export::{CardFacts, RunFacts};

use crate::failure::BadInput;
use crate::model::{ModelArgs, Opened};
use crate::terminal::Terminal;

/// Write a model as a folder that sentence-transformers loads
///
/// The folder gets a model card that tells base, data, config and scores where MODEL is a run. What was written is read
/// back, and both must give the same vectors.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper export runs/shop shop-model
  temper export runs/shop@400 shop-model-f16 --precision f16
  temper export MODEL small --truncate-dim 128")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The folder to write
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Number format of the weights
    #[arg(long, value_enum, default_value_t = PrecisionName::F32)]
    precision: PrecisionName,
    /// Replace the model files in a folder that is not empty
    #[arg(long)]
    force: bool,
}

/// The number formats as the command line spells them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PrecisionName {
    F32,
    F16,
    Bf16,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    check_target(&args.dir, args.force)?;
    write(&args.model.open(terminal)?, &args.dir, args.precision.precision(), terminal)?;
    terminal.print(args.dir.display().to_string())
}

/// Writes an opened model to `dir` and tells how well it reads back.
pub fn write(opened: &Opened, dir: &Path, precision: Precision, terminal: &Terminal) -> anyhow::Result<()> {
    let name = dir.file_name().map_or("model".into(), |name| name.to_string_lossy());
    write_named(opened, &name, dir, precision, terminal)
}

/// The same, with a name for the card that is not the folder's.
pub fn write_named(
    opened: &Opened,
    name: &str,
    dir: &Path,
    precision: Precision,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let facts = facts(opened, name)?;
    let certificate = temper_export::export(&opened.encoder, &facts, dir, precision)
        .with_context(|| format!("failed to export to `{}`", dir.display()))?;
    terminal.note(format!(
        "read back: {} texts embedded with both differ by at most {:e} (smallest cosine {:.6})",
        certificate.probes, certificate.max_difference, certificate.min_cosine
    ));
    terminal.note(format!("fingerprint {}", certificate.fingerprint));
    Ok(())
}

impl PrecisionName {
    fn precision(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::F16 => Precision::F16,
            Self::Bf16 => Precision::Bf16,
        }
    }
}

fn check_target(dir: &Path, force: bool) -> anyhow::Result<()> {
    let problem = if dir.is_file() {
        "is a file"
    } else if !force && dir.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        "is not empty"
    } else {
        return Ok(());
    };
    let hint = "choose another folder, or --force to replace the model files in it";
    Err(BadInput::new(format!("DIR `{}` {problem}", dir.display())).hint(hint).into())
}

/// What the card tells: the run's story where the model is a checkpoint.
fn facts(opened: &Opened, name: &str) -> anyhow::Result<CardFacts> {
    Ok(CardFacts {
        name: name.to_owned(),
        source: opened.reference.clone(),
        derived_from: temper_export::read_origin(&opened.folder)?.map(|origin| origin.derived_from),
        run: RunFacts::of_model(&opened.folder)?,
    })
}
