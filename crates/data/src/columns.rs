//! Which column means what: the field's usual names, or the names in `[data.columns]`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Columns by name, as `[data.columns]` of a config gives them; what is left out is recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnMap {
    /// The anchor, or the first sentence of a scored pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor: Option<String>,
    /// The positive, or the second sentence of a scored pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
    /// The negatives: columns of texts, or of lists of texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub negatives: Vec<String>,
    /// The score; naming one makes the pairs scored pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Where the texts of a row stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TextColumns {
    /// A column each; a column may hold a list.
    Named { anchor: String, positive: String, negatives: Vec<String> },
    /// One column with the list of all texts.
    List(String),
}

/// The decision for one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) texts: TextColumns,
    pub(crate) label: Option<String>,
    pub(crate) ignored: Vec<String>,
}

const SCORE_OR_LABEL: &[&str] = &["score", "scores", "label", "labels", "similarity", "isduplicate"];
/// A `score` beside questions and answers is often a number of votes, so only `label` counts there.
const LABEL: &[&str] = &["label", "labels"];
/// `positive` says itself that the texts belong together; a label beside it is something else (a class).
const NONE: &[&str] = &[];

/// Names that stand for anchor and positive, and what counts as a label beside them; the first match wins.
const PAIRS: &[(&str, &str, &[&str])] = &[
    ("anchor", "positive", NONE),
    ("query", "positive", NONE),
    ("question", "positive", NONE),
    ("query", "pos", NONE),
    ("query", "answer", LABEL),
    ("question", "answer", LABEL),
    ("query", "passage", LABEL),
    ("query", "document", LABEL),
    ("sentence1", "sentence2", SCORE_OR_LABEL),
    ("sentencea", "sentenceb", SCORE_OR_LABEL),
    ("question1", "question2", SCORE_OR_LABEL),
    ("premise", "hypothesis", SCORE_OR_LABEL),
    ("text1", "text2", SCORE_OR_LABEL),
];
const LISTS: &[&str] = &["texts", "set"];
const NEGATIVES: &[&str] = &["negative", "negatives", "neg", "hardnegative"];

/// Decides what the `columns` of the file at `path` mean.
pub(crate) fn map_columns(path: &Path, columns: &[String], wanted: &ColumnMap) -> Result<Mapping, Error> {
    if wanted.label.is_some() && !wanted.negatives.is_empty() {
        return Err(Error::LabelAndNegatives);
    }
    let named = |name: &String| find_named(path, columns, name);
    let anchor = wanted.anchor.as_ref().map(named).transpose()?;
    let positive = wanted.positive.as_ref().map(named).transpose()?;
    let negatives = wanted.negatives.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    let label = wanted.label.as_ref().map(named).transpose()?;

    let recognised = recognise(columns)
        .ok_or_else(|| Error::Unrecognised { path: path.to_owned(), columns: columns.to_vec() });
    let mut mapping = match (anchor, positive) {
        (None, None) => recognised?,
        (Some(anchor), Some(positive)) => Mapping::of(anchor, positive),
        (anchor, positive) => match recognised?.texts {
            TextColumns::Named { anchor: usual_anchor, positive: usual_positive, .. } => {
                Mapping::of(anchor.unwrap_or(usual_anchor), positive.unwrap_or(usual_positive))
            }
            TextColumns::List(_) => return Err(unrecognised(path, columns)),
        },
    };
    if let TextColumns::Named { negatives: recognised, .. } = &mut mapping.texts {
        if !negatives.is_empty() {
            *recognised = negatives;
            mapping.label = None;
        } else if label.is_some() {
            recognised.clear();
        }
    }
    mapping.label = label.or(mapping.label);
    mapping.ignored = columns.iter().filter(|column| !mapping.uses(column)).cloned().collect();
    Ok(mapping)
}

fn unrecognised(path: &Path, columns: &[String]) -> Error {
    Error::Unrecognised { path: path.to_owned(), columns: columns.to_vec() }
}

fn find_named(path: &Path, columns: &[String], name: &String) -> Result<String, Error> {
    let exact = columns.iter().find(|column| *column == name);
    exact.or_else(|| columns.iter().find(|column| column.eq_ignore_ascii_case(name))).cloned().ok_or_else(
        || Error::UnknownColumn { path: path.to_owned(), column: name.clone(), columns: columns.to_vec() },
    )
}

fn recognise(columns: &[String]) -> Option<Mapping> {
    let find = |name: &str| columns.iter().find(|column| plain(column) == name).cloned();
    for (anchor, positive, labels) in PAIRS {
        let (Some(anchor), Some(positive)) = (find(anchor), find(positive)) else { continue };
        let negatives = recognise_negatives(columns);
        let label = if negatives.is_empty() { labels.iter().find_map(|name| find(name)) } else { None };
        let texts = TextColumns::Named { anchor, positive, negatives };
        return Some(Mapping { texts, label, ignored: Vec::new() });
    }
    let list = LISTS.iter().find_map(|name| find(name))?;
    let label = SCORE_OR_LABEL.iter().find_map(|name| find(name));
    Some(Mapping { texts: TextColumns::List(list), label, ignored: Vec::new() })
}

/// `negative`, `neg`, `negative_1`, `negative_2`, …, in the order of their numbers.
fn recognise_negatives(columns: &[String]) -> Vec<String> {
    let mut found: Vec<(u64, &String)> = columns
        .iter()
        .filter_map(|column| {
            let name = plain(column);
            let digits = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
            let base = &name[..name.len() - digits.len()];
            let number = if digits.is_empty() { 0 } else { digits.parse().ok()? };
            NEGATIVES.contains(&base).then_some((number, column))
        })
        .collect();
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, column)| column.clone()).collect()
}

