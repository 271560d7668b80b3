//! `temper mine`: hard negatives for pairs.

use std::fs::File;
use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};
use temper_data::bm25::Bm25;
use temper_data::mining::{Candidate, Miner, Pool, Rejected, Rules, Sampling, Tally};
use temper_data::{CorpusColumns, read_corpus};
use temper_runs::AtomicFile;

use crate::embed::is_special;
use crate::failure::BadInput;
use crate::input::InputArgs;
use crate::interrupt::Interrupt;
use crate::model::ReadingArgs;
use crate::prompt::SidePromptArgs;
use crate::scorer::{Scorer, embed_pool};
use crate::terminal::Terminal;
use crate::vectors::VectorArgs;

/// Find hard negatives for pairs: texts close to an anchor that do not belong to it
///
/// Every anchor's closest texts are looked at: of all positives, and of a corpus if one is named. Its own positives are
/// no negatives, and no text that scores too close to them should be, for it may well be an answer that nobody marked:
/// --relative-margin 0.05 leaves out what scores above 95 % of the positive. Negatives that the files have are left aside. What
/// is written trains as it is.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper mine pairs.jsonl --model MODEL --relative-margin 0.05 -o triplets.jsonl
  temper mine pairs.jsonl --model MODEL --corpus documents.jsonl --range-min 10 --range-max 100 --sampling random
  temper mine pairs.jsonl --bm25 --num-negatives 5 --format n-tuple > tuples.jsonl")]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Score texts by this model
    #[arg(long, value_name = "MODEL", required_unless_present = "bm25")]
    model: Option<String>,
    /// Score texts by the words that they share (BM25) in place of a model
    #[arg(long, conflicts_with = "model")]
    bm25: bool,
    /// More texts to take negatives from: a file, or a folder with corpus.jsonl
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// The field or column of the corpus that holds the texts
    #[arg(long, value_name = "NAME", requires = "corpus")]
    field: Option<String>,
    /// Negatives of every anchor
    #[arg(short = 'n', long, value_name = "N", default_value = "3")]
    num_negatives: usize,
    /// Skip so many of the closest texts that the other limits leave
    #[arg(long, value_name = "N", default_value = "0")]
    range_min: usize,
    /// Look at so many of the closest texts; as many as are needed when not given, with spare ones where scores are limited
    #[arg(long, value_name = "N")]
    range_max: Option<usize>,
    /// A negative scores at least so much less than the anchor's lowest positive
    #[arg(long, value_name = "SCORE")]
    absolute_margin: Option<f32>,
    /// A negative scores at least so much less than the anchor's lowest positive, as a share of its score: 0.05 is usual
    #[arg(long, value_name = "SHARE")]
    relative_margin: Option<f32>,
    /// A negative scores at most this
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    max_score: Option<f32>,
    /// A negative scores at least this
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    min_score: Option<f32>,
    /// Which of the texts that are left become negatives
    #[arg(long, value_enum, default_value_t = Take::Top)]
    sampling: Take,
    /// Seed of random sampling
    #[arg(long, value_name = "N", default_value = "42")]
    seed: u64,
    /// Rank the positives among the others, as data to judge rerankers by has them (n-tuple only)
    #[arg(long)]
    include_positives: bool,
    /// What a line of the output is
    #[arg(long, value_enum, default_value_t = Format::Triplet)]
    format: Format,
    /// Add `scores`, of the positive and the negatives; in a labelled pair `score` in place of the label
    #[arg(long)]
    scores: bool,
    /// Write here in place of stdout, whole or not at all
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    prompts: SidePromptArgs,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    vectors: VectorArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Take {
    /// Those that score highest.
    Top,
    /// Any, by seed.
    Random,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// `anchor`, `positive`, `negative`: a line for each negative.
    Triplet,
    /// `anchor`, `positive`, `negative_1`, ...: a line for each pair; anchors with too few negatives are left out.
    NTuple,
    /// `sentence1`, `sentence2`, `label`: 1 for a positive, 0 for a negative.
    LabeledPair,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let rules = args.rules()?;
    args.check_output()?;
    let pool = args.pool(terminal)?;
    let interrupt = Interrupt::listen()?;
    // A pipe or a device is written into and never replaced.
    let file = args.output.as_deref().filter(|path| !is_special(path));
    let mut file = file.map(AtomicFile::create).transpose()?;
    let failed = || match &args.output {
        Some(path) => format!("failed to write `{}`", path.display()),
        None => "failed to write to stdout".to_owned(),
    };
    let mut out: Box<dyn Write> = match (&mut file, &args.output) {
        (Some(file), _) => Box::new(file),
        (None, Some(path)) => Box::new(File::create(path).with_context(failed)?),
        (None, None) => Box::new(stdout()),
    };
    let scorer = args.scorer(&pool, &interrupt, terminal)?;
    let bar = terminal.progress("mining", Some(pool.anchors.len()));
    let mut miner = Miner::new(&pool, &rules, args.seed, 0);
    let mut rows = 0;
    for anchors in pool.pieces() {
        interrupt.check()?;
        let scored = scorer.score(&pool, anchors.clone(), miner.depth());
        bar.inc(anchors.len() as u64);
        let mut lines = Vec::new();
        for (anchor, scored) in anchors.zip(scored) {
            let negatives = miner.choose(anchor, &scored);
            for line in args.lines(&pool, anchor, &scored.positives, &negatives) {
                serde_json::to_writer(&mut lines, &line)?;
                lines.push(b'\n');
                rows += 1;
            }
        }
        bar.suspend(|| out.write_all(&lines)).with_context(failed)?;
    }
    bar.finish_and_clear();
    drop(out);
    file.map_or(Ok(()), AtomicFile::finish)?;
    terminal.note(told(rows, rules.count, miner.tally));
    Ok(())
}

