//! Documents to search in: texts with an id each, from any format that holds texts, or a BEIR folder.

use std::path::Path;

use serde_json::Value;

use crate::bad_row::{Fault, Reason};
use crate::error::Error;
use crate::format::{Cells, Format, Rows};
use crate::texts::{TextFormat, Texts, bad_text, choose_field, text_of};

/// Names of columns that identify a row, the first that there is counts.
pub(crate) const ID_NAMES: [&str; 2] = ["_id", "id"];

/// A text of a corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What the file calls it, else its line, from 1.
    pub id: String,
    /// The text.
    pub text: String,
}

/// Which columns of a corpus mean what, where their names do not say it.
#[derive(Clone, Copy, Debug, Default)]
pub struct CorpusColumns<'a> {
    /// The column of the texts: without it `text` (with a `title` in front, in a file of BEIR), else the only one.
    pub field: Option<&'a str>,
    /// The column of the ids: without it `_id` or `id`, else the line.
    pub id: Option<&'a str>,
}

/// Reads every document of a file, or of the `corpus.jsonl` in a folder.
pub fn read_corpus(path: &Path, columns: CorpusColumns<'_>) -> Result<Vec<Document>, Error> {
    if path.is_dir() {
        return read_corpus(&path.join("corpus.jsonl"), columns);
    }
    match TextFormat::from_path(path) {
        TextFormat::Lines => {
            let numbered = Texts::open(path, None)?.zip(1..);
            numbered.map(|(text, line)| Ok(Document { id: format!("{line}"), text: text? })).collect()
        }
        _ => from_rows(Format::of(path)?.open(path)?, path, columns),
    }
}

fn from_rows(rows: Rows, path: &Path, columns: CorpusColumns<'_>) -> Result<Vec<Document>, Error> {
    let mut chosen = None;
    let mut documents = Vec::new();
    for row in rows {
        let mut row = row?;
        if let Ok(cells) = &mut row.cells {
            let chosen = match &mut chosen {
                Some(chosen) => chosen,
                none => none.insert(Chosen::of(cells, columns, path)?),
            };
            let id = match &chosen.id {
                Some(column) => id_of(cells, column).map_err(|fault| bad_text(fault, path, row.line))?,
                None => row.line.to_string(),
            };
            let title = chosen.title.then(|| cells.get("title").and_then(Value::as_str)).flatten();
            let title = title.map(str::to_owned);
            let text = text_of(row, &chosen.field, path)?;
            let text = match title {
                Some(title) => format!("{title} {text}").trim().to_owned(),
                None => text,
            };
            documents.push(Document { id, text });
        } else {
            text_of(row, "text", path)?;
        }
    }
    Ok(documents)
}

/// The columns that the first row decides on.
struct Chosen {
    field: String,
    id: Option<String>,
    title: bool,
}

impl Chosen {
    fn of(cells: &Cells, columns: CorpusColumns<'_>, path: &Path) -> Result<Self, Error> {
        let field = choose_field(cells, columns.field, path)?;
        let id = match columns.id {
            Some(name) => Some(choose_field(cells, Some(name), path)?),
            None => ID_NAMES.iter().find(|name| cells.contains_key(**name)).map(|name| (*name).to_owned()),
        };
        let title = columns.field.is_none() && cells.contains_key("_id") && cells.contains_key("title");
        Ok(Self { field, id, title })
    }
}

pub(crate) fn id_of(cells: &Cells, column: &str) -> Result<String, Fault> {
    match cells.get(column) {
        Some(Value::String(id)) => Ok(id.clone()),
        Some(Value::Number(id)) => Ok(id.to_string()),
        None | Some(Value::Null) => Err(Fault::column(column, Reason::Missing)),
        Some(other) => {
            let reason =
                Reason::WrongType { expected: "a text or a number".to_owned(), found: format!("`{other}`") };
            Err(Fault::column(column, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(name: &str, content: &str, columns: CorpusColumns<'_>) -> Result<Vec<(String, String)>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        match read_corpus(&path, columns) {
            Ok(documents) => Ok(documents.into_iter().map(|d| (d.id, d.text)).collect()),
            Err(error) => Err(error.to_string().replace(dir.path().to_str().unwrap(), "DIR")),
        }
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn lines_are_numbered_and_rows_bear_their_ids() {
        let none = CorpusColumns::default();
        assert_eq!(read("c.txt", "one\ntwo\n", none).unwrap(), pairs(&[("1", "one"), ("2", "two")]));
        assert_eq!(
            read("c.csv", "id,body\n7,one\n", none),
            Err("`DIR/c.csv`: which column holds the texts? there are `id`, `body`; name one with `--field`"
                .to_owned())
        );
        let body = CorpusColumns { field: Some("body"), ..none };
        assert_eq!(read("c.csv", "id,body\n7,one\n", body).unwrap(), pairs(&[("7", "one")]));
        let named = CorpusColumns { id: Some("n"), ..none };
        let jsonl = "{\"n\": 3, \"id\": 4, \"text\": \"one\"}\n";
        assert_eq!(read("c.jsonl", jsonl, named).unwrap(), pairs(&[("3", "one")]));
        assert_eq!(read("c.jsonl", "\n\"one\"\n", none).unwrap(), pairs(&[("2", "one")]));
        assert_eq!(read("c.txt", "", none).unwrap(), []);
    }

    #[test]
    fn a_title_stands_before_its_text_in_beir_unless_a_field_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let rows = "{\"_id\": \"a\", \"title\": \"T\", \"text\": \"one\"}\n{\"_id\": 2, \"title\": \"\", \"text\": \"two\"}\n";
        std::fs::write(dir.path().join("corpus.jsonl"), rows).unwrap();
        let texts = |field| {
            let columns = CorpusColumns { field, id: None };
            let documents = read_corpus(dir.path(), columns).unwrap();
            documents.into_iter().map(|document| document.text).collect::<Vec<_>>()
        };
        assert_eq!(texts(None), ["T one", "two"]);
        assert_eq!(texts(Some("text")), ["one", "two"]);
        assert_eq!(read_corpus(dir.path(), CorpusColumns::default()).unwrap()[1].id, "2");
    }

    #[test]
    fn a_bad_row_names_file_line_and_column() {
        let none = CorpusColumns::default();
        let of = |rows: &str| read("c.jsonl", rows, none).unwrap_err();
        let good = "{\"id\": 1, \"text\": \"one\"}\n";
        assert_eq!(of(&format!("{good}{{\"id\": 2}}\n")), "DIR/c.jsonl:2: column `text`: missing");
        assert_eq!(of(&format!("{good}{{\"text\": \"x\"}}\n")), "DIR/c.jsonl:2: column `id`: missing");
        assert!(of(&format!("{good}nonsense\n")).starts_with("DIR/c.jsonl:2: invalid JSON"));
        assert!(of("nonsense\n").starts_with("DIR/c.jsonl:1: invalid JSON"));
        let wrong = of(&format!("{good}{{\"id\": [2], \"text\": \"x\"}}\n"));
        assert_eq!(wrong, "DIR/c.jsonl:2: column `id`: expected a text or a number, found `[2]`");
        let absent = read("c.csv", "id,text\n1,x\n", CorpusColumns { id: Some("key"), ..none });
        assert_eq!(absent.unwrap_err(), "`DIR/c.csv`: no column `key`; there are `id`, `text`");
    }
}
