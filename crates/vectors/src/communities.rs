//! Community detection: groups of vectors that all lie close to the one in their middle.
//!
//! Source: `util.community_detection` of sentence-transformers 6.2.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::{Embeddings, Hit, Prepared, Similarity};

/// Rows whose neighbours are counted together, between two reports of progress.
const BLOCK_ROWS: usize = 256;

/// Disjoint groups of rows, largest first; the first row of each is its centre, whose cosine with every other one is
/// at least `threshold`, closest first.
///
/// The row with most neighbours takes them, then the one with most among the rest, and so on; of groups that come to
/// fewer than `min_size` rows none is made. Only the number of each row's neighbours is kept, so that memory does not
/// grow with how many there are; those of centres are looked up again. `progress` is told how many rows were done
/// since it was last called.
pub fn communities(
    rows: &Embeddings,
    threshold: f32,
    min_size: usize,
    progress: &mut dyn FnMut(usize),
) -> Vec<Vec<usize>> {
    let rows = Similarity::Cosine.prepare(rows);
    let all: Vec<usize> = (0..rows.rows()).collect();
    let sizes = neighbour_counts(&rows, &all, threshold, progress);
    let mut centres: Vec<(usize, usize)> = all.iter().copied().zip(sizes).collect();
    centres.retain(|(_, size)| *size >= min_size);
    centres.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let mut free = vec![true; rows.rows()];
    let mut found = Vec::new();
    for (centre, _) in centres {
        if !free[centre] {
            continue;
        }
        let mut members: Vec<Hit> = all
            .par_chunks(BLOCK_ROWS)
            .flat_map_iter(|block| {
                let near = |row: &usize| free[*row].then(|| near(&rows, centre, *row, threshold)).flatten();
                block.iter().filter_map(near)
            })
            .collect();
        if members.len() < min_size {
            continue;
        }
        // Stable: rows of one score keep their order. The centre itself stands first even before its duplicates.
        members.sort_by(|a, b| b.score.total_cmp(&a.score));
        let others = members.iter().map(|hit| hit.row).filter(|row| *row != centre);
        let community: Vec<usize> = std::iter::once(centre).chain(others).collect();
        for row in &community {
            free[*row] = false;
        }
        found.push(community);
    }
    found.sort_by_key(|community| std::cmp::Reverse(community.len()));
    found
}

/// How many rows are close enough to each, itself included; a pair is looked at once, in blocks that stay in cache.
fn neighbour_counts(
    rows: &Prepared<'_>,
    all: &[usize],
    threshold: f32,
    progress: &mut dyn FnMut(usize),
) -> Vec<usize> {
    let counts: Vec<AtomicUsize> = all.iter().map(|_| AtomicUsize::new(1)).collect();
    let count = |row: usize| counts[row].fetch_add(1, Ordering::Relaxed);
    for block in all.chunks(BLOCK_ROWS) {
        all[block[0]..].par_chunks(BLOCK_ROWS).for_each(|others| {
            for &row in block {
                for &other in others.iter().filter(|other| **other > row) {
                    if near(rows, row, other, threshold).is_some() {
                        count(row);
                        count(other);
                    }
                }
            }
        });
        progress(block.len());
    }
    counts.into_iter().map(AtomicUsize::into_inner).collect()
}

/// A row that is close enough to a centre, as the centre is to itself whatever rounding says.
fn near(rows: &Prepared<'_>, centre: usize, row: usize, threshold: f32) -> Option<Hit> {
    let score = rows.score(centre, rows, row);
    (score >= threshold || centre == row).then_some(Hit { row, score })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Unit vectors at these angles, in degrees.
    fn at(angles: &[f32]) -> Embeddings {
        let rows: Vec<[f32; 2]> =
            angles.iter().map(|angle| [angle.to_radians().cos(), angle.to_radians().sin()]).collect();
        Embeddings::from_rows(&rows).unwrap()
    }

    fn found(angles: &[f32], min_size: usize) -> Vec<Vec<usize>> {
        // Within 11 degrees.
        let threshold = 11f32.to_radians().cos();
        let mut done = 0;
        let found = communities(&at(angles), threshold, min_size, &mut |rows| done += rows);
        assert_eq!(done, angles.len());
        found
    }

    #[test]
    fn the_row_with_most_neighbours_takes_them() {
        // 10 lies within 11 degrees of 0, 5 and 20.5; the other two of 20.5 are left to it.
        assert_eq!(found(&[0.0, 10.0, 5.0, 20.5, 90.0, 30.5, 30.0], 2), [vec![1, 2, 0, 3], vec![5, 6]]);
        assert_eq!(found(&[0.0, 10.0, 5.0, 20.5, 90.0], 1), [vec![1, 2, 0, 3], vec![4]]);
    }

    #[test]
    fn duplicates_stand_behind_their_centre_and_small_groups_are_none() {
        assert_eq!(found(&[45.0, 45.0, 45.0, 0.0], 3), [[0, 1, 2]]);
        assert!(found(&[45.0, 45.0, 0.0], 3).is_empty());
        assert!(found(&[], 1).is_empty());
    }
}
