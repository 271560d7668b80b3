//! The names that data sets of pairs usually give their columns.

use crate::columns::{LabelColumn, Mapping, TextColumns};

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
/// One text beside its class.
const TEXTS: &[&str] = &["text", "sentence", "utterance"];
const CLASSES: &[&str] = &["class", "intent", "category", "label", "labels", "goldlabel"];
const NEGATIVES: &[&str] = &["negative", "negatives", "neg", "hardnegative"];

/// What the columns mean by their names; none where neither a text and its class nor two texts are known. The class may be
/// absent, for a caller who knows it.
pub(crate) fn recognise(columns: &[String]) -> Option<Mapping> {
    let find = |name: &str| columns.iter().find(|column| plain(column) == name).cloned();
    for (anchor, positive, labels) in PAIRS {
        let (Some(anchor), Some(positive)) = (find(anchor), find(positive)) else { continue };
        let negatives = recognise_negatives(columns);
        let label = if negatives.is_empty() { labels.iter().find_map(|name| find(name)) } else { None };
        // Where a label would be one, a class is too.
        let class = || {
            if negatives.is_empty() && *labels == SCORE_OR_LABEL { recognise_class(columns) } else { None }
        };
        let label = label.map(LabelColumn::Score).or_else(|| class().map(LabelColumn::Class));
        let texts = TextColumns::Named { anchor, positive, negatives };
        return Some(Mapping { texts, label, scores: None, ignored: Vec::new() });
    }
    if let Some(list) = LISTS.iter().find_map(|name| find(name)) {
        let label = SCORE_OR_LABEL.iter().find_map(|name| find(name)).map(LabelColumn::Score);
        return Some(Mapping { texts: TextColumns::List(list), label, scores: None, ignored: Vec::new() });
    }
    let text = TEXTS.iter().find_map(|name| find(name))?;
    Some(Mapping::of_text(text, columns))
}

/// The class by its name.
pub(crate) fn recognise_class(columns: &[String]) -> Option<String> {
    CLASSES.iter().find_map(|name| columns.iter().find(|column| plain(column) == *name).cloned())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use crate::columns::{ColumnMap, map_columns};

    fn recognised(columns: &[&str]) -> String {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        map_columns(Path::new("x.csv"), &columns, &ColumnMap::default()).unwrap().describe(None)
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
    fn a_text_alone_has_a_class() {
        assert_eq!(recognised(&["id", "Text", "label"]), r#"text <- "Text", class <- "label" (ignored: id)"#);
        assert_eq!(recognised(&["utterance", "intent"]), r#"text <- "utterance", class <- "intent""#);
        assert_eq!(
            recognised(&["sentence1", "sentence2", "gold_label"]),
            r#"sentence1 <- "sentence1", sentence2 <- "sentence2", class <- "gold_label""#
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
}
