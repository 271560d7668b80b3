//! `temper embed`: texts in, vectors out, in order, in memory that does not grow with the input.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use indicatif::ProgressBar;
use temper_data::TextFormat;
use temper_vectors::{Format, VectorWriter};

use crate::ahead::{Ahead, Texts};
use crate::cache::CacheArgs;
use crate::failure::{BadInput, is_interruption};
use crate::interrupt::Interrupt;
use crate::model::{ModelArgs, Opened, PrecisionArgs};
use crate::pieces::{PieceArgs, Ready, Rows};
use crate::prompt::PromptArgs;
use crate::source::Source;
use crate::stored;
use crate::terminal::Terminal;

/// Turn texts into vectors
///
/// Texts are lines, a field of JSONL, or a column of CSV, TSV or Parquet, by the file's extension. Vectors keep their
/// order. Without -o they are printed as JSONL.
///
/// Pieces of long texts (--chunk-tokens) are rows of their own, with the number of the text (`row`, from 0) and the
/// characters of it that they hold (`start`, `end`), in JSONL and Parquet. They end between words.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper embed MODEL questions.txt -o questions.npy
  temper embed MODEL articles.jsonl --field body -o articles.parquet
  temper embed MODEL --prompt query --text \"how do I resize a partition\"
  temper embed MODEL articles.jsonl --cache -o articles.npy
  temper embed MODEL manuals.jsonl --field body --chunk-tokens 256 --overlap 32 -o pieces.parquet
  zcat log.gz | temper embed MODEL - -o log.safetensors")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    inputs: Inputs,
    /// Write the vectors here: .npy, .safetensors, .jsonl or .parquet; `-` is stdout
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// The format, where the name of OUT does not say it
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    pieces: PieceArgs,
    /// Scale every vector to length 1
    #[arg(long)]
    normalize: bool,
    /// Take vectors computed before from the cache, and keep the new ones there
    #[arg(long)]
    cache: bool,
    #[command(flatten)]
    location: CacheArgs,
}

/// Where the texts come from.
#[derive(Clone, clap::Args)]
struct Inputs {
    /// Files of texts, one after the other; `-` or none is stdin
    #[arg(value_name = "FILE", conflicts_with = "text")]
    files: Vec<PathBuf>,
    /// Embed this text; may be repeated
    #[arg(long, value_name = "TEXT")]
    text: Vec<String>,
    /// The field or column that holds the texts; stdin is then JSONL
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
}

/// The formats as the command line spells them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FormatName {
    Npy,
    Safetensors,
    Jsonl,
    Parquet,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let format = args.format()?;
    if args.pieces.is_asked() && !format.keeps_texts() {
        let problem = format!("{format} does not say which text a piece is of");
        return Err(BadInput::new(problem).hint("write .jsonl or .parquet with --chunk-tokens").into());
    }
    check_inputs(&args.inputs)?;
    let opened = args.precision.prepare(args.model.open(terminal)?)?;
    let prompt = args.prompt.text(&opened.encoder.contract)?;
    let mut writer = args.writer(format, &opened, prompt)?;
    let store = if args.cache || args.location.is_named() {
        args.location.open(&opened, prompt, terminal)?
    } else {
        None
    };
    let source = Arc::new(Source::new(opened.encoder.clone(), prompt.map(str::to_owned), store));
    let mut cutter = args.pieces.cutter(Arc::clone(&source), &opened.encoder, prompt)?;
    let interrupt = Interrupt::listen()?;
    let started = Instant::now();
    let known = Some(args.inputs.text.len()).filter(|texts| *texts > 0 && !args.pieces.is_asked());
    let bar = terminal.progress("embedding", known);
    let mut ahead = Ahead::start(args.inputs.clone().texts(), move |texts| cutter.prepare(texts));
    let rows = write_all(&args, &mut ahead, &source, &mut writer, (&bar, &interrupt));
    bar.finish_and_clear();
    source.finish(terminal);
    if rows.as_ref().is_err_and(is_interruption) {
        terminal.note(match args.to_file().filter(|path| !is_special(path)) {
            Some(path) => format!("interrupted: `{}` was not written", path.display()),
            None => "interrupted".to_owned(),
        });
    }
    let rows = rows?;
    if rows == 0 {
        return Err(BadInput::new("there are no texts to embed: the input is empty").into());
    }
    writer.finish()?;
    if let Some(output) = args.to_file() {
        let seconds = started.elapsed().as_secs_f64();
        let rate = rows as f64 / seconds;
        let dim = opened.encoder.contract.dim();
        let what = if args.pieces.is_asked() { "pieces" } else { "texts" };
        terminal.note(format!(
            "{rows} vectors of {dim} in {seconds:.1} s ({rate:.0} {what}/s): {}",
            output.display()
        ));
    }
    Ok(())
}

