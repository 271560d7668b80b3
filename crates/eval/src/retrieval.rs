//! Retrieval: do a query's relevant documents come first when the corpus is sorted by closeness?
//!
//! Source: `InformationRetrievalEvaluator` of sentence-transformers 6.2. It breaks ties by document id; here ids are
//! rows, so a corpus sorted by id gives the same ranking.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};

use rayon::prelude::*;
use temper_vectors::{Embeddings, Prepared, Similarity};

use crate::placement::{CONFUSERS, Placement};
use crate::{Error, Result, Scores, check, check_count};

/// Cut-offs of accuracy, precision and recall.
const KS: [usize; 4] = [1, 3, 5, 10];
/// Cut-off of MRR and nDCG.
const TOP: usize = 10;
/// Cut-off of MAP, and the depth of every ranking.
const DEPTH: usize = 100;

/// `cosine_accuracy@1`, `cosine_precision@3`, `cosine_recall@5`, `cosine_mrr@10`, `cosine_ndcg@10`, `cosine_map@100`
/// and so on.
///
/// `relevant[i]` lists the corpus rows that answer query `i`; a query without any is left out of the means, as in the
/// reference.
pub fn scores(
    queries: &Embeddings,
    corpus: &Embeddings,
    relevant: &[Vec<usize>],
    similarities: &[Similarity],
) -> Result<Scores> {
    Ok(scores_and_placements(queries, corpus, relevant, similarities)?.0)
}

/// The same, and how every query with relevant documents fared by the first of `similarities`, from the same pass over
/// the corpus.
pub fn scores_and_placements(
    queries: &Embeddings,
    corpus: &Embeddings,
    relevant: &[Vec<usize>],
    similarities: &[Similarity],
) -> Result<(Scores, Vec<Placement>)> {
    check("queries", queries, queries.dim)?;
    check("documents", corpus, queries.dim)?;
    check_count("lists of relevant documents", queries.rows(), relevant.len())?;
    let judged = judged(relevant, corpus.rows())?;
    if judged.is_empty() {
        return Err(Error::Empty { what: "no query has a relevant document" });
    }
    let mut scores = Scores::new();
    let mut placements = Vec::new();
    for (place, similarity) in similarities.iter().enumerate() {
        let rankings =
            rank(&similarity.prepare(queries), &judged, &similarity.prepare(corpus), corpus.rows());
        let mut sums = Scores::new();
        for (judged, ranking) in judged.iter().zip(&rankings) {
            let hits: Vec<bool> =
                ranking.closest.iter().map(|hit| judged.relevant.contains(&hit.document)).collect();
            for (metric, value) in judge(&hits, judged.relevant.len()) {
                *sums.entry(metric).or_default() += value;
            }
        }
        let mean = |(metric, sum)| (format!("{}_{metric}", similarity.name()), sum / judged.len() as f64);
        scores.extend(sums.into_iter().map(mean));
        if place == 0 {
            placements =
                judged.iter().zip(&rankings).map(|(judged, ranking)| ranking.placement(judged)).collect();
        }
    }
    Ok((scores, placements))
}

/// A query that has relevant documents.
struct Judged {
    query: usize,
    relevant: BTreeSet<usize>,
}

fn judged(relevant: &[Vec<usize>], corpus: usize) -> Result<Vec<Judged>> {
    let mut judged = Vec::new();
    for (query, documents) in relevant.iter().enumerate() {
        if let Some(&document) = documents.iter().find(|document| **document >= corpus) {
            return Err(Error::NoSuchDocument { query, document, corpus });
        }
        if !documents.is_empty() {
            judged.push(Judged { query, relevant: documents.iter().copied().collect() });
        }
    }
    Ok(judged)
}

/// Queries that share one pass over the corpus, and documents that stay in cache for all of them.
const QUERY_BLOCK: usize = 16;
const CORPUS_BLOCK: usize = 256;

/// How the corpus stands to each query that is asked. Memory is `DEPTH` per query.
fn rank(queries: &Prepared<'_>, asked: &[Judged], corpus: &Prepared<'_>, documents: usize) -> Vec<Ranking> {
    let block = |asked: &[Judged]| -> Vec<Ranking> {
        let hit = |query, document| Hit { score: queries.score(query, corpus, document), document };
        let first_relevant =
            |judged: &Judged| judged.relevant.iter().map(|row| hit(judged.query, *row)).max();
        let mut standings: Vec<Standing> =
            asked.iter().map(|judged| Standing::against(first_relevant(judged))).collect();
        for start in (0..documents).step_by(CORPUS_BLOCK) {
            let end = (start + CORPUS_BLOCK).min(documents);
            for (standing, judged) in standings.iter_mut().zip(asked) {
                (start..end).for_each(|document| standing.offer(hit(judged.query, document)));
            }
        }
        standings.into_iter().map(Standing::into_ranking).collect()
    };
    asked.par_chunks(QUERY_BLOCK).flat_map_iter(block).collect()
}