/// The name without case and separators: `Sentence_1` is `sentence1`.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

impl Mapping {
    fn of(anchor: String, positive: String) -> Self {
        let texts = TextColumns::Named { anchor, positive, negatives: Vec::new() };
        Self { texts, label: None, ignored: Vec::new() }
    }

    fn uses(&self, column: &String) -> bool {
        let in_texts = match &self.texts {
            TextColumns::Named { anchor, positive, negatives } => {
                column == anchor || column == positive || negatives.contains(column)
            }
            TextColumns::List(list) => column == list,
        };
        in_texts || self.label.as_ref() == Some(column)
    }

    /// The mapping in the words of a config; empty where one column lists all texts.
    pub(crate) fn as_config(&self) -> ColumnMap {
        match &self.texts {
            TextColumns::Named { anchor, positive, negatives } => ColumnMap {
                anchor: Some(anchor.clone()),
                positive: Some(positive.clone()),
                negatives: negatives.clone(),
                label: self.label.clone(),
            },
            TextColumns::List(_) => ColumnMap { label: self.label.clone(), ..ColumnMap::default() },
        }
    }

    /// The mapping for people; `note` tells what happened to the negatives.
    pub(crate) fn describe(&self, note: Option<&str>) -> String {
        let roles = if self.label.is_some() { ["sentence1", "sentence2"] } else { ["anchor", "positive"] };
        let mut parts = match &self.texts {
            TextColumns::Named { anchor, positive, .. } => {
                vec![format!("{} <- \"{anchor}\"", roles[0]), format!("{} <- \"{positive}\"", roles[1])]
            }
            TextColumns::List(list) => vec![format!("{}, {}, … <- \"{list}\"", roles[0], roles[1])],
        };
        if let TextColumns::Named { negatives, .. } = &self.texts
            && !negatives.is_empty()
        {
            let names: Vec<String> = negatives.iter().map(|name| format!("\"{name}\"")).collect();
            parts.push(format!("negatives <- {}", names.join(", ")));
        }
        if let Some(label) = &self.label {
            parts.push(format!("label <- \"{label}\""));
        }
        let mut text = parts.join(", ");
        if let Some(note) = note {
            text.push_str(&format!(" ({note})"));
        }
        if !self.ignored.is_empty() {
            text.push_str(&format!(" (ignored: {})", self.ignored.join(", ")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn described(columns: &[&str], wanted: &ColumnMap) -> Result<String, String> {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        map_columns(Path::new("x.csv"), &columns, wanted)
            .map(|mapping| mapping.describe(None))
            .map_err(|error| error.to_string())
    }

    fn recognised(columns: &[&str]) -> String {
        described(columns, &ColumnMap::default()).unwrap()
    }

    #[test]
    fn usual_names_are_recognised() {
        assert_eq!(
            recognised(&["id", "Answer", "question"]),
            r#"anchor <- "question", positive <- "Answer" (ignored: id)"#
        );
        assert_eq!(
            recognised(&["sentence1", "sentence2", "label", "score"]),
            r#"sentence1 <- "sentence1", sentence2 <- "sentence2", label <- "score" (ignored: label)"#
        );
        assert_eq!(
            recognised(&["sentence_A", "sentence_B"]),
            r#"anchor <- "sentence_A", positive <- "sentence_B""#
        );
        assert_eq!(
            recognised(&["query", "positive", "negative_10", "negative_2"]),
            r#"anchor <- "query", positive <- "positive", negatives <- "negative_2", "negative_10""#
        );
        assert_eq!(
            recognised(&["query", "pos", "neg", "pos_scores"]),
            r#"anchor <- "query", positive <- "pos", negatives <- "neg" (ignored: pos_scores)"#
        );
        assert_eq!(
            recognised(&["label", "texts"]),
            r#"sentence1, sentence2, … <- "texts", label <- "label""#
        );
    }

    #[test]
    fn a_class_beside_a_positive_is_no_score() {
        assert_eq!(
            recognised(&["anchor", "positive", "label"]),
            r#"anchor <- "anchor", positive <- "positive" (ignored: label)"#
        );
        // Votes beside an answer are none either.
        assert_eq!(
            recognised(&["question", "answer", "score"]),
            r#"anchor <- "question", positive <- "answer" (ignored: score)"#
        );
    }

    #[test]
    fn named_columns_are_taken_as_named() {
        let both = ColumnMap {
            anchor: Some("Premise".into()),
            positive: Some("other".into()),
            ..ColumnMap::default()
        };
        assert_eq!(
            described(&["premise", "hypothesis", "other", "label"], &both).unwrap(),
            r#"anchor <- "premise", positive <- "other" (ignored: hypothesis, label)"#
        );
        let label = ColumnMap { label: Some("gold".into()), ..ColumnMap::default() };
        assert_eq!(
            described(&["anchor", "positive", "negative", "gold"], &label).unwrap(),
            r#"sentence1 <- "anchor", sentence2 <- "positive", label <- "gold" (ignored: negative)"#
        );
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let missing = ColumnMap { anchor: Some("q".into()), ..ColumnMap::default() };
        assert_eq!(
            described(&["question", "answer"], &missing).unwrap_err(),
            "`x.csv`: no column `q`; there are `question`, `answer`"
        );
        assert_eq!(
            described(&["foo", "bar"], &ColumnMap::default()).unwrap_err(),
            "`x.csv`: no usual column names among `foo`, `bar`; name them: `[data.columns] anchor = \"...\", positive = \"...\"`"
        );
    }
}