impl Args {
    fn rules(&self) -> anyhow::Result<Rules> {
        let rules = Rules {
            count: self.num_negatives,
            range_min: self.range_min,
            range_max: self.range_max,
            absolute_margin: self.absolute_margin,
            relative_margin: self.relative_margin,
            max_score: self.max_score,
            min_score: self.min_score,
            sampling: match self.sampling {
                Take::Top => Sampling::Top,
                Take::Random => Sampling::Random,
            },
            include_positives: self.include_positives,
        };
        rules.check().map_err(BadInput::new)?;
        if self.include_positives && self.format != Format::NTuple {
            let problem = "--include-positives keeps a ranking, which only --format n-tuple can hold";
            return Err(BadInput::new(problem).into());
        }
        Ok(rules)
    }

    /// The lines are JSON, and a file of another name would be read as something else.
    fn check_output(&self) -> anyhow::Result<()> {
        let Some(path) = &self.output else { return Ok(()) };
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        if ["csv", "tsv", "parquet"].iter().any(|other| extension == *other) {
            let problem = format!("`{}`: negatives are written as JSON lines", path.display());
            let hint = "name the file .jsonl; `temper data convert` writes it as another";
            return Err(BadInput::new(problem).hint(hint).into());
        }
        Ok(())
    }

    fn pool(&self, terminal: &Terminal) -> anyhow::Result<Pool> {
        let dataset = self.input.read(terminal)?;
        if !dataset.kind.has_positives() {
            let (file, kind) = (self.input.files[0].display(), dataset.kind.name());
            let problem = format!("`{file}` holds {kind}, which say no positives");
            let hint = "name the two columns alone: --columns anchor=NAME,positive=NAME";
            return Err(BadInput::new(problem).hint(hint).into());
        }
        let corpus = match &self.corpus {
            Some(path) => read_corpus(path, CorpusColumns { field: self.field.as_deref(), id: None })?,
            None => Vec::new(),
        };
        let pool = Pool::new(&dataset.examples, corpus.into_iter().map(|document| document.text));
        let (anchors, texts) = (pool.anchors.len(), pool.texts.len());
        terminal.note(format!("{} pairs: {anchors} anchors, {texts} texts to choose from", dataset.len()));
        Ok(pool)
    }

