//! `temper eval`: named scores for a model on labelled examples.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use temper_data::{ColumnMap, ExcludedPairs, OnBadRow, ReadOptions};
use temper_eval::{Prompts, Reading, Scores, Task};
use temper_runs::WorstQuery;

use crate::columns;
use crate::input::InputArgs;
use crate::interrupt;
use crate::model::{ModelArgs, PrecisionArgs};
use crate::prompt::SidePromptArgs;
use crate::table::table;
use crate::terminal::Terminal;

/// Judge a model on labelled examples
///
/// The data decides what is measured: pairs are retrieval over the distinct positives, triplets triplet accuracy,
/// scored pairs STS or, where every label is 0 or 1, pair classification, labelled texts classification by the nearest of
/// the others, or by what --fit teaches a classifier; a BEIR folder (corpus.jsonl, queries.jsonl, qrels/) is retrieval. Rows {query, positive: [..], negative: [..]} are reranking, rows {id, text, duplicates: [id, ..]}
/// paraphrase mining.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper eval MODEL dev.jsonl
  temper eval runs/shop dev.jsonl sts.tsv --json > scores.jsonl
  temper eval MODEL scifact/ --split dev
  temper eval MODEL dev.jsonl --worst 10
  temper eval MODEL test.jsonl --fit train.jsonl
  temper eval MODEL faq.csv --columns anchor=question,positive=answer")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    /// Data files, BEIR folders and folders of data sets as on the hub, each judged on its own
    #[arg(value_name = "DATA", required = true)]
    data: Vec<PathBuf>,
    /// Which qrels of a BEIR folder: without it `test`, else `dev`, else the only one; or which split of another folder:
    /// `validation`, else `test`
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Labelled texts to fit classifiers on, the vote of the nearest and a logistic regression (linear probe)
    #[arg(long, value_name = "FILE")]
    fit: Vec<PathBuf>,
    /// What the columns mean: `anchor=NAME,positive=NAME`, with `negative=`, `label=` or `class=`; `text=NAME,class=NAME`
    #[arg(long, value_name = "ROLE=COLUMN,..", value_parser = columns::parse)]
    columns: Option<ColumnMap>,
    /// Leave rows out that cannot be used, instead of refusing the file
    #[arg(long)]
    skip_bad_rows: bool,
    #[command(flatten)]
    prompts: SidePromptArgs,
    /// Show the queries whose positive is ranked lowest, with the documents that compete with it (retrieval only)
    #[arg(long, value_name = "N", default_value_t = 0)]
    worst: usize,
    /// Print one JSON object for each DATA
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    interrupt::end_on_ctrl_c()?;
    // All are read before the first is judged: a typo in the last name should not cost the time of the others.
    let options = ReadOptions {
        columns: args.columns.clone().unwrap_or_default(),
        on_bad_row: if args.skip_bad_rows { OnBadRow::Skip } else { OnBadRow::Refuse },
        ..ReadOptions::default()
    };
    let reading = Reading { options, split: args.split.as_deref(), fit: &args.fit };
    let read = |path: &PathBuf| {
        let read = reading.read(path, &mut ExcludedPairs::default())?;
        InputArgs::warn_of(&read.skipped, terminal);
        anyhow::Ok(read.task)
    };
    let tasks = args.data.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    let opened = args.precision.prepare(args.model.open(terminal)?)?;
    let fingerprint = args.json.then(|| opened.encoder.fingerprint());
    for (path, task) in args.data.iter().zip(&tasks) {
        let prompts = args.prompts.of(&opened, task)?;
        let bar = terminal.progress("judging", Some(task.work()));
        let judgement = task.judge(&opened.encoder, &prompts, &mut |done| bar.inc(done as u64))?;
        let (scores, worst) = (&judgement.scores, task.worst_queries(&judgement, args.worst));
        bar.finish_and_clear();
        if args.worst > 0 && judgement.placements.is_empty() {
            terminal.warn(format!("`{}` ranks nothing, so no query of it is worst", path.display()));
        }
        if args.json {
            let mut line = json!({
                "model": opened.reference,
                "fingerprint": fingerprint,
                "data": path,
                "task": task.name(),
                "texts": task.size(),
                "prompts": {"first": prompts.first, "second": prompts.second},
                "metric": task.default_metric(),
                "scores": scores,
            });
            if args.worst > 0 {
                line["worst"] = json!(worst);
            }
            terminal.print_json(&line)?;
        } else {
            terminal.print(report(path, task, &prompts, scores))?;
            for query in &worst {
                terminal.print(worst_query(query))?;
            }
        }
    }
    Ok(())
}

