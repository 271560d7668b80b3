//! BEIR folders (Thakur et al. 2021): `corpus.jsonl`, `queries.jsonl` and `qrels/SPLIT.tsv`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::Error;
use crate::format::{Cells, Format};
use crate::retrieval::Retrieval;

/// Whether a folder has what only BEIR folders have.
pub fn is_beir(dir: &Path) -> bool {
    dir.join("corpus.jsonl").is_file() || dir.join("qrels").is_dir()
}

/// Reads a BEIR folder; only queries that the split judges are kept, in the order of `queries.jsonl`.
///
/// Without a split: `test`, else `dev`, else the only one.
pub fn read_beir(dir: &Path, split: Option<&str>) -> Result<Retrieval, Error> {
    let qrels = qrels_path(dir, split)?;
    let corpus = read_side(&dir.join("corpus.jsonl"))?;
    let queries = read_side(&dir.join("queries.jsonl"))?;
    let mut relevant = read_qrels(&qrels, &places(&queries), &places(&corpus))?;
    let judged = queries.into_iter().enumerate();
    let (queries, relevant): (Vec<_>, Vec<_>) =
        judged.filter_map(|(place, query)| Some((query, relevant.remove(&place)?))).unzip();
    if queries.is_empty() {
        return Err(Error::Empty { path: qrels });
    }
    Ok(Retrieval { queries, corpus, relevant })
}

fn qrels_path(dir: &Path, split: Option<&str>) -> Result<PathBuf, Error> {
    let folder = dir.join("qrels");
    let not_there = |_| Error::NotBeir { dir: dir.to_owned(), missing: "no folder qrels/ in it".to_owned() };
    let mut splits: Vec<String> = fs::read_dir(&folder)
        .map_err(not_there)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".tsv")?.to_owned()))
        .collect();
    splits.sort();
    let found = match split {
        Some(name) => splits.iter().find(|split| *split == name),
        None => ["test", "dev"]
            .iter()
            .find_map(|name| splits.iter().find(|split| split == name))
            .or_else(|| splits.first().filter(|_| splits.len() == 1)),
    };
    if let Some(split) = found {
        return Ok(folder.join(format!("{split}.tsv")));
    }
    let wanted = split.map_or_else(|| "name a split".to_owned(), |name| format!("no split `{name}`"));
    let there = if splits.is_empty() { "no .tsv files".to_owned() } else { splits.join(", ") };
    Err(Error::NotBeir { dir: dir.to_owned(), missing: format!("{wanted}; qrels/ holds {there}") })
}

/// Ids and texts of `corpus.jsonl` or `queries.jsonl`; a title stands before its text.
fn read_side(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let mut entries = Vec::new();
    let mut lines_by_id: HashMap<String, u64> = HashMap::new();
    for row in Format::Jsonl.open(path)? {
        let row = row?;
        let line = row.line;
        let failed = |reason: String| Error::BeirLine { path: path.to_owned(), line, reason };
        let cells = row.cells.map_err(|fault| failed(fault.reason.to_string()))?;
        let id = match cells.get("_id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Err(failed("column `_id`: missing".to_owned())),
        };
        let text = text(&cells).ok_or_else(|| failed("column `text`: missing".to_owned()))?;
        if let Some(earlier) = lines_by_id.insert(id.clone(), line) {
            return Err(failed(format!("the id `{id}` stands on line {earlier} too")));
        }
        entries.push((id, text));
    }
    if entries.is_empty() {
        return Err(Error::Empty { path: path.to_owned() });
    }
    Ok(entries)
}

fn text(cells: &Cells) -> Option<String> {
    let text = cells.get("text")?.as_str()?;
    let title = cells.get("title").and_then(Value::as_str).unwrap_or_default();
    Some(format!("{title} {text}").trim().to_owned())
}

