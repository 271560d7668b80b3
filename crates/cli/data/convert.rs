//! `temper data convert`: any files as one, with the column names that everybody knows.

use std::io::{self, Write};
use std::path::PathBuf;

use temper_runs::AtomicFile;

use crate::failure::BadInput;
use crate::input::InputArgs;
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;

/// Write data files as one JSONL, CSV or TSV file with the usual column names
///
/// Pairs and triplets get `anchor`, `positive`, `negative_1` and so on; scored pairs `sentence1`, `sentence2`, `score`;
/// classified pairs `class` in place of it; labelled texts `text`, `label`. Files may be larger than memory: they are read
/// twice, a row at a time.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper data convert faq.csv --columns anchor=question,positive=answer -o faq.jsonl
  temper data convert a.parquet b.jsonl -o all.tsv
  temper data convert all-nli/triplet/ --split dev -o dev.jsonl")]
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

/// A file into which no more is written once Ctrl-C was pressed.
struct Stopped<'a> {
    file: &'a mut AtomicFile,
    interrupt: &'a Interrupt,
}

impl Write for Stopped<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupt.check().map_err(io::Error::other)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Runs the command.
pub fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    if args.output.exists() && !args.force {
        let problem = format!("`{}` is there already", args.output.display());
        return Err(BadInput::new(problem)
            .hint("name another file with -o, or replace it with --force")
            .into());
    }
    let interrupt = Interrupt::listen()?;
    let mut file = AtomicFile::create(&args.output)?;
    let out = Stopped { file: &mut file, interrupt: &interrupt };
    let done = temper_data::rewrite(&args.input.files, &args.input.options(), &args.output, out);
    interrupt.check()?;
    let done = done?;
    file.finish()?;
    InputArgs::warn_of(&done.skipped, terminal);
    terminal.note(format!("{} {} in `{}`", done.examples, done.kind.name(), args.output.display()));
    Ok(())
}