fn report(path: &Path, task: &Task, prompts: &Prompts, scores: &Scores) -> String {
    let metric = task.default_metric();
    let summary = scores.get(metric).map_or(f64::NAN, |score| *score);
    let head = format!("{}: {}, {}: {metric} {summary:.4}\n", path.display(), task.name(), task.describe());
    let show = |prompt: &Option<String>| format!("{:?}", prompt.as_deref().unwrap_or_default());
    let used = if *prompts == Prompts::default() {
        String::new()
    } else {
        format!("prompts: {} and {}\n", show(&prompts.first), show(&prompts.second))
    };
    format!("{head}{used}{}\n", scores_table(scores))
}

/// A query, its positive and the documents around it, each on a line; similarities in front.
fn worst_query(worst: &WorstQuery) -> String {
    let line = |mark: &str, score: f64, text: &str| format!("  {score:.4} {mark} {}", one_line(text));
    let mut lines = vec![format!("rank {}: {}", worst.rank, one_line(&worst.query))];
    lines.push(line("+", worst.score, &worst.positive));
    lines.extend(worst.confusers.iter().map(|confuser| line("-", confuser.score, &confuser.text)));
    lines.join("\n") + "\n"
}

/// A text on one line of sensible length.
fn one_line(text: &str) -> String {
    const SHOWN_CHARS: usize = 120;
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = line.char_indices().nth(SHOWN_CHARS) {
        line.truncate(at);
        line.push_str("...");
    }
    line
}

/// The measures that a score's name may have, and what stands over those without one.
const MEASURES: [&str; 6] = ["cosine", "dot", "euclidean", "manhattan", "max", "score"];

/// Metrics down, measures across.
fn scores_table(scores: &Scores) -> String {
    let mut cells: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
    for (name, score) in scores {
        let (metric, measure) = split(name);
        cells.entry(metric).or_default().insert(measure, *score);
    }
    let used: Vec<&str> =
        MEASURES.into_iter().filter(|measure| cells.values().any(|row| row.contains_key(measure))).collect();
    let mut metrics: Vec<&str> = cells.keys().copied().collect();
    metrics.sort_by_key(|metric| natural(metric));
    let header = std::iter::once("").chain(used.iter().copied()).map(str::to_owned).collect();
    let rows = metrics.into_iter().map(|metric| {
        let score = |measure: &&str| cells[metric].get(measure).map_or(String::new(), |s| format!("{s:.4}"));
        std::iter::once(metric.to_owned()).chain(used.iter().map(score)).collect()
    });
    table(header, rows, 1)
}

/// Metric and measure of a score's name; the reference puts the measure first, last, or nowhere.
fn split(name: &str) -> (&str, &str) {
    match name.split_once('_') {
        Some((measure, metric)) if MEASURES.contains(&measure) => (metric, measure),
        Some((metric, measure)) if MEASURES.contains(&measure) => (metric, measure),
        _ => (name, "score"),
    }
}

/// A key that sorts `@10` behind `@5`.
fn natural(metric: &str) -> (&str, usize) {
    let (name, cutoff) = metric.split_once('@').unwrap_or((metric, ""));
    (name, cutoff.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_orders_are_split() {
        assert_eq!(split("cosine_accuracy@10"), ("accuracy@10", "cosine"));
        assert_eq!(split("spearman_max"), ("spearman", "max"));
        assert_eq!(split("max_f1_threshold"), ("f1_threshold", "max"));
        assert_eq!(split("average_precision"), ("average_precision", "score"));
        assert_eq!(split("map"), ("map", "score"));
    }

    #[test]
    fn a_long_text_is_cut_and_stays_on_one_line() {
        assert_eq!(one_line("a\n b"), "a b");
        assert_eq!(one_line(&"\u{e4}".repeat(121)), "\u{e4}".repeat(120) + "...");
    }

    #[test]
    fn the_table_has_a_row_a_metric_and_a_column_a_measure() {
        let scores = [("cosine_accuracy@10", 0.5), ("cosine_accuracy@5", 0.25), ("dot_accuracy@5", 0.125)];
        let table = scores_table(&scores.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect());
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            rows,
            [vec!["cosine", "dot"], vec!["accuracy@5", "0.2500", "0.1250"], vec!["accuracy@10", "0.5000"]]
        );
    }
}
