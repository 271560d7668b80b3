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
    /// One text and its class.
    Labelled,
    /// Two texts and the class of the pair, such as whether one follows from the other.
    ClassifiedPairs,
}

/// One row of a file (or one positive of a row that lists several).
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Anchor, positive, negatives; the two sentences of a scored or classified pair; or the one text.
    pub texts: Vec<String>,
    /// The score of a scored pair, or the class as an index into [`Dataset::classes`]; none for pairs and triplets.
    pub label: Option<f32>,
    /// What a teacher gives the positive and each negative, where the data has it.
    pub scores: Vec<f32>,
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
    /// The names of the classes, in the order in which the files have them; none where there are no classes.
    pub classes: Vec<String>,
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
            Self::Labelled => "labelled texts",
            Self::ClassifiedPairs => "classified pairs",
        }
    }

    /// Texts of every example.
    pub fn columns(self) -> usize {
        match self {
            Self::Labelled => 1,
            Self::Pairs | Self::Scored | Self::ClassifiedPairs => 2,
            Self::Triplets { negatives } => 2 + negatives,
        }
    }

    /// Whether every example has a positive, which belongs to its anchor.
    pub fn has_positives(self) -> bool {
        matches!(self, Self::Pairs | Self::Triplets { .. })
    }

    /// Whether labels are classes.
    pub fn has_classes(self) -> bool {
        matches!(self, Self::Labelled | Self::ClassifiedPairs)
    }

    /// What each text is to the others: `anchor`, `positive`, `negative_1`, or `sentence1`, `sentence2`, or `text`.
    pub fn roles(self) -> Vec<String> {
        match self {
            Self::Labelled => vec!["text".to_owned()],
            Self::Scored | Self::ClassifiedPairs => vec!["sentence1".to_owned(), "sentence2".to_owned()],
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

impl Example {
    /// Leaves as many texts, and scores of them, as examples of this kind have.
    pub(crate) fn fit(&mut self, kind: Kind) {
        self.texts.truncate(kind.columns());
        self.scores.truncate(kind.columns() - 1);
    }
}

impl Origin {
    /// As `file:line`, of these files.
    pub(crate) fn place(self, files: &[FileReport]) -> String {
        match files.get(self.file as usize) {
            Some(file) => format!("{}:{}", file.path.display(), self.line),
            None => format!("line {}", self.line),
        }
    }
}

/// A label for people: the name of its class, or the score.
pub(crate) fn shown_label(kind: Kind, classes: &[String], label: f32) -> String {
    let class = classes.get(label as usize).filter(|_| kind.has_classes());
    class.cloned().unwrap_or_else(|| label.to_string())
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

    /// Where an example was read, as `file:line`.
    pub fn place(&self, index: usize) -> String {
        self.examples[index].origin.place(&self.files)
    }

    /// The label of an example for people: the name of its class, or its score.
    pub fn shown_label(&self, index: usize) -> Option<String> {
        Some(shown_label(self.kind, &self.classes, self.examples[index].label?))
    }

    /// The examples at `indices`, copied, with the same reports.
    #[must_use]
    pub fn subset(&self, indices: &[usize]) -> Self {
        let examples = indices.iter().map(|&index| self.examples[index].clone()).collect();
        Self {
            kind: self.kind,
            column_names: self.column_names.clone(),
            classes: self.classes.clone(),
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
        let kind = match columns {
            1 => Kind::Labelled,
            2 => Kind::Pairs,
            _ => Kind::Triplets { negatives: columns - 2 },
        };
        let examples = rows
            .iter()
            .enumerate()
            .map(|(index, row)| Example {
                texts: row.iter().map(|text| (*text).to_owned()).collect(),
                label: None,
                scores: Vec::new(),
                origin: Origin { file: 0, line: index as u64 + 1 },
            })
            .collect();
        Dataset {
            kind,
            column_names: kind.roles(),
            classes: Vec::new(),
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
