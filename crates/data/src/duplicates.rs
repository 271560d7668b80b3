//! What paraphrase mining is judged on: texts, and which of them say the same.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde_json::Value;

use crate::bad_row::{BadRow, Fault, Reason};
use crate::corpus::{ID_NAMES, id_of};
use crate::error::Error;
use crate::format::{Format, Row};
use crate::read::{ReadOptions, check_bad};
use crate::texts::{bad_text, choose_field, text_of};

/// The column that makes a file one of these.
const DUPLICATES: &str = "duplicates";

/// Texts, and the pairs among them that say the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextsWithDuplicates {
    /// The texts, in the order of the file.
    pub texts: Vec<String>,
    /// Places of two texts that say the same, the earlier one first.
    pub pairs: BTreeSet<(usize, usize)>,
    /// Rows with an id that cannot be used; their texts are there nevertheless.
    pub skipped: Vec<BadRow>,
}

/// Reads rows `{id, text, duplicates: [id, ..]}`; none where the first row has no `duplicates`.
///
/// A row that lists no duplicates may leave the column out, a pair may be said on either side or on both, and without
/// a column `id` or `_id` a text's id is its line. In CSV and TSV spaces separate the ids.
pub fn read_duplicates(path: &Path, options: &ReadOptions) -> Result<Option<TextsWithDuplicates>, Error> {
    let mut rows = Format::of(path)?.open(path)?.peekable();
    let Some(Ok(Row { cells: Ok(first), .. })) = rows.peek() else { return Ok(None) };
    if !first.contains_key(DUPLICATES) {
        return Ok(None);
    }
    let id_column = ID_NAMES.into_iter().find(|name| first.contains_key(*name));
    // The ids are no text to embed, whatever type they have.
    let mut others = first.clone();
    others.retain(|name, _| name != DUPLICATES && Some(name.as_str()) != id_column);
    let field = choose_field(&others, None, path)?;
    let (mut texts, mut places, mut listed, mut bad) = (Vec::new(), HashMap::new(), Vec::new(), Vec::new());
    for row in rows.take(options.limit.unwrap_or(usize::MAX)) {
        let row = row?;
        let line = row.line;
        let cells = row.cells.map_err(|fault| bad_text(fault, path, line))?;
        let id = match id_column {
            Some(column) => id_of(&cells, column).map_err(|fault| bad_text(fault, path, line))?,
            None => line.to_string(),
        };
        listed.push((line, ids(cells.get(DUPLICATES)).map_err(|fault| bad_text(fault, path, line))?));
        if places.insert(id.clone(), texts.len()).is_some() {
            bad.push(bad_id(id, "stands on an earlier row too").at(path, line));
        }
        texts.push(text_of(Row { line, span: None, cells: Ok(cells) }, &field, path)?);
    }
    let mut pairs = BTreeSet::new();
    for (place, (line, ids)) in listed.into_iter().enumerate() {
        for id in ids {
            match places.get(&id) {
                // Beyond a limit there may be more texts.
                None if options.limit.is_none() => bad.push(bad_id(id, "is that of no row").at(path, line)),
                Some(&other) if other != place => {
                    pairs.insert((place.min(other), place.max(other)));
                }
                _ => {}
            }
        }
    }
    let skipped = check_bad(bad, options.on_bad_row)?;
    Ok(Some(TextsWithDuplicates { texts, pairs, skipped }))
}

fn bad_id(found: String, problem: &str) -> Fault {
    Fault::column(DUPLICATES, Reason::BadId { found, problem: problem.to_owned() })
}

/// The ids of a list, or of a text with spaces between them.
fn ids(value: Option<&Value>) -> Result<Vec<String>, Fault> {
    let wrong = |found: &Value| {
        let reason = Reason::WrongType { expected: "a list of ids".to_owned(), found: format!("`{found}`") };
        Fault::column(DUPLICATES, reason)
    };
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.split_whitespace().map(str::to_owned).collect()),
        Some(Value::Array(ids)) => ids
            .iter()
            .map(|id| match id {
                Value::String(id) => Ok(id.clone()),
                Value::Number(id) => Ok(id.to_string()),
                other => Err(wrong(other)),
            })
            .collect(),
        Some(other) => Err(wrong(other)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(name: &str, content: &str, options: &ReadOptions) -> Result<Option<TextsWithDuplicates>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        read_duplicates(&path, options).map_err(|error| error.to_string())
    }

    #[test]
    fn pairs_may_be_said_on_either_side() {
        let rows = "{\"id\": 7, \"text\": \"a\", \"duplicates\": [\"x\"]}\n{\"id\": \"x\", \"text\": \"b\", \"duplicates\": [7, 9]}\n\
                    {\"id\": 9, \"text\": \"c\"}\n";
        let found = read("x.jsonl", rows, &ReadOptions::default()).unwrap().unwrap();
        assert_eq!(found.texts, ["a", "b", "c"]);
        assert_eq!(found.pairs, BTreeSet::from([(0, 1), (1, 2)]));
        let found = read(
            "x.tsv",
            "id\tquestion\tduplicates\na\tone\tb c\nb\ttwo\t\nc\tthree\t\n",
            &ReadOptions::default(),
        );
        assert_eq!(found.unwrap().unwrap().pairs, BTreeSet::from([(0, 1), (0, 2)]));
    }

    #[test]
    fn other_files_are_something_else() {
        assert_eq!(read("x.jsonl", "{\"text\": \"a\", \"label\": 1}\n", &ReadOptions::default()), Ok(None));
        assert_eq!(read("x.jsonl", "", &ReadOptions::default()), Ok(None));
    }

    #[test]
    fn ids_that_are_of_no_row_or_of_two_are_refused_or_left_out() {
        let rows = "{\"id\": 1, \"text\": \"a\", \"duplicates\": [2, 3]}\n{\"id\": 2, \"text\": \"b\"}\n";
        let message = read("x.jsonl", rows, &ReadOptions::default()).unwrap_err();
        assert!(
            message.contains("x.jsonl:1: column `duplicates`: the id `3` is that of no row"),
            "{message}"
        );
        let twice = rows.replace("[2, 3]", "[2]").replace("\"id\": 2", "\"id\": 1");
        let message = read("x.jsonl", &twice, &ReadOptions::default()).unwrap_err();
        assert!(
            message.contains("x.jsonl:2: column `duplicates`: the id `1` stands on an earlier row"),
            "{message}"
        );
        let skip = ReadOptions { on_bad_row: crate::OnBadRow::Skip, ..ReadOptions::default() };
        let found = read("x.jsonl", rows, &skip).unwrap().unwrap();
        assert_eq!((found.pairs.len(), found.skipped.len()), (1, 1));
    }
}
