//! What data is once it is read: examples, in the order of their files.

use std::path::PathBuf;

use serde::Serialize;

use crate::bad_row::BadRow;
use crate::columns::ColumnMap;

/// What the texts of an example mean to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Anchor and positive: two texts that belong together.
    Pairs,
    /// Anchor, positive, and texts that do not belong to the anchor.
    Triplets {
        /// Negatives of every example.
        negatives: usize,
    },
    /// Two texts and a number that says how much they belong together.
    Scored,
}

/// One row of a file (or one positive of a row that lists several).
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Anchor, positive, negatives; or the two sentences of a scored pair.
    pub texts: Vec<String>,
    /// The score of a scored pair; none for the other kinds.
    pub label: Option<f32>,
    /// Where it was read.
    pub origin: Origin,
}

/// The place of an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Index into [`Dataset::files`].
    pub file: u32,
    /// Line from 1; the row number in a Parquet file.
    pub line: u64,
}

/// How one file was read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileReport {
    /// The file as it was named by the caller.
    pub path: PathBuf,
    /// Rows read, bad ones included.
    pub rows: usize,
    /// blake3 of the file's bytes, in hex.
    pub hash: String,
    /// Which column became what, for people.
    pub mapping: String,
    /// The same for a config; empty where one column lists all texts.
    pub columns: ColumnMap,
}

/// Examples of one kind, and how they came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What the columns mean.
    pub kind: Kind,
    /// The columns' names in the first file, in the order of [`Example::texts`].
    pub column_names: Vec<String>,
    /// The examples, in the order of the files.
    pub examples: Vec<Example>,
    /// One report per file.
    pub files: Vec<FileReport>,
    /// Rows that were left out.
    pub skipped: Vec<BadRow>,
    /// Examples that were left out because a person excluded them.
    pub excluded: usize,
}

impl Kind {
    /// The kind as a word for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Triplets { .. } => "triplets",
            Self::Scored => "scored pairs",
        }
    }

    /// Texts of every example.
    pub fn columns(self) -> usize {
        match self {
            Self::Pairs | Self::Scored => 2,
            Self::Triplets { negatives } => 2 + negatives,
        }
    }

    /// What each text is to the others: `anchor`, `positive`, `negative_1`, or `sentence1`, `sentence2`.
    pub fn roles(self) -> Vec<String> {
        match self {
            Self::Scored => vec!["sentence1".to_owned(), "sentence2".to_owned()],
            Self::Pairs => vec!["anchor".to_owned(), "positive".to_owned()],
            Self::Triplets { negatives } => {
                let mut roles = Self::Pairs.roles();
                match negatives {
                    1 => roles.push("negative".to_owned()),
                    _ => roles.extend((1..=negatives).map(|n| format!("negative_{n}"))),
                }
                roles
            }
        }
    }
}

impl Dataset {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// The examples at `indices`, copied, with the same reports.
    #[must_use]
    pub fn subset(&self, indices: &[usize]) -> Self {
        let examples = indices.iter().map(|&index| self.examples[index].clone()).collect();
        Self {
            kind: self.kind,
            column_names: self.column_names.clone(),
            examples,
            files: self.files.clone(),
            skipped: self.skipped.clone(),
            excluded: self.excluded,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A data set of the given texts, for the tests of this crate.
    pub(crate) fn dataset(rows: &[&[&str]]) -> Dataset {
        let columns = rows.first().map_or(2, |row| row.len());
        let kind = if columns == 2 { Kind::Pairs } else { Kind::Triplets { negatives: columns - 2 } };
        let examples = rows
            .iter()
            .enumerate()
            .map(|(index, row)| Example {
                texts: row.iter().map(|text| (*text).to_owned()).collect(),
                label: None,
                origin: Origin { file: 0, line: index as u64 + 1 },
            })
            .collect();
        Dataset {
            kind,
            column_names: kind.roles(),
            examples,
            files: Vec::new(),
            skipped: Vec::new(),
            excluded: 0,
        }
    }

    #[test]
    fn roles_number_the_negatives_when_there_are_several() {
        assert_eq!(Kind::Triplets { negatives: 1 }.roles(), ["anchor", "positive", "negative"]);
        assert_eq!(
            Kind::Triplets { negatives: 2 }.roles(),
            ["anchor", "positive", "negative_1", "negative_2"]
        );
    }
}
