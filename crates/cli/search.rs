//! `temper search`: the closest texts of a corpus, whose vectors are computed once.

use std::io::{self, BufRead, IsTerminal as _, Write as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;
use temper_data::{CorpusColumns, Document, Retrieval, read_corpus};
use temper_eval::Task;
use temper_vectors::{Hit, Prepared, Similarity, top_k};

use crate::failure::BadInput;
use crate::interrupt::Interrupt;
use crate::model::{ModelArgs, Opened, PrecisionArgs};
use crate::prompt::SidePromptArgs;
use crate::table::shorten;
use crate::terminal::Terminal;
use crate::vectors::VectorArgs;

/// Letters of a document shown in a list of results.
const SHOWN: usize = 100;
/// Queries of a pipe that are answered together.
const TOGETHER: usize = 256;

/// Find the texts of a corpus that are closest to a query
///
/// Every text is compared, by the model's own measure; higher is closer. The corpus is lines, JSONL, CSV, TSV or
/// Parquet, by the file's extension, or a BEIR folder. Without a query they are asked for, or read from stdin, one a
/// line. The corpus's vectors are kept in the cache, so that the next search computes only those of new texts.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper search MODEL --corpus faq.txt \"how do I resize a partition\"
  temper search MODEL --corpus articles.jsonl --field body --id-field url \"disk full\" \"printer jam\"
  temper search MODEL --corpus scifact/ --top-k 100 --json < queries.txt > hits.jsonl")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    /// What to search for
    #[arg(value_name = "QUERY")]
    queries: Vec<String>,
    /// The texts to search in: a file, or a folder with corpus.jsonl
    #[arg(long, value_name = "FILE")]
    corpus: PathBuf,
    /// The field or column of FILE that holds the texts
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    /// The one that identifies a text; without it `_id` or `id`, else the line
    #[arg(long, value_name = "NAME")]
    id_field: Option<String>,
    /// Results for each query
    #[arg(short = 'k', long, value_name = "K", default_value = "10")]
    top_k: NonZeroUsize,
    #[command(flatten)]
    prompts: SidePromptArgs,
    /// Print one JSON object for each query
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    vectors: VectorArgs,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    if let Some(place) = args.queries.iter().position(|query| query.trim().is_empty()) {
        return Err(BadInput::new(format!("query {} is empty", place + 1)).into());
    }
    let columns = CorpusColumns { field: args.field.as_deref(), id: args.id_field.as_deref() };
    let documents = read_corpus(&args.corpus, columns)?;
    if documents.is_empty() {
        let problem = format!("there is nothing to search in: `{}` holds no texts", args.corpus.display());
        return Err(BadInput::new(problem).into());
    }
    let opened = args.precision.prepare(args.model.open(terminal)?)?;
    let prompts = args.prompts.of(&opened, &Task::Retrieval(Retrieval::default()))?;
    let interrupt = Interrupt::listen()?;
    let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
    let vectors = args.vectors.of(&texts, &opened, prompts.second.as_deref(), &interrupt, terminal)?;
    interrupt.no_longer_wait();
    let search = Search {
        args: &args,
        opened: &opened,
        prompt: prompts.first.as_deref(),
        documents: &documents,
        corpus: opened.encoder.contract.similarity.prepare(&vectors),
        similarity: opened.encoder.contract.similarity,
        terminal,
    };
    if !args.queries.is_empty() {
        search.answer(&args.queries)
    } else if io::stdin().is_terminal() {
        search.converse()
    } else {
        search.answer_lines(io::stdin().lock())
    }
}

/// A corpus that is ready to be asked.
struct Search<'a> {
    args: &'a Args,
    opened: &'a Opened,
    prompt: Option<&'a str>,
    documents: &'a [Document],
    corpus: Prepared<'a>,
    similarity: Similarity,
    terminal: &'a Terminal,
}

impl Search<'_> {
    /// Prints the results of some queries.
    fn answer(&self, queries: &[String]) -> anyhow::Result<()> {
        let vectors = self.opened.encoder.embed(queries, self.prompt, &mut |_| ())?;
        let found = top_k(&self.corpus, &self.similarity.prepare(&vectors), self.args.top_k.get());
        for (query, hits) in queries.iter().zip(&found) {
            if self.args.json {
                self.terminal.print_json(&self.json(query, hits))?;
            } else {
                self.terminal.print(self.listing(query, hits))?;
            }
        }
        Ok(())
    }

    /// Asks for queries until Ctrl-D.
    fn converse(&self) -> anyhow::Result<()> {
        self.terminal.note("Type a query; Ctrl-D ends.");
        loop {
            let mut line = String::new();
            // The prompt is no data, and a closed stderr no reason to stop.
            drop(write!(io::stderr(), "> "));
            if io::stdin().read_line(&mut line).context("failed to read stdin")? == 0 {
                drop(writeln!(io::stderr()));
                return Ok(());
            }
            let query = line.trim();
            if !query.is_empty() {
                self.answer(&[query.to_owned()])?;
            }
        }
    }

    /// Answers the lines of a pipe as they come; what has come together is answered together.
    fn answer_lines(&self, input: impl io::Read) -> anyhow::Result<()> {
        let mut input = io::BufReader::with_capacity(1 << 16, input);
        let mut queries = Vec::new();
        for number in 1.. {
            let mut line = String::new();
            let read = input.read_line(&mut line);
            let read = read.map_err(|error| BadInput::new(format!("stdin:{number}: {error}")))?;
            let query = line.trim_end_matches(['\n', '\r']);
            if read == 0 && number == 1 {
                let problem = "there are no queries: stdin is empty";
                return Err(BadInput::new(problem)
                    .hint("give them as arguments, or a line each on stdin")
                    .into());
            }
            if read > 0 && query.trim().is_empty() {
                return Err(BadInput::new(format!("stdin:{number}: the query is empty")).into());
            }
            if read > 0 {
                queries.push(query.to_owned());
            }
            if read == 0 || queries.len() == TOGETHER || !input.buffer().contains(&b'\n') {
                self.answer(&queries)?;
                queries.clear();
            }
            if read == 0 {
                break;
            }
        }
        Ok(())
    }

    fn json(&self, query: &str, hits: &[Hit]) -> serde_json::Value {
        let results = (1..).zip(hits).map(|(rank, hit)| {
            let Document { id, text } = &self.documents[hit.row];
            json!({"rank": rank, "id": id, "score": hit.score, "text": text})
        });
        json!({
            "query": query,
            "model": self.opened.reference,
            "similarity": self.similarity.name(),
            "results": results.collect::<Vec<_>>(),
        })
    }

    fn listing(&self, query: &str, hits: &[Hit]) -> String {
        let id = |hit: &Hit| self.documents[hit.row].id.as_str();
        let width = hits.iter().map(|hit| id(hit).chars().count()).max().unwrap_or(0);
        let lines = (1..).zip(hits).map(|(rank, hit)| {
            let text = shorten(&self.documents[hit.row].text, SHOWN);
            format!("{rank:>3}  {:.4}  {:<width$}  {text}\n", hit.score, id(hit))
        });
        format!("{query}\n{}", lines.collect::<String>())
    }
}
