//! What can go wrong while reading data; every message says where, and what to do next.

use std::path::PathBuf;

use crate::bad_row::BadRow;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be opened or read.
    #[error("failed to read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Examples can't be written.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No file was named.
    #[error("no data file is named; give at least one (`data.train = [\"pairs.jsonl\"]`)")]
    NoFiles,
    /// The extension belongs to no format that can be read.
    #[error("`{}`: unknown format `{extension}`; name the file .jsonl, .ndjson, .json, .csv, .tsv or .parquet", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What stands behind the last dot of its name.
        extension: String,
    },
    /// The extension belongs to no format that examples are written in.
    #[error("`{}`: examples are written as .jsonl, .csv or .tsv; name the file so", path.display())]
    NotWritten {
        /// The file.
        path: PathBuf,
    },
    /// A folder without data.
    #[error(
        "`{}` is a folder with no data files: a data set's has some like train.jsonl or data/train-00000-of-00001.parquet, a \
         BEIR folder corpus.jsonl, queries.jsonl and qrels/", folder.display()
    )]
    NoDataFiles {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder whose data is in a format that cannot be read.
    #[error(
        "`{}` holds Arrow files, which `save_to_disk` writes and which are not read; write each split with \
         `to_parquet(\"train.parquet\")`, and name that", folder.display()
    )]
    ArrowFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder without the split that is wanted.
    #[error(
        "`{}` has no split `{wanted}`; it has {}; name another with `--split` where there is one, or its files",
        folder.display(), quoted(splits)
    )]
    NoSplit {
        /// The folder.
        folder: PathBuf,
        /// The split.
        wanted: String,
        /// The splits there are.
        splits: Vec<String>,
    },
    /// A folder of several data sets.
    #[error("`{}` holds several data sets: {}; name the folder of one", folder.display(), quoted(subsets))]
    SeveralDataSets {
        /// The folder.
        folder: PathBuf,
        /// Their folders.
        subsets: Vec<String>,
    },
    /// A list in a format that has none.
    #[error("`{}`: a teacher's scores are lists, which only JSONL holds; name the file .jsonl", path.display())]
    ScoresNotWritten {
        /// The file.
        path: PathBuf,
    },
    /// A Parquet file under a build that leaves Parquet out.
    #[error("`{}`: this build cannot read Parquet; convert it to .jsonl, or build with the feature `parquet`", path.display())]
    ParquetLeftOut {
        /// The file.
        path: PathBuf,
    },
    /// Texts cannot stay in a file of this format.
    #[error(
        "`{}`: rows of Parquet cannot be read in any order, as data.streaming needs it; `temper data convert {} -o \
         FILE.jsonl` makes a file of which they can", path.display(), path.display()
    )]
    NotStreamed {
        /// The file.
        path: PathBuf,
    },
    /// A row that an index has no number for.
    #[error("`{}`, line {line}: an index ends at 4 billion lines, and at rows of 4 GB; divide the file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// A row that is not what it was when the file was read first.
    #[error(
        "`{}`, line {line}: the file was changed while it was trained from; put back what it was, and go on with \
         `temper train --resume`, or start anew", path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// The file is no readable Parquet.
    #[cfg(feature = "parquet")]
    #[error("`{}` is not a readable Parquet file (truncated?)", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// The header of a CSV or TSV file can't be used.
    #[error("{bad}; the first line must name the columns")]
    Header {
        /// Where and why.
        bad: Box<BadRow>,
    },
    /// The file has no rows.
    #[error("`{}` is empty: it has no rows to learn from or to judge by", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Every row of the file, or of its beginning, is bad.
    #[error("`{}`: none of the {count} rows read can be used; the first: {first}", path.display())]
    NoUsableRows {
        /// The file.
        path: PathBuf,
        /// How many rows were read.
        count: usize,
        /// The first bad row.
        first: Box<BadRow>,
    },
    /// No column bears one of the names that are recognised.
    #[error(
        "`{}`: no usual column names among {}; name them: `[data.columns] anchor = \"...\", positive = \"...\"`",
        path.display(), quoted(columns)
    )]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// A column that was asked for is not there.
    #[error("`{}`: no column `{column}`; there are {}", path.display(), quoted(columns))]
    UnknownColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// No single column of texts stands out.
    #[error("`{}`: which column holds the texts? there are {}; name one with `--field`", path.display(), quoted(columns))]
    NoTextColumn {
        /// The file.
        path: PathBuf,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// No column is known to hold the class of a text.
    #[error(
        "`{}`: which column holds the class of each text? there are {}; name it: `[data.columns] class = \"...\"`",
        path.display(), quoted(columns)
    )]
    NoClass {
        /// The file.
        path: PathBuf,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// Both a label and negatives are mapped.
    #[error(
        "`[data.columns]` names both a `label` (or `class`) and `negatives`; pairs with a label have no negatives: \
         remove one of them"
    )]
    LabelAndNegatives,
    /// Both a score and a class are mapped.
    #[error(
        "`[data.columns]` names both `label` and `class`; a row has a score or a class: remove one of them"
    )]
    LabelAndClass,
    /// Both a teacher's scores and a label are mapped.
    #[error(
        "`[data.columns]` names `scores` beside a `label`, `class` or `text`; a teacher's scores are those of positive and \
         negatives: remove them, or the others"
    )]
    ScoresAndLabel,
    /// Both one text and a pair are mapped.
    #[error(
        "`[data.columns]` names `text` beside `anchor`, `positive` or `negatives`; a labelled `text` has no others: \
         remove it, or them"
    )]
    TextAndPairs,
    /// Two files hold different kinds of examples.
    #[error(
        "`{}` holds {first_kind} but `{}` holds {second_kind}; the files of one list must agree: \
         give each a set of its own in `[[sets]]` of a config, or map the same columns in `[data.columns]`",
        first.display(), second.display()
    )]
    KindsDiffer {
        /// A file.
        first: PathBuf,
        /// What it holds.
        first_kind: &'static str,
        /// Another file.
        second: PathBuf,
        /// What that one holds.
        second_kind: &'static str,
    },
    /// Rows that can't become examples.
    #[error("{}; correct {}, or leave {} out with `data.on_bad_row = \"skip\"` (`--skip-bad-rows` where there is no config)", shown(first, *count),
        if *count == 1 { "it" } else { "them" }, if *count == 1 { "it" } else { "them" })]
    BadRows {
        /// The first few of them.
        first: Vec<BadRow>,
        /// How many there are.
        count: usize,
    },
    /// A text that can't be read from a stream of texts.
    #[error("{bad}")]
    BadText {
        /// Where and why.
        bad: Box<BadRow>,
    },
    /// A BEIR folder lacks a part.
    #[error("`{}` is not a BEIR folder: {missing}", dir.display())]
    NotBeir {
        /// The folder.
        dir: PathBuf,
        /// What is missing.
        missing: String,
    },
    /// A line of a BEIR folder can't be used.
    #[error("`{}`, line {line}: {reason}", path.display())]
    BeirLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
}

fn quoted(columns: &[String]) -> String {
    if columns.is_empty() {
        return "none at all".to_owned();
    }
    columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ")
}

fn shown(first: &[BadRow], count: usize) -> String {
    let mut rows: Vec<String> = first.iter().map(BadRow::to_string).collect();
    if count > first.len() {
        rows.push(format!("and {} more", count - first.len()));
    }
    format!("{count} bad row{}: {}", if count == 1 { "" } else { "s" }, rows.join("; "))
}
