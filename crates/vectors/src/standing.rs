//! Where known rows stand among all: how many score higher, without sorting.

use rayon::prelude::*;

use crate::Prepared;
use crate::search::{BLOCK_ROWS, Best, Hit};

/// What one query finds in a corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The closest rows, as [`top_k`](crate::top_k) finds them.
    pub closest: Vec<Hit>,
    /// What scores higher than each threshold, in their order.
    pub above: Vec<Above>,
}

/// The rows that score higher than a threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Above {
    /// How many there are.
    pub rows: u64,
    /// The sum of their weights.
    pub weight: u64,
}

/// For each query the `k` closest rows, and how many rows score higher than each of its thresholds.
///
/// # Shapes
/// - thresholds: a list for each query
/// - weights: one for each row of the corpus
pub fn standings(
    corpus: &Prepared<'_>,
    queries: &Prepared<'_>,
    k: usize,
    thresholds: &[Vec<f32>],
    weights: &[u32],
) -> Vec<Standing> {
    let none = || -> Vec<(Best, Vec<Above>)> {
        thresholds.iter().map(|thresholds| (Best::new(k), vec![Above::default(); thresholds.len()])).collect()
    };
    let blocks = corpus.rows().div_ceil(BLOCK_ROWS);
    let found = (0..blocks).into_par_iter().fold(none, |mut found, block| {
        let first = block * BLOCK_ROWS;
        let rows = first..(first + BLOCK_ROWS).min(corpus.rows());
        for (query, (best, above)) in found.iter_mut().enumerate() {
            for row in rows.clone() {
                let score = queries.score(query, corpus, row);
                best.offer(Hit { row, score });
                for (above, threshold) in above.iter_mut().zip(&thresholds[query]) {
                    let is_above = u64::from(score > *threshold);
                    above.rows += is_above;
                    above.weight += is_above * u64::from(weights[row]);
                }
            }
        }
        found
    });
    let found = found.reduce(none, |mut all, more| {
        for ((best, above), (more, more_above)) in all.iter_mut().zip(more) {
            best.take(more);
            for (above, more) in above.iter_mut().zip(more_above) {
                above.rows += more.rows;
                above.weight += more.weight;
            }
        }
        all
    });
    found.into_iter().map(|(best, above)| Standing { closest: best.into_sorted(), above }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Embeddings, Similarity, top_k};

    #[test]
    fn rows_above_a_threshold_are_counted_and_weighed() {
        let rows: Vec<[f32; 2]> = (0..300).map(|row| [row as f32, 1.0]).collect();
        let corpus = Embeddings::from_rows(&rows).unwrap();
        let queries = Embeddings::from_rows(&[[1.0, 0.0], [0.0, 1.0]]).unwrap();
        let (corpus, queries) = (Similarity::Dot.prepare(&corpus), Similarity::Dot.prepare(&queries));
        let weights: Vec<u32> = (0..300).map(|row| 1 + u32::from(row == 299)).collect();
        let found = standings(&corpus, &queries, 2, &[vec![297.0, 299.0], vec![0.5]], &weights);
        let above = |rows, weight| Above { rows, weight };
        assert_eq!(found[0].above, [above(2, 3), above(0, 0)], "equal is not above");
        assert_eq!(found[1].above, [above(300, 301)]);
        let closest: Vec<_> = found.into_iter().map(|standing| standing.closest).collect();
        assert_eq!(closest, top_k(&corpus, &queries, 2));
    }
}