/// The closest documents of one query, closest first; equal scores by row.
struct Ranking {
    closest: Vec<Hit>,
    /// The relevant document that is closest, wherever it stands.
    first_relevant: Hit,
    /// How many documents of the whole corpus stand above it.
    above: usize,
}

impl Ranking {
    fn placement(&self, judged: &Judged) -> Placement {
        let others = self.closest.iter().filter(|hit| !judged.relevant.contains(&hit.document));
        Placement {
            query: judged.query,
            positive: self.first_relevant.document,
            score: self.first_relevant.score,
            rank: self.above + 1,
            confusers: others.take(CONFUSERS).map(|hit| (hit.document, hit.score)).collect(),
        }
    }
}

/// A ranking in the making: the `DEPTH` closest documents so far, the first to give way at the heap's top.
struct Standing {
    closest: BinaryHeap<Reverse<Hit>>,
    first_relevant: Hit,
    above: usize,
}

impl Standing {
    fn against(first_relevant: Option<Hit>) -> Self {
        let nowhere = Hit { score: f32::NEG_INFINITY, document: usize::MAX };
        Self { closest: BinaryHeap::new(), first_relevant: first_relevant.unwrap_or(nowhere), above: 0 }
    }

    fn offer(&mut self, hit: Hit) {
        self.above += usize::from(hit > self.first_relevant);
        if self.closest.len() < DEPTH {
            self.closest.push(Reverse(hit));
        } else if self.closest.peek().is_some_and(|worst| hit > worst.0) {
            self.closest.pop();
            self.closest.push(Reverse(hit));
        }
    }

    fn into_ranking(self) -> Ranking {
        let closest = self.closest.into_sorted_vec().into_iter().map(|hit| hit.0).collect();
        Ranking { closest, first_relevant: self.first_relevant, above: self.above }
    }
}

/// Greater is better: a higher score, then an earlier row.
#[derive(Clone, Copy)]
struct Hit {
    score: f32,
    document: usize,
}

impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        // Adding 0 turns -0 into 0, which `total_cmp` would tell apart.
        let by_score = (self.score + 0.0).total_cmp(&(other.score + 0.0));
        by_score.then(other.document.cmp(&self.document))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Hit {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Hit {}

/// What one query adds to each mean, from whether the document at each rank is relevant.
fn judge(hits: &[bool], relevant: usize) -> Vec<(String, f64)> {
    let found = |k: usize| hits.iter().take(k).filter(|hit| **hit).count() as f64;
    let first = hits.iter().take(TOP).position(|hit| *hit);
    let mut scores = vec![
        (format!("mrr@{TOP}"), first.map_or(0.0, |rank| 1.0 / (rank + 1) as f64)),
        (format!("ndcg@{TOP}"), gain(hits.iter().copied()) / gain((0..relevant).map(|_| true))),
        (format!("map@{DEPTH}"), average_precision(hits, relevant)),
    ];
    for k in KS {
        scores.push((format!("accuracy@{k}"), f64::from(found(k) > 0.0)));
        scores.push((format!("precision@{k}"), found(k) / k as f64));
        scores.push((format!("recall@{k}"), found(k) / relevant as f64));
    }
    scores
}

/// Discounted cumulative gain of the first ranks.
fn gain(hits: impl Iterator<Item = bool>) -> f64 {
    hits.take(TOP).enumerate().filter(|(_, hit)| *hit).map(|(rank, _)| 1.0 / ((rank + 2) as f64).log2()).sum()
}

fn average_precision(hits: &[bool], relevant: usize) -> f64 {
    let ranks = hits.iter().take(DEPTH).enumerate().filter(|(_, hit)| **hit).map(|(rank, _)| rank + 1);
    let sum: f64 = ranks.enumerate().map(|(found, rank)| (found + 1) as f64 / rank as f64).sum();
    sum / relevant.min(DEPTH) as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn one_ranking_judged_by_hand() {
        // Relevant at ranks 2 and 4, and a third one never found.
        let hits = [false, true, false, true, false];
        let found: Scores = judge(&hits, 3).into_iter().collect();
        assert_close(found["accuracy@1"], 0.0);
        assert_close(found["accuracy@3"], 1.0);
        assert_close(found["precision@5"], 0.4);
        assert_close(found["precision@10"], 0.2);
        assert_close(found["recall@3"], 1.0 / 3.0);
        assert_close(found["mrr@10"], 0.5);
        assert_close(found["map@100"], (1.0 / 2.0 + 2.0 / 4.0) / 3.0);
        let ideal = 1.0 + 1.0 / 3f64.log2() + 0.5;
        assert_close(found["ndcg@10"], (1.0 / 3f64.log2() + 1.0 / 5f64.log2()) / ideal);
    }

    /// Every query is asked, with the same relevant rows.
    fn asked(queries: &Embeddings, relevant: &[usize]) -> Vec<Judged> {
        let judged = |query| Judged { query, relevant: relevant.iter().copied().collect() };
        (0..queries.rows()).map(judged).collect()
    }

    fn rows(ranking: &Ranking) -> Vec<usize> {
        ranking.closest.iter().map(|hit| hit.document).collect()
    }

    #[test]
    fn ties_go_to_the_earlier_row_at_any_depth() {
        let query = Embeddings::from_rows(&[[1.0]]).unwrap();
        let corpus = Embeddings::from_values(1, vec![1.0; 3 * CORPUS_BLOCK]).unwrap();
        let dot = |rows| Similarity::Dot.prepare(rows);
        let rankings = rank(&dot(&query), &asked(&query, &[200, 150]), &dot(&corpus), corpus.rows());
        assert_eq!(rows(&rankings[0]), (0..DEPTH).collect::<Vec<_>>());
        assert_eq!((rankings[0].first_relevant.document, rankings[0].above), (150, 150));
    }

    #[test]
    fn blocks_rank_like_a_full_sort() {
        // A fixed scramble of whole numbers, so that many scores tie.
        let values = |rows: usize| (0..rows * 2).map(|at| (at * 7919 % 13) as f32 - 6.0).collect();
        let queries = Embeddings::from_values(2, values(QUERY_BLOCK + 3)).unwrap();
        let corpus = Embeddings::from_values(2, values(CORPUS_BLOCK * 2 + 5)).unwrap();
        let relevant = [3, CORPUS_BLOCK + 7, corpus.rows() - 1];
        let asked = asked(&queries, &relevant);
        for similarity in Similarity::ALL {
            let rankings =
                rank(&similarity.prepare(&queries), &asked, &similarity.prepare(&corpus), corpus.rows());
            for (query, ranking) in rankings.iter().enumerate() {
                let score = |row: usize| similarity.score(queries.row(query), corpus.row(row)) + 0.0;
                let mut sorted: Vec<usize> = (0..corpus.rows()).collect();
                sorted.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
                assert_eq!(rows(ranking), sorted[..DEPTH], "{similarity:?}, query {query}");
                let first = sorted.iter().position(|row| relevant.contains(row));
                assert_eq!(Some(ranking.above), first, "{similarity:?}, query {query}");
                let placement = ranking.placement(&asked[query]);
                let others = sorted.iter().filter(|row| !relevant.contains(row)).copied();
                assert!(placement.confusers.iter().map(|(row, _)| *row).eq(others.take(CONFUSERS)));
            }
        }
    }

    #[test]
    fn queries_without_relevant_documents_do_not_count() {
        let queries = Embeddings::from_rows(&[[1.0, 0.0], [0.0, 1.0]]).unwrap();
        let corpus = queries.clone();
        let of = |relevant: &[Vec<usize>]| scores(&queries, &corpus, relevant, &[Similarity::Cosine]);
        assert_close(of(&[vec![0, 0], vec![]]).unwrap()["cosine_accuracy@1"], 1.0);
        assert_close(of(&[vec![0, 0], vec![]]).unwrap()["cosine_recall@1"], 1.0);
        assert_close(of(&[vec![0], vec![0]]).unwrap()["cosine_mrr@10"], 0.75);
        assert!(matches!(of(&[vec![], vec![]]), Err(Error::Empty { .. })));
        assert!(matches!(of(&[vec![2], vec![]]), Err(Error::NoSuchDocument { document: 2, .. })));
        assert!(matches!(of(&[vec![0]]), Err(Error::Count { .. })));
    }
}
