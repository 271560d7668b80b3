//! Rows that can't become an example: where they stand, and why.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What to do with a row that can't become an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadRow {
    /// Read everything, then fail with the first bad rows and their number.
    #[default]
    Refuse,
    /// Leave bad rows out and count them.
    Skip,
}

/// One row that could not become an example.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BadRow {
    /// The file as it was named by the caller.
    pub file: PathBuf,
    /// Line in the file, from 1; the row number in a Parquet file.
    pub line: u64,
    /// The column at fault, where one is.
    pub column: Option<String>,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The column is absent or null.
    #[error("missing")]
    Missing,
    /// The value has a type that is of no use here.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What the column must hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// A text of nothing but white space.
    #[error("empty text")]
    Empty,
    /// A list of texts with too few or too many of them.
    #[error("expected {expected} texts, found {found}")]
    TextCount {
        /// How many there should be.
        expected: String,
        /// How many there are.
        found: usize,
    },
    /// The line is no JSON object.
    #[error("invalid JSON: {detail}")]
    InvalidJson {
        /// What the parser says.
        detail: String,
    },
    /// Bytes that are no UTF-8.
    #[error("not UTF-8 near byte {byte} of the file (convert it with `iconv -f latin1 -t utf-8`)")]
    NotUtf8 {
        /// Offset in the file, from 0; where the row begins in CSV and TSV.
        byte: u64,
    },
    /// Two columns of a header bear one name.
    #[error("the name stands twice in the header")]
    NamedTwice,
    /// A CSV row with more or fewer fields than the header.
    #[error("{found} fields where the header has {expected}{}", if *.spans_lines { " (an unclosed quote?)" } else { "" })]
    FieldCount {
        /// Fields of the header.
        expected: usize,
        /// Fields of this row.
        found: usize,
        /// Whether the row runs over several lines, as after a stray quote.
        spans_lines: bool,
    },
    /// A label that is no finite number.
    #[error("label `{found}` is not a finite number")]
    BadLabel {
        /// The label as written.
        found: String,
    },
    /// Scores that are not those of the texts.
    #[error("{found} scores where there are {expected} texts beside the anchor: each needs one")]
    ScoreCount {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Scores in a row of several examples.
    #[error("a row with scores has one positive; write a row for each")]
    SeveralPositives,
    /// A class that is no word and no whole number.
    #[error("a class is a word or a whole number, not {found}")]
    NoClass {
        /// The class as written.
        found: String,
    },
    /// An id that does not name one row.
    #[error("the id `{found}` {problem}")]
    BadId {
        /// The id.
        found: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A label outside the range that the loss or evaluator can use.
    #[error("label {found} is outside {low}..={high}")]
    LabelOutOfRange {
        /// The label.
        found: f32,
        /// Smallest label allowed.
        low: f32,
        /// Largest label allowed.
        high: f32,
    },
}

impl fmt::Display for BadRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: ", self.file.display(), self.line)?;
        if let Some(column) = &self.column {
            write!(formatter, "column `{column}`: ")?;
        }
        write!(formatter, "{}", self.reason)
    }
}

/// What is wrong with a row whose place is known from elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) column: Option<String>,
    pub(crate) reason: Reason,
}

impl Fault {
    pub(crate) fn row(reason: Reason) -> Self {
        Self { column: None, reason }
    }

    pub(crate) fn column(column: &str, reason: Reason) -> Self {
        Self { column: Some(column.to_owned()), reason }
    }

    pub(crate) fn at(self, file: &std::path::Path, line: u64) -> BadRow {
        BadRow { file: file.to_owned(), line, column: self.column, reason: self.reason }
    }
}