/// Writes the vectors of all texts, and says how many there were.
fn write_all(
    args: &Args,
    ahead: &mut Ahead<Ready>,
    source: &Source,
    writer: &mut VectorWriter,
    (bar, interrupt): (&ProgressBar, &Interrupt),
) -> anyhow::Result<usize> {
    let mut rows = 0;
    while let Some(chunk) = ahead.next(interrupt)? {
        let Rows { pieces, texts, mut vectors } = chunk.embed(source, bar);
        if args.normalize {
            vectors = vectors.normalized();
        }
        match pieces {
            Some(pieces) => writer.write_pieces(&pieces, &texts, &vectors.values)?,
            None => writer.write_rows(Some(&texts), &vectors.values)?,
        }
        rows += texts.len();
    }
    Ok(rows)
}

impl Args {
    /// The file to write, unless it is stdout.
    fn to_file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }

    fn format(&self) -> anyhow::Result<Format> {
        Ok(match (self.format, self.to_file()) {
            (Some(FormatName::Npy), _) => Format::Npy,
            (Some(FormatName::Safetensors), _) => Format::Safetensors,
            (Some(FormatName::Jsonl), _) | (None, None) => Format::Jsonl,
            (Some(FormatName::Parquet), _) => Format::Parquet,
            (None, Some(path)) if is_special(path) => Format::Jsonl,
            (None, Some(path)) => Format::from_extension(path)?,
        })
    }

    fn writer(&self, format: Format, opened: &Opened, prompt: Option<&str>) -> anyhow::Result<VectorWriter> {
        let dim = opened.encoder.contract.dim();
        let provenance = match format {
            // JSONL has no place for it, and the fingerprint takes a while.
            Format::Jsonl => temper_vectors::Provenance::default(),
            Format::Npy | Format::Safetensors | Format::Parquet => stored::provenance(opened, prompt)?,
        };
        let stream: Box<dyn Write + Send> = match self.to_file() {
            None => Box::new(io::stdout()),
            // A whole file takes the place of the old one; a pipe or a device must stay what it is.
            Some(path) if is_special(path) => {
                Box::new(File::create(path).with_context(|| format!("failed to write `{}`", path.display()))?)
            }
            Some(path) => return Ok(VectorWriter::create(path, format, dim, &provenance)?),
        };
        let buffered = BufWriter::with_capacity(1 << 16, stream);
        Ok(VectorWriter::to_stream(Box::new(buffered), format, dim, &provenance)?)
    }
}

impl Inputs {
    /// All texts, one file opened after the other.
    fn texts(self) -> Texts {
        if !self.text.is_empty() {
            return Box::new(self.text.into_iter().map(Ok));
        }
        let field = self.field;
        if self.files.is_empty() {
            return flatten(open(Path::new("-"), field.as_deref()));
        }
        Box::new(self.files.into_iter().flat_map(move |path| flatten(open(&path, field.as_deref()))))
    }
}

/// A missing file or column is told before the model is loaded, not when its turn comes. A pipe (`<(zcat x.gz)`) is
/// left alone: what is read from it now would be missing later.
fn check_inputs(inputs: &Inputs) -> anyhow::Result<()> {
    for path in inputs.files.iter().filter(|path| *path != Path::new("-") && !is_special(path)) {
        if let Some(Err(error)) = open(path, inputs.field.as_deref())?.next() {
            return Err(error.into());
        }
    }
    Ok(())
}

/// Whether the path names a pipe or a device, which is written into and never replaced.
pub fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

fn open(path: &Path, field: Option<&str>) -> anyhow::Result<temper_data::Texts> {
    if path != Path::new("-") {
        return Ok(temper_data::Texts::open(path, field)?);
    }
    let format = if field.is_some() { TextFormat::Jsonl } else { TextFormat::Lines };
    let stdin = BufReader::with_capacity(1 << 16, io::stdin());
    temper_data::Texts::from_reader(stdin, Path::new("stdin"), format, field).context("failed to read stdin")
}

fn flatten(texts: anyhow::Result<temper_data::Texts>) -> Texts {
    match texts {
        Ok(texts) => Box::new(texts.map(|text| text.map_err(Into::into))),
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}