fn places(entries: &[(String, String)]) -> HashMap<&str, usize> {
    entries.iter().enumerate().map(|(place, (id, _))| (id.as_str(), place)).collect()
}

/// Grades above 0 by query; 0 and less mean "judged irrelevant".
fn read_qrels(
    path: &Path,
    queries: &HashMap<&str, usize>,
    corpus: &HashMap<&str, usize>,
) -> Result<HashMap<usize, Vec<(usize, f32)>>, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let mut relevant: HashMap<usize, Vec<(usize, f32)>> = HashMap::new();
    for (line, row) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let failed = |reason: String| Error::BeirLine { path: path.to_owned(), line, reason };
        let fields: Vec<&str> = row.split('\t').map(str::trim).collect();
        let [query, document, grade] = fields[..] else {
            if row.trim().is_empty() {
                continue;
            }
            return Err(failed(format!(
                "{} fields where query-id, corpus-id and score are needed",
                fields.len()
            )));
        };
        let grade = match grade.parse::<f32>() {
            Ok(grade) if grade.is_finite() => grade,
            // The header.
            _ if line == 1 => continue,
            _ => return Err(failed(format!("score `{grade}` is not a number"))),
        };
        let find = |side: &HashMap<&str, usize>, id: &str, file: &str| {
            side.get(id).copied().ok_or_else(|| failed(format!("the id `{id}` is not in {file}")))
        };
        let query = find(queries, query, "queries.jsonl")?;
        let document = find(corpus, document, "corpus.jsonl")?;
        if grade > 0.0 {
            relevant.entry(query).or_default().push((document, grade));
        }
    }
    Ok(relevant)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folder(qrels: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("qrels")).unwrap();
        let corpus = "{\"_id\": \"d1\", \"title\": \"T\", \"text\": \"one\"}\n{\"_id\": 2, \"title\": \"\", \"text\": \"two\"}\n";
        fs::write(dir.path().join("corpus.jsonl"), corpus).unwrap();
        let queries = "{\"_id\": \"q1\", \"text\": \"a\"}\n{\"_id\": \"q2\", \"text\": \"b\"}\n";
        fs::write(dir.path().join("queries.jsonl"), queries).unwrap();
        for (split, rows) in qrels {
            let path = dir.path().join("qrels").join(format!("{split}.tsv"));
            fs::write(path, format!("query-id\tcorpus-id\tscore\n{rows}")).unwrap();
        }
        dir
    }

    #[test]
    fn only_judged_queries_are_kept() {
        let dir = folder(&[("train", "q1\td1\t1\n"), ("dev", "q2\t2\t2\nq2\td1\t0\n")]);
        let retrieval = read_beir(dir.path(), None).unwrap();
        assert_eq!(retrieval.queries, [("q2".to_owned(), "b".to_owned())]);
        assert_eq!(
            retrieval.corpus,
            [("d1".to_owned(), "T one".to_owned()), ("2".to_owned(), "two".to_owned())]
        );
        assert_eq!(retrieval.relevant, [vec![(1, 2.0)]]);
        assert_eq!(read_beir(dir.path(), Some("train")).unwrap().queries[0].0, "q1");
    }

    #[test]
    fn unknown_ids_name_file_and_line() {
        let dir = folder(&[("test", "q1\td1\t1\nq1\td9\t1\n")]);
        let message = read_beir(dir.path(), None).unwrap_err().to_string();
        assert!(message.ends_with("test.tsv`, line 3: the id `d9` is not in corpus.jsonl"), "{message}");
    }

    #[test]
    fn an_unknown_split_is_answered_with_those_there_are() {
        let dir = folder(&[("a", ""), ("b", "")]);
        let message = |split| read_beir(dir.path(), split).unwrap_err().to_string();
        assert!(message(None).ends_with("name a split; qrels/ holds a, b"), "{}", message(None));
        assert!(message(Some("x")).ends_with("no split `x`; qrels/ holds a, b"));
    }
}
