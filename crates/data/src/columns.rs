//! Which column means what: the field's usual names, or the names in `[data.columns]`.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::example::Kind;
use crate::usual_names::{recognise, recognise_class};

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
    /// The score; naming one makes the pairs scored pairs (classified pairs where it holds words).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The one text of each row, which has a class: labelled texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The class of a text or of a pair, a word or a whole number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// A teacher's scores of the positive and the negatives of each row: a list, as `temper mine --scores` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<String>,
}

/// Where the texts of a row stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TextColumns {
    /// A column each; a column may hold a list.
    Named { anchor: String, positive: String, negatives: Vec<String> },
    /// One column with the list of all texts.
    List(String),
    /// The one text.
    One(String),
}

/// Where the label of a row stands, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LabelColumn {
    Score(String),
    Class(String),
}

impl LabelColumn {
    pub(crate) fn name(&self) -> &String {
        match self {
            Self::Score(column) | Self::Class(column) => column,
        }
    }
}

/// The decision for one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) texts: TextColumns,
    pub(crate) label: Option<LabelColumn>,
    pub(crate) scores: Option<String>,
    pub(crate) ignored: Vec<String>,
}

/// Decides what the `columns` of the file at `path` mean.
pub(crate) fn map_columns(path: &Path, columns: &[String], wanted: &ColumnMap) -> Result<Mapping, Error> {
    wanted.check()?;
    let named = |name: &String| find_named(path, columns, name);
    let anchor = wanted.anchor.as_ref().map(named).transpose()?;
    let positive = wanted.positive.as_ref().map(named).transpose()?;
    let negatives = wanted.negatives.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    let score = wanted.label.as_ref().map(named).transpose()?.map(LabelColumn::Score);
    let label = wanted.class.as_ref().map(named).transpose()?.map(LabelColumn::Class).or(score);
    let text = wanted.text.as_ref().map(named).transpose()?;

    let unrecognised = || Error::Unrecognised { path: path.to_owned(), columns: columns.to_vec() };
    let recognised = recognise(columns).ok_or_else(unrecognised);
    let mut mapping = match (anchor, positive) {
        (None, None) if text.is_some() => Mapping::of_text(text.unwrap_or_default(), columns),
        (None, None) => recognised?,
        (Some(anchor), Some(positive)) => Mapping::of(anchor, positive),
        (anchor, positive) => match recognised?.texts {
            TextColumns::Named { anchor: usual_anchor, positive: usual_positive, .. } => {
                Mapping::of(anchor.unwrap_or(usual_anchor), positive.unwrap_or(usual_positive))
            }
            TextColumns::List(_) | TextColumns::One(_) => return Err(unrecognised()),
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
    mapping.scores = wanted.scores.as_ref().map(named).transpose()?;
    if let TextColumns::One(_) = mapping.texts {
        let no_class = || Error::NoClass { path: path.to_owned(), columns: columns.to_vec() };
        let class =
            mapping.label.ok_or_else(|| if wanted.text.is_some() { no_class() } else { unrecognised() })?;
        mapping.label = Some(LabelColumn::Class(class.name().clone()));
    }
    mapping.ignored = columns.iter().filter(|column| !mapping.uses(column)).cloned().collect();
    Ok(mapping)
}

fn find_named(path: &Path, columns: &[String], name: &String) -> Result<String, Error> {
    let exact = columns.iter().find(|column| *column == name);
    exact.or_else(|| columns.iter().find(|column| column.eq_ignore_ascii_case(name))).cloned().ok_or_else(
        || Error::UnknownColumn { path: path.to_owned(), column: name.clone(), columns: columns.to_vec() },
    )
}

impl ColumnMap {
    /// Every column that is named.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        let fields = [&self.anchor, &self.positive, &self.label, &self.text, &self.class, &self.scores];
        fields.into_iter().flatten().chain(&self.negatives)
    }

    fn check(&self) -> Result<(), Error> {
        let (labels, pairs) = ([&self.label, &self.class], [&self.anchor, &self.positive]);
        let some = |fields: [&Option<String>; 2]| fields.into_iter().flatten().count();
        if some(labels) == 2 {
            return Err(Error::LabelAndClass);
        }
        if some(labels) > 0 && !self.negatives.is_empty() {
            return Err(Error::LabelAndNegatives);
        }
        if self.scores.is_some() && (some(labels) > 0 || self.text.is_some()) {
            return Err(Error::ScoresAndLabel);
        }
        if self.text.is_some() && (some(pairs) > 0 || !self.negatives.is_empty()) {
            return Err(Error::TextAndPairs);
        }
        Ok(())
    }
}

impl Mapping {
    /// A text and the class with a usual name beside it, where there is one.
    pub(crate) fn of_text(text: String, columns: &[String]) -> Self {
        let label = recognise_class(columns).map(LabelColumn::Class);
        Self { texts: TextColumns::One(text), label, scores: None, ignored: Vec::new() }
    }

    fn of(anchor: String, positive: String) -> Self {
        let texts = TextColumns::Named { anchor, positive, negatives: Vec::new() };
        Self { texts, label: None, scores: None, ignored: Vec::new() }
    }

    fn uses(&self, column: &String) -> bool {
        let in_texts = match &self.texts {
            TextColumns::Named { anchor, positive, negatives } => {
                column == anchor || column == positive || negatives.contains(column)
            }
            TextColumns::List(name) | TextColumns::One(name) => column == name,
        };
        in_texts
            || self.scores.as_ref() == Some(column)
            || self.label.as_ref().is_some_and(|label| label.name() == column)
    }

    /// The mapping in the words of a config; empty where one column lists all texts.
    pub(crate) fn as_config(&self) -> ColumnMap {
        let (label, class) = match &self.label {
            Some(LabelColumn::Score(column)) => (Some(column.clone()), None),
            Some(LabelColumn::Class(column)) => (None, Some(column.clone())),
            None => (None, None),
        };
        let labels = ColumnMap { label, class, scores: self.scores.clone(), ..ColumnMap::default() };
        match &self.texts {
            TextColumns::Named { anchor, positive, negatives } => ColumnMap {
                anchor: Some(anchor.clone()),
                positive: Some(positive.clone()),
                negatives: negatives.clone(),
                ..labels
            },
            TextColumns::List(_) => labels,
            TextColumns::One(text) => ColumnMap { text: Some(text.clone()), ..labels },
        }
    }

    /// Names for the texts of an example, in their order.
    pub(crate) fn column_names(&self, kind: Kind) -> Vec<String> {
        match &self.texts {
            TextColumns::List(_) => kind.roles(),
            TextColumns::One(text) => vec![text.clone()],
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
            TextColumns::One(text) => vec![format!("text <- \"{text}\"")],
        };
        if let TextColumns::Named { negatives, .. } = &self.texts
            && !negatives.is_empty()
        {
            let names: Vec<String> = negatives.iter().map(|name| format!("\"{name}\"")).collect();
            parts.push(format!("negatives <- {}", names.join(", ")));
        }
        parts.extend(self.scores.as_ref().map(|scores| format!("scores <- \"{scores}\"")));
        match &self.label {
            Some(LabelColumn::Score(column)) => parts.push(format!("label <- \"{column}\"")),
            Some(LabelColumn::Class(column)) => parts.push(format!("class <- \"{column}\"")),
            None => (),
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
    fn classes_are_named_or_stand_beside_a_text() {
        let map = |text: Option<&str>, class: &str| ColumnMap {
            text: text.map(str::to_owned),
            class: Some(class.to_owned()),
            ..ColumnMap::default()
        };
        assert_eq!(
            described(&["body", "topic", "label"], &map(Some("body"), "topic")).unwrap(),
            r#"text <- "body", class <- "topic" (ignored: label)"#
        );
        assert_eq!(
            described(&["text", "topic"], &map(None, "topic")).unwrap(),
            r#"text <- "text", class <- "topic""#
        );
        assert_eq!(
            described(&["premise", "hypothesis", "label"], &map(None, "label")).unwrap(),
            r#"sentence1 <- "premise", sentence2 <- "hypothesis", class <- "label""#
        );
        let both = ColumnMap { anchor: Some("a".into()), ..map(Some("text"), "label") };
        assert!(described(&["a", "text", "label"], &both).unwrap_err().contains("`text` has no others"));
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let missing = ColumnMap { anchor: Some("q".into()), ..ColumnMap::default() };
        assert_eq!(
            described(&["question", "answer"], &missing).unwrap_err(),
            "`x.csv`: no column `q`; there are `question`, `answer`"
        );
        let text = ColumnMap { text: Some("body".into()), ..ColumnMap::default() };
        assert_eq!(
            described(&["body", "bar"], &text).unwrap_err(),
            "`x.csv`: which column holds the class of each text? there are `body`, `bar`; name it: `[data.columns] class = \"...\"`"
        );
        assert_eq!(
            described(&["foo", "bar"], &ColumnMap::default()).unwrap_err(),
            "`x.csv`: no usual column names among `foo`, `bar`; name them: `[data.columns] anchor = \"...\", positive = \"...\"`"
        );
    }
}
