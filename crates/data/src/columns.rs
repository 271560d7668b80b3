//! Which column means what: the field's usual names, or the names in `[data.columns]`.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::example::Kind;
use crate::usual_names::recognise;

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

    let unrecognised = || Error::Unrecognised { path: path.to_owned(), columns: columns.to_vec() };
    let recognised = recognise(columns).ok_or_else(unrecognised);
    let mut mapping = match (anchor, positive) {
        (None, None) => recognised?,
        (Some(anchor), Some(positive)) => Mapping::of(anchor, positive),
        (anchor, positive) => match recognised?.texts {
            TextColumns::Named { anchor: usual_anchor, positive: usual_positive, .. } => {
                Mapping::of(anchor.unwrap_or(usual_anchor), positive.unwrap_or(usual_positive))
            }
            TextColumns::List(_) => return Err(unrecognised()),
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

fn find_named(path: &Path, columns: &[String], name: &String) -> Result<String, Error> {
    let exact = columns.iter().find(|column| *column == name);
    exact.or_else(|| columns.iter().find(|column| column.eq_ignore_ascii_case(name))).cloned().ok_or_else(
        || Error::UnknownColumn { path: path.to_owned(), column: name.clone(), columns: columns.to_vec() },
    )
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

    /// Names for the texts of an example, in their order.
    pub(crate) fn column_names(&self, kind: Kind) -> Vec<String> {
        match &self.texts {
            TextColumns::List(_) => kind.roles(),
            TextColumns::Named { anchor, positive, negatives } => {
                let mut names = vec![anchor.clone(), positive.clone()];
                if negatives.len() == kind.columns() - 2 {
                    names.extend(negatives.iter().cloned());
                } else {
                    names.extend(kind.roles().into_iter().skip(2));
                }
                names
            }
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
            let _ = write!(text, " ({note})");
        }
        if !self.ignored.is_empty() {
            let _ = write!(text, " (ignored: {})", self.ignored.join(", "));
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
