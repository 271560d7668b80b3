//! `temper eval`: named scores for a model on labelled examples.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use temper_data::{ColumnMap, OnBadRow, ReadOptions};
use temper_eval::{Prompts, Scores, Task};
use temper_export::RunFacts;

use crate::columns;
use crate::model::{ModelArgs, Opened, PrecisionArgs};
use crate::table::table;
use crate::terminal::Terminal;

/// Judge a model on labelled examples
///
/// The data decides what is measured: pairs are retrieval over the distinct positives, triplets triplet accuracy,
/// scored pairs STS or, where every label is 0 or 1, pair classification; a BEIR folder (corpus.jsonl, queries.jsonl,
/// qrels/) is retrieval.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper eval MODEL dev.jsonl
  temper eval runs/shop dev.jsonl sts.tsv --json > scores.jsonl
  temper eval MODEL scifact/ --split dev
  temper eval MODEL faq.csv --columns anchor=question,positive=answer")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    /// Data files and BEIR folders, each judged on its own
    #[arg(value_name = "DATA", required = true)]
    data: Vec<PathBuf>,
    /// Which qrels of a BEIR folder: without it `test`, else `dev`, else the only one
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// What the columns mean: `anchor=NAME,positive=NAME`, with `negative=` or `label=`
    #[arg(long, value_name = "ROLE=COLUMN,..", value_parser = columns::parse)]
    columns: Option<ColumnMap>,
    /// Leave rows out that cannot be used, instead of refusing the file
    #[arg(long)]
    skip_bad_rows: bool,
    /// Prompt of queries and first sentences, by name, in place of the one the model's own prompts suggest
    #[arg(long, value_name = "NAME")]
    query_prompt: Option<String>,
    /// Prompt of documents and second sentences, by name
    #[arg(long, value_name = "NAME")]
    document_prompt: Option<String>,
    /// Print one JSON object for each DATA
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    // All are read before the first is judged: a typo in the last name should not cost the time of the others.
    let options = ReadOptions {
        columns: args.columns.clone().unwrap_or_default(),
        on_bad_row: if args.skip_bad_rows { OnBadRow::Skip } else { OnBadRow::Refuse },
        ..ReadOptions::default()
    };
    let read = |path: &PathBuf| Task::read(path, &options, args.split.as_deref());
    let tasks = args.data.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let opened = args.precision.prepare(args.model.open(terminal)?)?;
    let trained_with = trained_with(&opened)?;
    let fingerprint = args.json.then(|| opened.encoder.fingerprint());
    for (path, task) in args.data.iter().zip(&tasks) {
        let prompts = args.prompts(&opened, trained_with.as_ref(), task)?;
        let bar = terminal.progress("embedding", Some(task.size()));
        let scores = task.evaluate(&opened.encoder, &prompts, &mut |done| bar.inc(done as u64))?;
        bar.finish_and_clear();
        if args.json {
            terminal.print_json(&json!({
                "model": opened.reference,
                "fingerprint": fingerprint,
                "data": path,
                "task": task.name(),
                "texts": task.size(),
                "prompts": {"first": prompts.first, "second": prompts.second},
                "metric": task.default_metric(),
                "scores": scores,
            }))?;
        } else {
            terminal.print(report(path, task, &prompts, &scores))?;
        }
    }
    Ok(())
}

impl Args {
    /// The prompts asked for, else those of the run, else those that the model brings for such a task.
    fn prompts(&self, opened: &Opened, run: Option<&Prompts>, task: &Task) -> anyhow::Result<Prompts> {
        let contract = &opened.encoder.contract;
        let mut prompts = run.map_or_else(|| Prompts::of_contract(contract, task), |run| Ok(run.clone()))?;
        let asked = Prompts::named(contract, self.query_prompt.as_deref(), self.document_prompt.as_deref())?;
        if self.query_prompt.is_some() {
            prompts.first = asked.first;
        }
        if self.document_prompt.is_some() {
            prompts.second = asked.second;
        }
        Ok(prompts)
    }
}

/// A checkpoint is judged as its run judged it: with the prompts of the run's config, and no others.
fn trained_with(opened: &Opened) -> anyhow::Result<Option<Prompts>> {
    let Some(run) = RunFacts::of_model(&opened.folder)? else { return Ok(None) };
    let config = temper_train::parse::parse(Path::new("config.toml"), &run.config, &[])?;
    Ok(Some(temper_train::prompts(&config)))
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

/// Metrics down, measures across.
fn scores_table(scores: &Scores) -> String {
    const MEASURES: [&str; 5] = ["cosine", "dot", "euclidean", "manhattan", "max"];
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

/// Metric and measure of a score's name; the reference puts the measure first or last.
fn split(name: &str) -> (&str, &str) {
    let (first, last) = name.split_once('_').unwrap_or((name, ""));
    if matches!(first, "pearson" | "spearman") { (first, last) } else { (last, first) }
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
