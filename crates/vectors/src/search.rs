//! The closest rows of a corpus, exactly: every row is scored, in blocks that are spread over the threads.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use crate::Prepared;

/// Rows scored against all queries before the next ones are loaded: they stay in the second-level cache.
pub(crate) const BLOCK_ROWS: usize = 128;

/// A row of the corpus and how close it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Index of the row.
    pub row: usize,
    /// Its score; higher is closer.
    pub score: f32,
}

/// For each query the `k` closest rows, closest first; rows of one score keep their order, NaN comes last.
///
/// Both sides must be prepared for the same measure and have vectors of one length. Scores are those of
/// [`Prepared::score`] to the bit, at any number of threads.
pub fn top_k(corpus: &Prepared<'_>, queries: &Prepared<'_>, k: usize) -> Vec<Vec<Hit>> {
    let none = || vec![Best::new(k); queries.rows()];
    let blocks = corpus.rows().div_ceil(BLOCK_ROWS);
    let best = (0..blocks).into_par_iter().fold(none, |mut best, block| {
        let first = block * BLOCK_ROWS;
        let rows = first..(first + BLOCK_ROWS).min(corpus.rows());
        for (query, best) in best.iter_mut().enumerate() {
            for row in rows.clone() {
                best.offer(Hit { row, score: queries.score(query, corpus, row) });
            }
        }
        best
    });
    let best = best.reduce(none, |mut all, more| {
        all.iter_mut().zip(more).for_each(|(all, more)| all.take(more));
        all
    });
    best.into_iter().map(Best::into_sorted).collect()
}

/// The best hits so far; the order of offers does not matter, because no two hits are equal.
#[derive(Clone)]
pub(crate) struct Best {
    k: usize,
    heap: BinaryHeap<Worst>,
}

/// A hit whose order makes the worst one the greatest.
#[derive(Clone, Copy, PartialEq)]
struct Worst(Hit);

impl Best {
    pub(crate) fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    pub(crate) fn offer(&mut self, hit: Hit) {
        let hit = Worst(hit);
        if self.heap.len() < self.k {
            self.heap.push(hit);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && hit < *worst
        {
            *worst = hit;
        }
    }

    pub(crate) fn take(&mut self, more: Self) {
        more.heap.into_iter().for_each(|hit| self.offer(hit.0));
    }

    pub(crate) fn into_sorted(self) -> Vec<Hit> {
        self.heap.into_sorted_vec().into_iter().map(|worst| worst.0).collect()
    }
}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.0, other.0);
        let by_score = b.score.partial_cmp(&a.score);
        by_score.unwrap_or_else(|| a.score.is_nan().cmp(&b.score.is_nan())).then(a.row.cmp(&b.row))
    }
}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Worst {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::{Embeddings, Similarity};

    fn search(similarity: Similarity, corpus: &Embeddings, queries: &Embeddings, k: usize) -> Vec<Vec<Hit>> {
        top_k(&similarity.prepare(corpus), &similarity.prepare(queries), k)
    }

    /// All rows sorted by a stable sort, which keeps ties in their order.
    fn brute_force(
        similarity: Similarity,
        corpus: &Embeddings,
        query: &[f32],
        k: usize,
    ) -> Vec<(usize, u32)> {
        let mut all: Vec<(usize, f32)> =
            corpus.iter().map(|row| similarity.score(query, row)).enumerate().collect();
        all.sort_by(|(_, a), (_, b)| match (a.is_nan(), b.is_nan()) {
            (false, false) => b.partial_cmp(a).unwrap(),
            (a, b) => a.cmp(&b),
        });
        all.truncate(k);
        all.into_iter().map(|(row, score)| (row, score.to_bits())).collect()
    }

    #[test]
    fn the_closest_come_first_and_ties_by_row() {
        let corpus = Embeddings::from_rows(&[[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [1.0, 1.0]]).unwrap();
        let queries = Embeddings::from_rows(&[[1.0, 0.0], [0.0, 0.0]]).unwrap();
        let found = search(Similarity::Dot, &corpus, &queries, 3);
        let rows = |hits: &[Hit]| hits.iter().map(|hit| hit.row).collect::<Vec<_>>();
        assert_eq!(rows(&found[0]), [2, 1, 3]);
        assert_eq!(rows(&found[1]), [0, 1, 2], "all score 0");
        assert_eq!(found[0][0], Hit { row: 2, score: 2.0 });
    }

    #[test]
    fn less_corpus_than_asked_for_and_none_at_all() {
        let one = Embeddings::from_rows(&[[1.0]]).unwrap();
        assert_eq!(search(Similarity::Dot, &one, &one, 5)[0].len(), 1);
        assert_eq!(search(Similarity::Dot, &one, &one, 0), [vec![]]);
        assert_eq!(search(Similarity::Dot, &Embeddings::new(1), &one, 5), [vec![]]);
        assert!(search(Similarity::Dot, &one, &Embeddings::new(1), 5).is_empty());
    }

    proptest! {
        #[test]
        fn the_same_as_sorting_everything_with_ties_and_nan_at_any_thread_count(
            // Few values, so that many rows tie; NaN among them.
            corpus in proptest::collection::vec(
                prop_oneof![Just(-1.0f32), Just(0.0), Just(0.5), Just(1.0), Just(f32::NAN)], 3 * 300..=3 * 300),
            rows in 0usize..300,
            queries in proptest::collection::vec(-1.0f32..1.0, 3 * 4),
            k in 0usize..40,
        ) {
            let corpus = Embeddings::from_values(3, corpus[..rows * 3].to_vec()).unwrap();
            let queries = Embeddings::from_values(3, queries).unwrap();
            for similarity in Similarity::ALL {
                let found = search(similarity, &corpus, &queries, k);
                for (query, found) in queries.iter().zip(&found) {
                    let found: Vec<_> = found.iter().map(|hit| (hit.row, hit.score.to_bits())).collect();
                    prop_assert_eq!(found, brute_force(similarity, &corpus, query, k));
                }
                let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
                let again = pool.install(|| search(similarity, &corpus, &queries, k));
                prop_assert_eq!(format!("{found:?}"), format!("{again:?}"));
            }
        }
    }
}
