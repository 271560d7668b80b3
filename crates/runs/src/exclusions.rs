//! Pairs that a person marked as wrong: `exclusions.jsonl` of a run, a line `{"query": ..., "positive": ...}` each.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, write_atomic};

/// A query and the text that the data wrongly calls its positive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExcludedPair {
    /// The query's text, as it is in the data.
    pub query: String,
    /// The positive's text, as it is in the data.
    pub positive: String,
}

/// An exclusion file, in the order its pairs were marked.
#[derive(Debug, Clone)]
pub struct Exclusions {
    path: PathBuf,
    pairs: Vec<ExcludedPair>,
}

impl Exclusions {
    /// Reads the file at `path`; one that is absent excludes nothing.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            other => other.map_err(Error::io("read", path))?,
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let pair = |(place, line)| {
            serde_json::from_str(line).map_err(|source| Error::ExclusionLine {
                path: path.to_owned(),
                line: place + 1,
                source,
            })
        };
        Ok(Self { path: path.to_owned(), pairs: lines.map(pair).collect::<Result<_, _>>()? })
    }

    /// The file at `path`, taken for empty without a look.
    pub fn none(path: &Path) -> Self {
        Self { path: path.to_owned(), pairs: Vec::new() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every pair.
    pub fn pairs(&self) -> &[ExcludedPair] {
        &self.pairs
    }

    /// Whether this pair is marked.
    pub fn contains(&self, query: &str, positive: &str) -> bool {
        self.pairs.iter().any(|pair| pair.query == query && pair.positive == positive)
    }

    /// Marks the pair, or takes its mark away; says whether it is marked now. What others wrote meanwhile is kept.
    pub fn toggle(&mut self, query: &str, positive: &str) -> Result<bool, Error> {
        let mut changed = Self::open(&self.path)?;
        let marked = !changed.contains(query, positive);
        if marked {
            changed.pairs.push(ExcludedPair { query: query.to_owned(), positive: positive.to_owned() });
        } else {
            changed.pairs.retain(|pair| pair.query != query || pair.positive != positive);
        }
        let mut bytes = Vec::new();
        for pair in &changed.pairs {
            let line =
                serde_json::to_vec(pair).map_err(|source| Error::Json { path: self.path.clone(), source })?;
            bytes.extend_from_slice(&line);
            bytes.push(b'\n');
        }
        write_atomic(&self.path, &bytes)?;
        *self = changed;
        Ok(marked)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_mark_is_a_line_and_comes_off_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("exclusions.jsonl");
        let (mut one, mut other) = (Exclusions::open(&path).unwrap(), Exclusions::open(&path).unwrap());
        assert!(one.toggle("how \"so\"?", "like this").unwrap());
        assert!(other.toggle("q", "p").unwrap());
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"query\":\"how \\\"so\\\"?\",\"positive\":\"like this\"}\n{\"query\":\"q\",\"positive\":\"p\"}\n"
        );
        assert!(!one.toggle("how \"so\"?", "like this").unwrap());
        assert!(one.contains("q", "p") && !one.contains("q", "like this"));
        assert_eq!(Exclusions::open(&path).unwrap().pairs(), one.pairs());
    }

    #[test]
    fn a_line_that_is_no_pair_is_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("exclusions.jsonl");
        fs::write(&path, "{\"query\":\"q\",\"positive\":\"p\"}\n\n{\"query\":\"q\"}\n").unwrap();
        let message = Exclusions::open(&path).unwrap_err().to_string();
        assert!(message.contains("exclusions.jsonl` line 3"), "{message}");
    }
}
