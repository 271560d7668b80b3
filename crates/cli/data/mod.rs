//! `temper data`: data before training on it.

mod convert;
mod doctor;
mod inspect;
mod split;

use std::path::Path;

use temper_data::Dataset;
use temper_runs::AtomicFile;

use crate::terminal::Terminal;

/// Look at data, divide it and convert it before training on it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper data inspect train.jsonl
  temper data inspect train.jsonl --eval dev.jsonl --exclude runs/shop/exclusions.jsonl
  temper data doctor train.jsonl --eval dev.jsonl --model MODEL --cleaned clean.jsonl
  temper data split faq.csv -o parts/ --dev 0.1 --test 0.1
  temper data convert faq.csv --columns anchor=question,positive=answer -o faq.jsonl")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Inspect(inspect::Args),
    Doctor(Box<doctor::Args>),
    Split(split::Args),
    Convert(convert::Args),
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    match args.command {
        Command::Inspect(args) => inspect::run(&args, terminal),
        Command::Doctor(args) => doctor::run(&args, terminal),
        Command::Split(args) => split::run(&args, terminal),
        Command::Convert(args) => convert::run(&args, terminal),
    }
}

/// Writes some examples in the format that the file's name says.
fn write(dataset: &Dataset, examples: &[usize], path: &Path) -> anyhow::Result<()> {
    let mut file = AtomicFile::create(path)?;
    temper_data::write(dataset, examples, path, &mut file)?;
    Ok(file.finish()?)
}
