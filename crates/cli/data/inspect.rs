//! `temper data inspect`: looking at data before training on it.

use std::cell::RefCell;
use std::path::PathBuf;

use temper_data::inspect::{ClassReport, CountTokens, Report};
use temper_data::{BadRow, ColumnMap, Dataset, OnBadRow, ReadOptions, Split};

use crate::columns;
use crate::model::ReadingArgs;
use crate::table::table;
use crate::terminal::Terminal;

/// Bad rows that are shown.
const SHOWN_BAD_ROWS: usize = 5;

/// Classes that are shown from each end, by size.
const SHOWN_CLASSES: usize = 3;

/// Tell what is in data files: columns, lengths, duplicates, bad rows, labels, overlap
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper data inspect train.jsonl
  temper data inspect train.jsonl --eval dev.jsonl --model MODEL
  temper data inspect faq.csv --columns anchor=question,positive=answer --json")]
pub struct Args {
    /// Files of pairs, triplets, scored pairs, classified pairs or labelled texts (JSONL, CSV, TSV, Parquet), or folders of them
    /// as on the hub, read as one data set
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Evaluation data: texts that occur in both are counted
    #[arg(long, value_name = "FILE")]
    eval: Vec<PathBuf>,
    /// Leave out the pairs of this file, as the dashboard marks them (`exclusions.jsonl` of a run)
    #[arg(long, value_name = "FILE")]
    exclude: Vec<PathBuf>,
    /// Count tokens as this model does, and the texts longer than it takes
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// What the columns mean: `anchor=NAME,positive=NAME`, with `negative=`, `label=` or `class=`; `text=NAME,class=NAME`
    #[arg(long, value_name = "ROLE=COLUMN,..", value_parser = columns::parse)]
    columns: Option<ColumnMap>,
    /// Which split of a folder [default: train]
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// Runs the command.
pub fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    let of = |split| ReadOptions {
        columns: args.columns.clone().unwrap_or_default(),
        // Bad rows are part of what there is to tell.
        on_bad_row: OnBadRow::Skip,
        split,
        ..ReadOptions::default()
    };
    let split = args.split.clone().map_or(Split::Train, Split::Named);
    let mut dataset = temper_data::read(&args.files, &of(split))?;
    let mut evaluation = if args.eval.is_empty() {
        None
    } else {
        Some(temper_data::read(&args.eval, &of(Split::Evaluation))?)
    };
    let mut excluded = temper_train::excluded_pairs(&args.exclude)?;
    excluded.leave_out(&mut dataset);
    if let Some(evaluation) = &mut evaluation {
        excluded.leave_out(evaluation);
    }
    // How a plain folder is pooled does not matter here, so the reader's guesses are not told.
    let quiet = Terminal::new(true, false);
    let opened = args.model.as_ref().map(|model| args.reading.open(model, &quiet)).transpose()?;

    let failure = RefCell::new(None);
    let count = opened.as_ref().map(|opened| {
        |texts: &[&str]| {
            opened.encoder.tokenizer().lengths(texts, None).unwrap_or_else(|error| {
                failure.replace(Some(error));
                Vec::new()
            })
        }
    });
    let count: Option<CountTokens<'_>> = count.as_ref().map(|count| count as CountTokens<'_>);
    let longest = opened.as_ref().map(|opened| opened.encoder.contract.max_seq_length);
    if excluded.unmet() > 0 {
        terminal.warn(format!(
            "{} of the {} excluded pairs are in none of the files",
            excluded.unmet(),
            excluded.len()
        ));
    }
    let report = temper_data::inspect(&dataset, evaluation.as_ref(), count, longest);
    if let Some(error) = failure.take() {
        return Err(error.into());
    }
    if args.json { terminal.print_json(&report) } else { terminal.print(text(&report, &dataset, longest)) }
}

fn text(report: &Report, dataset: &Dataset, longest: Option<usize>) -> String {
    let mut lines = vec![format!("{} {}", report.examples, report.kind.name())];
    for file in &report.files {
        lines.push(format!("  {}: {} rows; {}", file.path.display(), file.rows, file.mapping));
    }
    lines.push(columns_table(report, longest));
    if report.excluded > 0 {
        lines.push(format!("left out as excluded     {}", report.excluded));
    }
    lines.push(format!("duplicate examples       {}", report.duplicate_examples));
    if report.columns.len() > 1 {
        lines.push(format!("anchor equals positive   {}", report.anchor_equals_positive));
    }
    if let Some(labels) = report.labels {
        lines.push(format!(
            "labels                   {} to {}, mean {:.4}",
            labels.min, labels.max, labels.mean
        ));
    }
    lines.extend(report.classes.as_deref().map(classes));
    if let Some(overlap) = &report.overlap {
        lines.push(format!(
            "texts also in eval       {}, in {} training and {} evaluation examples",
            overlap.texts, overlap.training_examples, overlap.evaluation_examples
        ));
        lines.extend(overlap.first.iter().map(|text| format!("  {text:?}")));
    }
    lines.push(format!(
        "bad rows                 {}, {} with an empty text",
        report.bad_rows, report.empty_fields
    ));
    lines.extend(dataset.skipped.iter().take(SHOWN_BAD_ROWS).map(|bad: &BadRow| format!("  {bad}")));
    lines.join("\n")
}

/// How many classes there are, and which are the largest and the smallest.
fn classes(classes: &[ClassReport]) -> String {
    let shown = |class: &ClassReport| format!("{} {}", class.name, class.examples);
    let mut told: Vec<String> = classes.iter().map(shown).collect();
    if told.len() > 2 * SHOWN_CLASSES {
        told.splice(SHOWN_CLASSES..told.len() - SHOWN_CLASSES, ["...".to_owned()]);
    }
    format!("classes                  {}: {}", classes.len(), told.join(", "))
}

fn columns_table(report: &Report, longest: Option<usize>) -> String {
    let mut header: Vec<String> = ["column", "role", "distinct", "repeated"].map(str::to_owned).to_vec();
    if let Some(longest) = longest {
        header.extend(["min", "p50", "p90", "p95", "p99", "max tokens"].map(str::to_owned));
        header.push(format!("over {longest}"));
    }
    let rows = report.columns.iter().map(|column| {
        let counts = [column.distinct, column.duplicates];
        let quantiles = column.tokens.map(|t| [t.min, t.p50, t.p90, t.p95, t.p99, t.max]);
        let numbers = counts.into_iter().chain(quantiles.into_iter().flatten());
        let share = column.truncated.map(|share| format!("{:.1} %", share * 100.0));
        let names = [column.name.clone(), column.role.clone()];
        names.into_iter().chain(numbers.map(|number| number.to_string())).chain(share).collect()
    });
    table(header, rows, 2)
}