    fn scorer(&self, pool: &Pool, interrupt: &Interrupt, terminal: &Terminal) -> anyhow::Result<Scorer> {
        let Some(model) = &self.model else { return Ok(Scorer::Words(Bm25::new(&pool.texts))) };
        let opened = self.reading.open(model, terminal)?;
        let vectors = embed_pool(pool, &opened, &self.prompts, &self.vectors, interrupt, terminal)?;
        Ok(Scorer::Vectors(vectors))
    }

    /// The lines of one anchor: its positives with their scores, and what was chosen.
    fn lines(
        &self,
        pool: &Pool,
        anchor: usize,
        positives: &[Candidate],
        negatives: &[Candidate],
    ) -> Vec<Value> {
        let text = |candidate: &Candidate| Value::from(pool.texts[candidate.text].as_str());
        let line = |fields: Vec<(String, Value)>| Value::Object(fields.into_iter().collect());
        let field = |name: &str, value: Value| (name.to_owned(), value);
        let pair = |positive: &Candidate| {
            let anchor = Value::from(pool.anchors[anchor].as_str());
            vec![field("anchor", anchor), field("positive", text(positive))]
        };
        let scores = |positive: &Candidate, negatives: &[Candidate]| {
            let all = [positive].into_iter().chain(negatives).map(|candidate| candidate.score);
            self.scores.then(|| field("scores", all.collect::<Vec<_>>().into()))
        };
        let triplet = |positive: &Candidate, negative: &Candidate| {
            let mut fields = pair(positive);
            fields.push(field("negative", text(negative)));
            fields.extend(scores(positive, std::slice::from_ref(negative)));
            line(fields)
        };
        let tuple = |positive: &Candidate| {
            let mut fields = pair(positive);
            let numbered = (1..).zip(negatives);
            fields.extend(numbered.map(|(number, negative)| (format!("negative_{number}"), text(negative))));
            fields.extend(scores(positive, negatives));
            line(fields)
        };
        let labelled = |label: u8| {
            move |candidate: &Candidate| {
                let (key, value) = if self.scores {
                    ("score", Value::from(candidate.score))
                } else {
                    ("label", label.into())
                };
                json!({"sentence1": pool.anchors[anchor], "sentence2": pool.texts[candidate.text], (key): value})
            }
        };
        match self.format {
            Format::Triplet => {
                let of = |positive| negatives.iter().map(move |negative| triplet(positive, negative));
                positives.iter().flat_map(of).collect()
            }
            Format::NTuple if negatives.len() < self.num_negatives => Vec::new(),
            Format::NTuple => positives.iter().map(tuple).collect(),
            Format::LabeledPair => {
                let positives = positives.iter().map(labelled(1));
                positives.chain(negatives.iter().map(labelled(0))).collect()
            }
        }
    }
}

/// What was found, in words.
fn told(rows: usize, asked: usize, tally: Tally) -> String {
    let Tally { anchors, short, none, rejected } = tally;
    let Rejected { candidates, own, absolute_margin, relative_margin, max_score, min_score } = rejected;
    let limits = [
        (own, "positives of the anchor, or the same text"),
        (absolute_margin, "within the absolute margin of the positive"),
        (relative_margin, "within the relative margin of the positive"),
        (max_score, "above the highest score"),
        (min_score, "below the lowest score"),
    ];
    let share = |count: usize| 100.0 * count as f64 / candidates.max(1) as f64;
    let limits: Vec<String> = limits
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("\n  {count} rejected ({:.1} %): {why}", share(*count)))
        .collect();
    let limits = limits.concat();
    let short = match short {
        0 => String::new(),
        _ => format!(
            "\n  {short} of {anchors} anchors have fewer than {asked} negatives, {none} none; a larger --range-max or \
             wider limits find more"
        ),
    };
    format!("{rows} lines; {candidates} candidates were looked at{limits}{short}")
}
