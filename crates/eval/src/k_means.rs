//! Clustering by k-means (Lloyd), from seeds spread out by greedy k-means++ (Arthur and Vassilvitskii 2007).

use rayon::prelude::*;
use temper_data::random;
use temper_kernels::product_t;
use temper_vectors::Embeddings;

use crate::probe::largest;

/// Clusterings of which the tightest is kept.
const RUNS: u64 = 4;
/// Rounds after which a clustering counts as done.
const MAX_ROUNDS: usize = 300;
/// Rows that are compared with all centres at once.
const BLOCK_ROWS: usize = 4096;

/// The cluster of each row, of `k` at most: the same for the same seed at any number of threads.
pub fn k_means(vectors: &Embeddings, k: usize, seed: u64) -> Vec<usize> {
    let squares: Vec<f32> = vectors.values.par_chunks(vectors.dim.max(1)).map(square).collect();
    let cluster =
        |run| Clustering::of(vectors, &squares, k.min(vectors.rows()), random::key(seed, "k_means", run));
    let best = (0..RUNS).map(cluster).min_by(|a, b| a.inertia.total_cmp(&b.inertia));
    best.map_or_else(Vec::new, |clustering| clustering.clusters)
}

struct Clustering {
    clusters: Vec<usize>,
    /// Sum of the squared distances from the centres.
    inertia: f64,
}

impl Clustering {
    fn of(vectors: &Embeddings, squares: &[f32], k: usize, key: u64) -> Self {
        let mut centres = spread(vectors, squares, k, key);
        let mut nearest = nearest(vectors, &centres);
        for _ in 0..MAX_ROUNDS {
            centres = means(vectors, &nearest.0, centres);
            let next = self::nearest(vectors, &centres);
            let is_done = next.0 == nearest.0;
            nearest = next;
            if is_done {
                break;
            }
        }
        let inertia =
            squares.iter().zip(&nearest.1).map(|(square, score)| f64::from(square - 2.0 * score)).sum();
        Self { clusters: nearest.0, inertia }
    }
}

/// Centres that are rows: each the best of a few candidates, drawn by their squared distance from those before.
fn spread(vectors: &Embeddings, squares: &[f32], k: usize, key: u64) -> Embeddings {
    let mut centres = Embeddings::new(vectors.dim);
    let mut add = |row: usize| centres.values.extend_from_slice(vectors.row(row));
    if k == 0 {
        return centres;
    }
    let first = (f64::from(random::uniform_f32(key, 0)) * vectors.rows() as f64) as usize;
    add(first);
    let mut distances = distances(vectors, squares, &[first]).remove(0);
    let trials = 2 + (k as f64).ln() as usize;
    for centre in 1..k {
        let total: f64 = distances.iter().map(|distance| f64::from(*distance)).sum();
        let draw = |trial: usize| {
            let target = f64::from(random::uniform_f32(key, (centre * trials + trial) as u64)) * total;
            let mut sum = 0.0;
            let reached = |distance: &f32| {
                sum += f64::from(*distance);
                sum > target
            };
            distances.iter().position(reached).unwrap_or(0)
        };
        let candidates: Vec<usize> = (0..trials).map(draw).collect();
        let closer = self::distances(vectors, squares, &candidates).into_iter().map(|to_candidate| {
            to_candidate.iter().zip(&distances).map(|(new, old)| new.min(*old)).collect::<Vec<f32>>()
        });
        let sum = |distances: &[f32]| distances.iter().map(|distance| f64::from(*distance)).sum::<f64>();
        let best = candidates.iter().zip(closer).min_by(|a, b| sum(&a.1).total_cmp(&sum(&b.1)));
        if let Some((row, closer)) = best {
            add(*row);
            distances = closer;
        }
    }
    centres
}

/// Squared distances of all rows from some of them.
fn distances(vectors: &Embeddings, squares: &[f32], from: &[usize]) -> Vec<Vec<f32>> {
    let centres: Vec<f32> = from.iter().flat_map(|row| vectors.row(*row)).copied().collect();
    let products = product_t(&centres, &vectors.values, vectors.dim);
    let distance = |(product, square): (&f32, &f32), own: f32| (own + square - 2.0 * product).max(0.0);
    let rows = from.iter().zip(products.chunks_exact(vectors.rows()));
    rows.map(|(row, products)| {
        products.iter().zip(squares).map(|pair| distance(pair, squares[*row])).collect()
    })
    .collect()
}

/// For each row its nearest centre, and what half the squared distance from it is short of half the row's square.
fn nearest(vectors: &Embeddings, centres: &Embeddings) -> (Vec<usize>, Vec<f32>) {
    let halves: Vec<f32> = centres.iter().map(|centre| 0.5 * square(centre)).collect();
    let (mut clusters, mut scores) = (Vec::new(), Vec::new());
    for block in vectors.values.chunks(BLOCK_ROWS * vectors.dim.max(1)) {
        let mut products = product_t(block, &centres.values, vectors.dim);
        for row in products.chunks_exact_mut(halves.len().max(1)) {
            row.iter_mut().zip(&halves).for_each(|(score, half)| *score -= half);
            let best = largest(row);
            clusters.push(best);
            scores.push(row[best]);
        }
    }
    (clusters, scores)
}

/// The mean of each cluster; an empty one keeps its centre.
fn means(vectors: &Embeddings, clusters: &[usize], mut centres: Embeddings) -> Embeddings {
    let mut sums = vec![0.0f64; centres.values.len()];
    let mut counts = vec![0usize; centres.rows()];
    for (row, &cluster) in vectors.iter().zip(clusters) {
        counts[cluster] += 1;
        let sum = &mut sums[cluster * vectors.dim..][..vectors.dim];
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let rows = centres.values.chunks_exact_mut(vectors.dim.max(1)).zip(sums.chunks_exact(vectors.dim.max(1)));
    for ((centre, sum), count) in rows.zip(counts).filter(|(_, count)| *count > 0) {
        centre.iter_mut().zip(sum).for_each(|(value, sum)| *value = (sum / count as f64) as f32);
    }
    centres
}

fn square(row: &[f32]) -> f32 {
    row.iter().map(|value| value * value).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn heaps_are_found_whatever_their_order_and_the_seed() {
        let rows: Vec<[f32; 2]> =
            (0..90).map(|row| [(row % 3) as f32 * 10.0, (row / 3 % 7) as f32 * 0.1]).collect();
        let vectors = Embeddings::from_rows(&rows).unwrap();
        for seed in 0..5 {
            let found = k_means(&vectors, 3, seed);
            assert!((3..90).all(|row| found[row] == found[row % 3]), "{found:?}");
            assert!(found[0] != found[1] && found[1] != found[2] && found[0] != found[2]);
        }
    }

    #[test]
    fn more_clusters_than_rows_and_equal_rows_end() {
        let vectors = Embeddings::from_rows(&[[1.0], [1.0], [1.0]]).unwrap();
        assert_eq!(k_means(&vectors, 5, 0), [0, 0, 0]);
        assert!(k_means(&Embeddings::new(1), 2, 0).is_empty());
    }
}
