//! `temper data convert`: any files as one, with the column names that everybody knows.

use std::path::PathBuf;

use super::write;
use crate::failure::BadInput;
use crate::input::InputArgs;
use crate::terminal::Terminal;

/// Write data files as one JSONL, CSV or TSV file with the usual column names
///
/// Pairs and triplets get `anchor`, `positive`, `negative_1` and so on; scored pairs `sentence1`, `sentence2`, `score`;
/// classified pairs `class` in place of it; labelled texts `text`, `label`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper data convert faq.csv --columns anchor=question,positive=answer -o faq.jsonl
  temper data convert a.parquet b.jsonl -o all.tsv")]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// The new file: .jsonl, .csv or .tsv
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace a file that is there already
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    if args.output.exists() && !args.force {
        let problem = format!("`{}` is there already", args.output.display());
        return Err(BadInput::new(problem)
            .hint("name another file with -o, or replace it with --force")
            .into());
    }
    let dataset = args.input.read(terminal)?;
    let all: Vec<usize> = (0..dataset.len()).collect();
    write(&dataset, &all, &args.output)?;
    terminal.note(format!("{} {} in `{}`", dataset.len(), dataset.kind.name(), args.output.display()));
    Ok(())
}
