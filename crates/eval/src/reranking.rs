//! Reranking: do a query's positives come first among the candidates that are given with it?
//!
//! Source: `RerankingEvaluator` of sentence-transformers 6.2 over scikit-learn's `average_precision_score` and
//! `ndcg_score`. Candidates of one score count for MAP and nDCG as one rank; for MRR in the order of the rows.

use temper_vectors::{Embeddings, Similarity};

use crate::classification::{average_precision, cuts};
use crate::{Error, Result, Scores, check, check_count};

/// Cut-off of MRR and nDCG.
const TOP: usize = 10;

/// The candidates of a query, as rows of the documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Those that answer it.
    pub positives: Vec<usize>,
    /// Those that do not.
    pub negatives: Vec<usize>,
}

/// `map`, `mrr@10`, `ndcg@10`, by cosine.
///
/// Row `i` of `queries` has the candidates `candidates[i]`. A query without positives or without negatives is left
/// out of the means, as in the reference.
pub fn scores(queries: &Embeddings, documents: &Embeddings, candidates: &[Candidates]) -> Result<Scores> {
    check("queries", queries, queries.dim)?;
    check("documents", documents, queries.dim)?;
    check_count("lists of candidates", queries.rows(), candidates.len())?;
    let (of_query, of_document) =
        (Similarity::Cosine.prepare(queries), Similarity::Cosine.prepare(documents));
    let (mut sums, mut asked) = ([0.0; 3], 0);
    for (query, Candidates { positives, negatives }) in candidates.iter().enumerate() {
        let rows = || positives.iter().chain(negatives);
        if let Some(&document) = rows().find(|row| **row >= documents.rows()) {
            return Err(Error::NoSuchDocument { query, document, corpus: documents.rows() });
        }
        if positives.is_empty() || negatives.is_empty() {
            continue;
        }
        let closeness: Vec<f32> = rows().map(|row| of_query.score(query, &of_document, *row)).collect();
        let labels: Vec<bool> = (0..closeness.len()).map(|at| at < positives.len()).collect();
        for (sum, score) in sums.iter_mut().zip(judge(&closeness, &labels)) {
            *sum += score;
        }
        asked += 1;
    }
    if asked == 0 {
        return Err(Error::Empty { what: "no query has both positives and negatives" });
    }
    let names = ["map".to_owned(), format!("mrr@{TOP}"), format!("ndcg@{TOP}")];
    Ok(names.into_iter().zip(sums.map(|sum| sum / asked as f64)).collect())
}

/// What one query adds to each mean.
fn judge(closeness: &[f32], labels: &[bool]) -> [f64; 3] {
    let positives = labels.iter().filter(|label| **label).count();
    let mut ranking: Vec<usize> = (0..closeness.len()).collect();
    ranking.sort_by(|&a, &b| closeness[b].total_cmp(&closeness[a]));
    let first = ranking.iter().take(TOP).position(|at| labels[*at]);
    [
        average_precision(&cuts(closeness, labels), positives),
        first.map_or(0.0, |rank| 1.0 / (rank + 1) as f64),
        gain(&ranking, closeness, labels) / (0..positives.min(TOP)).map(discount).sum::<f64>(),
    ]
}

/// Discounted cumulative gain, every rank among equal scores with the mean gain of those (McSherry and Najork 2008).
fn gain(ranking: &[usize], closeness: &[f32], labels: &[bool]) -> f64 {
    let (mut sum, mut rank) = (0.0, 0);
    for tied in ranking.chunk_by(|&a, &b| closeness[a] == closeness[b]) {
        let mean = tied.iter().filter(|at| labels[**at]).count() as f64 / tied.len() as f64;
        sum += mean * (rank..(rank + tied.len()).min(TOP)).map(discount).sum::<f64>();
        rank += tied.len();
    }
    sum
}

fn discount(rank: usize) -> f64 {
    1.0 / ((rank + 2) as f64).log2()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn assert_close(found: &[f64], expected: &[f64]) {
        let close = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12);
        assert!(close && found.len() == expected.len(), "{found:?} is not {expected:?}");
    }

    #[test]
    fn one_ranking_worked_by_hand() {
        // In order: - + - +.
        let found = judge(&[0.8, 0.2, 0.9, 0.5], &[true, true, false, false]);
        let (second, fourth) = (1.0 / 3f64.log2(), 1.0 / 5f64.log2());
        assert_close(&found, &[f64::midpoint(0.5, 0.5), 0.5, (second + fourth) / (1.0 + second)]);
    }

    #[test]
    fn equal_scores_share_their_ranks() {
        let found = judge(&[0.5, 0.5], &[true, false]);
        assert_close(&found, &[0.5, 1.0, f64::midpoint(1.0, 1.0 / 3f64.log2())]);
        // Eleven candidates of one score: the ideal is rank 1, the mean gain 1/11 at each of the first ten.
        let found = judge(&[0.5; 11], &std::array::from_fn::<_, 11, _>(|at| at == 10));
        assert_close(&found, &[1.0 / 11.0, 0.0, (0..10).map(discount).sum::<f64>() / 11.0]);
    }

    #[test]
    fn queries_without_both_sides_do_not_count_and_rows_are_checked() {
        let vectors = Embeddings::from_rows(&[[1.0, 0.0], [0.0, 1.0]]).unwrap();
        let of = |positives: &[usize], negatives: &[usize]| Candidates {
            positives: positives.to_vec(),
            negatives: negatives.to_vec(),
        };
        let scores = |candidates: [Candidates; 2]| scores(&vectors, &vectors, &candidates);
        assert_eq!(scores([of(&[0], &[1]), of(&[0], &[])]).unwrap()["map"], 1.0);
        assert!(matches!(scores([of(&[0], &[]), of(&[], &[1])]), Err(Error::Empty { .. })));
        let beyond = scores([of(&[0], &[1]), of(&[2], &[1])]);
        assert!(matches!(beyond, Err(Error::NoSuchDocument { query: 1, document: 2, .. })));
    }
}
