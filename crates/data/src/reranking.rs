//! What reranking is judged on: queries, each with candidates of its own, some of which answer it.

use std::path::Path;

use crate::bad_row::BadRow;
use crate::classes::Classes;
use crate::columns::TextColumns;
use crate::content::{FileContent, read_file};
use crate::error::Error;
use crate::example::Example;
use crate::exclude::ExcludedPairs;
use crate::read::{ReadOptions, check_bad};

/// A query with its candidates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RerankingSample {
    /// The text that is asked with.
    pub query: String,
    /// Texts that answer it.
    pub positives: Vec<String>,
    /// Texts that do not.
    pub negatives: Vec<String>,
}

/// What a file of them gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Reranking {
    /// One sample a row, in the order of the file.
    pub samples: Vec<RerankingSample>,
    /// Which column became what, for people.
    pub mapping: String,
    /// Rows that were left out.
    pub skipped: Vec<BadRow>,
}

/// Reads rows `{query, positive: [..], negative: [..]}`; none where the file has no lists of negatives, as triplets
/// have none. A limit counts rows.
pub fn read_reranking(path: &Path, options: &ReadOptions) -> Result<Option<Reranking>, Error> {
    let mut examples = Vec::new();
    let mut content = read_file(path, 0, None, options, &mut Classes::default(), &mut |found| {
        examples.push(found.example);
        Ok(())
    })?;
    if !has_lists(&content, &examples) {
        return Ok(None);
    }
    let skipped = check_bad(std::mem::take(&mut content.bad), options.on_bad_row)?;
    let rows = examples.chunk_by(|a, b| a.origin == b.origin);
    let samples = rows.map(sample).take(options.limit.unwrap_or(usize::MAX)).collect();
    let mapping = format!("{}: {}", path.display(), content.mapping.describe(None));
    Ok(Some(Reranking { samples, mapping, skipped }))
}

/// Whether some row lists more negatives than there are columns of them, or several positives beside negatives.
fn has_lists(content: &FileContent, examples: &[Example]) -> bool {
    let TextColumns::Named { negatives, .. } = &content.mapping.texts else { return false };
    let lists_positives = || examples.windows(2).any(|pair| pair[0].origin == pair[1].origin);
    let most = content.most.saturating_sub(2);
    most > negatives.len() || most > 0 && lists_positives()
}

/// The examples of one row, which differ in their positives alone.
fn sample(row: &[Example]) -> RerankingSample {
    let texts = &row[0].texts;
    RerankingSample {
        query: texts[0].clone(),
        positives: row.iter().map(|example| example.texts[1].clone()).collect(),
        negatives: texts[2..].to_vec(),
    }
}

impl Reranking {
    /// Takes away positives that are an excluded pair with their query. A query without another does not count.
    pub fn leave_out(&mut self, excluded: &mut ExcludedPairs) {
        for RerankingSample { query, positives, .. } in &mut self.samples {
            positives.retain(|positive| !excluded.meets(query, positive));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(content: &str, options: &ReadOptions) -> Result<Option<Reranking>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        std::fs::write(&path, content).unwrap();
        read_reranking(&path, options)
    }

    const LISTS: &str = "{\"query\": \"q\", \"positive\": [\"a\", \"b\"], \"negative\": [\"x\"]}\n\
                         {\"query\": \"r\", \"positive\": [\"c\"], \"negative\": [\"y\", \"z\"]}\n";

    #[test]
    fn every_row_keeps_all_its_candidates() {
        let read = |options: &ReadOptions| read(LISTS, options).unwrap().unwrap().samples;
        let all = read(&ReadOptions::default());
        assert_eq!((all[0].positives.len(), all[0].negatives.len()), (2, 1));
        let second = RerankingSample {
            query: "r".into(),
            positives: vec!["c".into()],
            negatives: vec!["y".into(), "z".into()],
        };
        assert_eq!(all[1], second);
        assert_eq!(read(&ReadOptions { limit: Some(1), ..ReadOptions::default() }).len(), 1);
    }

    #[test]
    fn triplets_and_pairs_are_something_else() {
        let of = |content: &str| read(content, &ReadOptions::default()).unwrap();
        assert!(of("{\"anchor\": \"a\", \"positive\": \"b\", \"negative\": \"c\"}\n").is_none());
        assert!(of("{\"anchor\": \"a\", \"positive\": [\"b\", \"c\"]}\n").is_none());
        assert!(of("{\"anchor\": \"a\", \"positive\": [\"b\"], \"negative\": [\"c\"]}\n").is_none());
    }

    #[test]
    fn a_bad_row_is_refused_by_line_or_left_out() {
        let bad = format!("{LISTS}{{\"query\": \"s\", \"positive\": [], \"negative\": [\"x\"]}}\n");
        let message = read(&bad, &ReadOptions::default()).unwrap_err().to_string();
        assert!(message.contains("x.jsonl:3: column `positive`: expected at least 1 texts"), "{message}");
        let skip = ReadOptions { on_bad_row: crate::OnBadRow::Skip, ..ReadOptions::default() };
        let read = read(&bad, &skip).unwrap().unwrap();
        assert_eq!((read.samples.len(), read.skipped.len()), (2, 1));
    }

    #[test]
    fn an_excluded_pair_is_no_answer() {
        let mut reranking = read(LISTS, &ReadOptions::default()).unwrap().unwrap();
        let mut excluded: ExcludedPairs = [("q".to_owned(), "b".to_owned())].into_iter().collect();
        reranking.leave_out(&mut excluded);
        assert_eq!(reranking.samples[0].positives, ["a"]);
        assert_eq!(excluded.left_out(), 1);
    }
}
