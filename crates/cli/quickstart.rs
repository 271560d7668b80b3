//! `temper quickstart`: the main job on the bundled sample, from nothing to an exported folder.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use temper_encoder::Precision;

use crate::fetch::fetch_models;
use crate::model::ReadingArgs;
use crate::terminal::{Terminal, program, quoted};
use crate::{export, train};

/// The sample and its config, so that the command works wherever the binary is.
const FILES: [(&str, &str); 4] = [
    ("configs/quickstart.toml", include_str!("../../configs/quickstart.toml")),
    ("data/train.jsonl", include_str!("../../data/train.jsonl")),
    ("data/dev.jsonl", include_str!("../../data/dev.jsonl")),
    ("data/scored.jsonl", include_str!("../../data/scored.jsonl")),
];

/// Train, judge, export and use a small encoder on the bundled sample, in under two minutes
#[derive(clap::Args)]
#[command(after_help = "\
The encoder starts from nothing: random weights, and a vocabulary learned from the sample's 400 question/answer
pairs. What it shows is the whole path; with your own data start from a pretrained MODEL.

Examples:
  temper quickstart
  temper quickstart --base models/all-MiniLM-L6-v2
  temper quickstart --set seed=7")]
pub struct Args {
    /// Fine-tune this MODEL instead of starting from random weights
    #[arg(long, value_name = "MODEL")]
    base: Option<String>,
    /// Override a config key
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// Runs the main job and prints the next three commands.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let config = place_files(terminal)?;
    let mut overrides = args.overrides;
    if let Some(base) = &args.base {
        let base = toml_edit::Value::from(base.as_str());
        overrides.push(format!("model={{ base = {base}, max_seq_length = 128 }}"));
        overrides.push("train.learning_rate=2e-5".to_owned());
        overrides.push("train.num_train_epochs=3".to_owned());
    }
    let config = temper_train::parse::read(&config, &overrides)?;
    if args.base.is_none() {
        terminal.note(
            "This encoder starts from nothing: random weights and a vocabulary learned from 400 pairs.",
        );
    }
    let argv: Vec<String> = std::env::args().collect();
    fetch_models(&config, terminal)?;
    let job = temper_train::create(config, None, &argv)?;
    let report = train::execute(&job, train::Ui::Plain, terminal)?;
    train::print_result(&job, &report, terminal)?;

    let run = job.folder.path().display().to_string();
    let exported = job.folder.path().join("export");
    let opened = ReadingArgs::default().open(&run, terminal)?;
    export::write(&opened, &exported, Precision::F32, terminal)?;
    let (temper, run, exported) = (program(), quoted(run), quoted(exported.display()));
    terminal.print(format!("exported  {exported} (loads in sentence-transformers as it is)\n\nnext:"))?;
    terminal.print(format!("  {temper} eval {run} data/dev.jsonl"))?;
    terminal.print(format!(
        "  {temper} similarity {exported} \"my brakes squeal\" \"disc brake noise\" \"rent a bike\""
    ))?;
    terminal
        .print(format!("  {temper} embed {exported} data/dev.jsonl --field positive -o {run}/answers.npy"))
}

/// The config's path; files that the working folder lacks are written there.
fn place_files(terminal: &Terminal) -> anyhow::Result<PathBuf> {
    for (name, text) in FILES {
        let path = Path::new(name);
        if path.exists() {
            continue;
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("failed to create `{}`", folder.display()))?;
        }
        std::fs::write(path, text).with_context(|| format!("failed to write `{name}`"))?;
        terminal.note(format!("wrote {name}"));
    }
    Ok(PathBuf::from(FILES[0].0))
}
