//! Paraphrase mining: the closest pairs among many vectors.
//!
//! Source: `util.paraphrase_mining_embeddings` of sentence-transformers 6.2.

use crate::search::{Hit, top_k};
use crate::similarity::Prepared;

/// Rows whose neighbours are looked for together.
const BLOCK_ROWS: usize = 256;

/// Two rows and how close they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Higher is closer.
    pub score: f32,
    /// The earlier row.
    pub first: usize,
    /// The later one.
    pub second: usize,
}

/// Which pairs to keep.
#[derive(Debug, Clone, Copy)]
pub struct PairLimits {
    /// Pairs of one row that are looked at: those with its closest rows.
    pub top_k: usize,
    /// Pairs of all.
    pub max_pairs: usize,
    /// Pairs that score less are left out.
    pub min_score: f32,
}

impl Default for PairLimits {
    /// Those of the reference.
    fn default() -> Self {
        Self { top_k: 100, max_pairs: 500_000, min_score: f32::NEG_INFINITY }
    }
}

/// The closest pairs of rows, closest first; pairs of one score by their rows.
///
/// Every row is compared with every other one, block by block. Memory grows with `max_pairs`, not with the number of
/// comparisons. `progress` is told how many rows were done since it was last called.
pub fn closest_pairs(rows: &Prepared<'_>, limits: PairLimits, progress: &mut dyn FnMut(usize)) -> Vec<Pair> {
    let mut best = BestPairs { pairs: Vec::new(), limits };
    for start in (0..rows.rows()).step_by(BLOCK_ROWS) {
        let block = start..(start + BLOCK_ROWS).min(rows.rows());
        // One more, because a row is its own neighbour.
        let found = top_k(rows, &rows.slice(block.clone()), limits.top_k.saturating_add(1));
        for (row, hits) in block.clone().zip(found) {
            for hit in hits.into_iter().filter(|hit| hit.row != row).take(limits.top_k) {
                best.offer(row, hit);
            }
        }
        progress(block.len());
    }
    best.into_sorted()
}

/// The best pairs so far, and up to as many that came since it was last looked which those are.
struct BestPairs {
    pairs: Vec<Pair>,
    limits: PairLimits,
}

impl BestPairs {
    fn offer(&mut self, row: usize, hit: Hit) {
        if hit.score >= self.limits.min_score {
            let (first, second) = (row.min(hit.row), row.max(hit.row));
            self.pairs.push(Pair { score: hit.score, first, second });
        }
        if self.pairs.len() >= self.limits.max_pairs.saturating_mul(2).max(BLOCK_ROWS) {
            self.keep_best();
        }
    }

    /// A pair that both of its rows offered has one score, so that the two stand side by side.
    fn keep_best(&mut self) {
        let order = |a: &Pair, b: &Pair| {
            b.score.total_cmp(&a.score).then((a.first, a.second).cmp(&(b.first, b.second)))
        };
        self.pairs.sort_unstable_by(order);
        self.pairs.dedup_by_key(|pair| (pair.first, pair.second));
        self.pairs.truncate(self.limits.max_pairs);
    }

    fn into_sorted(mut self) -> Vec<Pair> {
        self.keep_best();
        self.pairs
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::{Embeddings, Similarity};

    fn all_pairs(rows: &Embeddings) -> Vec<Pair> {
        let pair = |first: usize, second: usize| {
            let score = Similarity::Dot.score(rows.row(first), rows.row(second));
            Pair { score, first, second }
        };
        let mut pairs: Vec<Pair> =
            (0..rows.rows()).flat_map(|j| (0..j).map(move |i| (i, j))).map(|(i, j)| pair(i, j)).collect();
        pairs.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.first, a.second).cmp(&(b.first, b.second))));
        pairs
    }

    #[test]
    fn limits_leave_the_closest() {
        let rows = Embeddings::from_rows(&[[1.0], [2.0], [3.0]]).unwrap();
        let mined = |limits| closest_pairs(&Similarity::Dot.prepare(&rows), limits, &mut |_| ());
        let pair = |score, first, second| Pair { score, first, second };
        let all = PairLimits::default();
        assert_eq!(mined(all), [pair(6.0, 1, 2), pair(3.0, 0, 2), pair(2.0, 0, 1)]);
        assert_eq!(mined(PairLimits { top_k: 1, ..all }), [pair(6.0, 1, 2), pair(3.0, 0, 2)]);
        assert_eq!(mined(PairLimits { min_score: 3.0, ..all }).len(), 2);
        assert_eq!(mined(PairLimits { max_pairs: 0, ..all }), []);
    }

    proptest! {
        #[test]
        fn the_best_of_all_pairs_however_few_are_kept(
            values in proptest::collection::vec(0.0f32..1.0, 0..300),
            max_pairs in 1usize..400,
        ) {
            let rows = Embeddings::from_values(1, values).unwrap();
            let limits = PairLimits { top_k: usize::MAX, max_pairs, ..PairLimits::default() };
            let mut done = 0;
            let mined = closest_pairs(&Similarity::Dot.prepare(&rows), limits, &mut |rows| done += rows);
            let mut expected = all_pairs(&rows);
            expected.truncate(max_pairs);
            prop_assert_eq!(mined, expected);
            prop_assert_eq!(done, rows.rows());
        }
    }
}
