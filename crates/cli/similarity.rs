//! `temper similarity`: how close texts are.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use temper_data::{ColumnMap, ReadOptions};
use temper_vectors::Similarity;

use crate::columns;
use crate::failure::BadInput;
use crate::model::{ModelArgs, PrecisionArgs};
use crate::prompt::PromptArgs;
use crate::table::{shorten, table};
use crate::terminal::Terminal;

/// Letters of a text shown beside a matrix.
const SHOWN: usize = 40;

/// Say how close texts are
///
/// Two texts give one number, three or more a matrix, a file of pairs one number a line. The measure is the model's
/// own; higher is closer.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper similarity MODEL \"a cat sits\" \"a feline rests\"
  temper similarity MODEL \"disk full\" \"no space left\" \"printer jam\"
  temper similarity MODEL --pairs pairs.tsv > scores.txt
  paste a.txt b.txt | temper similarity MODEL --pairs -")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    /// The texts, two or more
    #[arg(value_name = "TEXT", required_unless_present = "pairs", conflicts_with = "pairs")]
    texts: Vec<String>,
    /// A file of pairs (JSONL, CSV, TSV, Parquet); `-` is stdin with two texts a line, separated by a tab
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// Which columns of FILE hold the texts: `anchor=NAME,positive=NAME`
    #[arg(long, value_name = "ROLE=COLUMN,..", value_parser = columns::parse, requires = "pairs")]
    columns: Option<ColumnMap>,
    /// The measure, in place of the model's
    #[arg(long, value_enum)]
    similarity: Option<SimilarityName>,
    #[command(flatten)]
    prompt: PromptArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The measures as the command line spells them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SimilarityName {
    Cosine,
    Dot,
    Euclidean,
    Manhattan,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    if args.pairs.is_none() && args.texts.len() == 1 {
        return Err(
            BadInput::new("one text alone has no similarity: give two or more, or --pairs FILE").into()
        );
    }
    let pairs = args.pairs.as_deref().map(|path| read_pairs(path, args.columns.as_ref())).transpose()?;
    let opened = args.precision.prepare(args.model.open(terminal)?)?;
    let contract = &opened.encoder.contract;
    let similarity = args.similarity.map_or(contract.similarity, SimilarityName::similarity);
    let prompt = args.prompt.text(contract)?;
    let bar =
        terminal.progress("embedding", Some(pairs.as_ref().map_or(args.texts.len(), |p| 2 * p.0.len())));
    let embed = |texts: &[String]| opened.encoder.embed(texts, prompt, &mut |done| bar.inc(done as u64));
    if let Some((first, second)) = pairs {
        let (a, b) = (embed(&first)?, embed(&second)?);
        bar.finish_and_clear();
        let scores = similarity.pairwise(&a, &b)?;
        return scores.into_iter().zip(first.iter().zip(&second)).try_for_each(|(score, (a, b))| {
            if args.json {
                let row = json!({"texts": [a, b], "similarity": similarity.name(), "score": score});
                terminal.print_json(&row)
            } else {
                terminal.print(format!("{score:.6}"))
            }
        });
    }
    let vectors = embed(&args.texts)?;
    bar.finish_and_clear();
    let matrix = similarity.matrix(&vectors, &vectors)?;
    let rows: Vec<&[f32]> = matrix.chunks(args.texts.len()).collect();
    if args.json {
        let value = json!({
            "model": opened.reference,
            "similarity": similarity.name(),
            "texts": args.texts,
            "matrix": rows,
        });
        terminal.print_json(&value)
    } else if args.texts.len() == 2 {
        terminal.print(format!("{:.6}", rows[0][1]))
    } else {
        terminal.print(matrix_table(&args.texts, &rows))
    }
}

impl SimilarityName {
    fn similarity(self) -> Similarity {
        match self {
            Self::Cosine => Similarity::Cosine,
            Self::Dot => Similarity::Dot,
            Self::Euclidean => Similarity::Euclidean,
            Self::Manhattan => Similarity::Manhattan,
        }
    }
}

/// Both sides of the pairs in a file, or on stdin.
fn read_pairs(path: &Path, columns: Option<&ColumnMap>) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    if path == Path::new("-") {
        return read_stdin();
    }
    let options = ReadOptions { columns: columns.cloned().unwrap_or_default(), ..ReadOptions::default() };
    let dataset = temper_data::read(&[path.to_owned()], &options)?;
    if dataset.kind.columns() < 2 {
        let problem =
            format!("`{}` holds {}, and a similarity needs two texts", path.display(), dataset.kind.name());
        let hint = "name both: --columns anchor=NAME,positive=NAME";
        return Err(BadInput::new(problem).hint(hint).into());
    }
    let sides = dataset.examples.into_iter().filter_map(|example| {
        let mut texts = example.texts.into_iter();
        texts.next().zip(texts.next())
    });
    Ok(sides.unzip())
}

fn read_stdin() -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let mut sides = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        let line = line.map_err(|error| BadInput::new(format!("stdin:{number}: {error}")))?;
        let Some((first, second)) = line.split_once('\t') else {
            return Err(
                BadInput::new(format!("stdin:{number}: expected two texts separated by a tab")).into()
            );
        };
        sides.0.push(first.to_owned());
        sides.1.push(second.to_owned());
    }
    if sides.0.is_empty() {
        return Err(BadInput::new("there are no pairs: stdin is empty").into());
    }
    Ok(sides)
}

fn matrix_table(texts: &[String], rows: &[&[f32]]) -> String {
    let numbers = (1..=texts.len()).map(|number| number.to_string());
    let header = [String::new(), String::new()].into_iter().chain(numbers).collect();
    let rows = (1..).zip(texts.iter().zip(rows)).map(|(number, (text, row))| {
        let scores = row.iter().map(|score| format!("{score:.4}"));
        [number.to_string(), shorten(text, SHOWN)].into_iter().chain(scores).collect()
    });
    table(header, rows, 2)
}
