//! How close two vectors are. Sums run over fixed lanes, so a score is the same bytes in every caller.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Embeddings, Error, Result};

/// A measure of closeness where higher is closer; distances are negated, as in sentence-transformers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Similarity {
    /// Dot product of the vectors at length 1.
    #[default]
    Cosine,
    /// Dot product.
    Dot,
    /// Negative length of the difference.
    Euclidean,
    /// Negative sum of the absolute differences.
    Manhattan,
}

impl Similarity {
    /// Every measure, in the order in which scores are reported.
    pub const ALL: [Self; 4] = [Self::Cosine, Self::Dot, Self::Euclidean, Self::Manhattan];

    /// The name used in files and score names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::Euclidean => "euclidean",
            Self::Manhattan => "manhattan",
        }
    }

    /// Closeness of two vectors of one length.
    pub fn score(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Cosine => dot(a, b) / (norm(a) * norm(b)),
            Self::Dot => dot(a, b),
            Self::Euclidean => -sum_over(a, b, |x, y| (x - y) * (x - y)).sqrt(),
            Self::Manhattan => -sum_over(a, b, |x, y| (x - y).abs()),
        }
    }

    /// Computes once per row what every comparison needs.
    pub fn prepare(self, rows: &Embeddings) -> Prepared<'_> {
        let norms = match self {
            Self::Cosine => rows.values.par_chunks_exact(rows.dim.max(1)).map(norm).collect(),
            Self::Dot | Self::Euclidean | Self::Manhattan => Vec::new(),
        };
        Prepared { similarity: self, dim: rows.dim, values: &rows.values, norms: Cow::Owned(norms) }
    }

    /// Every row of `a` against every row of `b`.
    ///
    /// # Shapes
    /// - output: `[a.rows(), b.rows()]`
    pub fn matrix(self, a: &Embeddings, b: &Embeddings) -> Result<Vec<f32>> {
        same("values in a vector", a.dim, b.dim)?;
        let (left, right) = (self.prepare(a), self.prepare(b));
        Ok((0..a.rows())
            .flat_map(|i| (0..b.rows()).map(move |j| (i, j)))
            .map(|(i, j)| left.score(i, &right, j))
            .collect())
    }

    /// Row `i` of `a` against row `i` of `b`.
    pub fn pairwise(self, a: &Embeddings, b: &Embeddings) -> Result<Vec<f32>> {
        same("values in a vector", a.dim, b.dim)?;
        same("vectors on the second side", a.rows(), b.rows())?;
        Ok(a.iter().zip(b).map(|(left, right)| self.score(left, right)).collect())
    }
}

/// Rows ready to be compared many times.
#[derive(Debug, Clone)]
pub struct Prepared<'a> {
    similarity: Similarity,
    dim: usize,
    values: &'a [f32],
    norms: Cow<'a, [f32]>,
}

impl Prepared<'_> {
    /// Number of vectors.
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.dim).unwrap_or(0)
    }

    /// Some of the vectors.
    pub fn slice(&self, rows: Range<usize>) -> Prepared<'_> {
        let norms = if self.norms.is_empty() { &[] } else { &self.norms[rows.clone()] };
        let values = &self.values[rows.start * self.dim..rows.end * self.dim];
        Prepared { values, norms: Cow::Borrowed(norms), ..*self }
    }

    /// Row `i` here against row `j` of `other`, which must be prepared for the same measure.
    pub fn score(&self, i: usize, other: &Prepared<'_>, j: usize) -> f32 {
        let (a, b) = (self.row(i), other.row(j));
        match self.similarity {
            Similarity::Cosine => dot(a, b) / (self.norms[i] * other.norms[j]),
            Similarity::Dot | Similarity::Euclidean | Similarity::Manhattan => self.similarity.score(a, b),
        }
    }

    fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..][..self.dim]
    }
}

fn same(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::Shape { what, expected, found }) }
}

/// Length of a vector, at least 1e-12 so that it can divide: the floor of `torch.nn.functional.normalize`.
pub(crate) fn norm(a: &[f32]) -> f32 {
    dot(a, a).sqrt().max(1e-12)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_over(a, b, |x, y| x * y)
}

/// Independent running sums, which the compiler turns into vector registers; their number fixes the order of
/// additions whatever the machine.
const LANES: usize = 16;

fn sum_over(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += term(x[lane], y[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(&x, &y)| term(x, y)).sum();
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0] + rest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_measures_of_a_right_triangle() {
        let (a, b) = ([3.0, 0.0], [0.0, 4.0]);
        assert_eq!(Similarity::Cosine.score(&a, &b), 0.0);
        assert_eq!(Similarity::Dot.score(&a, &[2.0, 1.0]), 6.0);
        assert_eq!(Similarity::Euclidean.score(&a, &b), -5.0);
        assert_eq!(Similarity::Manhattan.score(&a, &b), -7.0);
        assert_eq!(Similarity::Cosine.score(&a, &[0.0, 0.0]), 0.0);
    }

    #[test]
    fn names_are_those_of_the_files() {
        for similarity in Similarity::ALL {
            assert_eq!(serde_json::to_string(&similarity).unwrap(), format!("\"{}\"", similarity.name()));
        }
    }

    #[test]
    fn shapes_that_disagree_are_refused() {
        let (a, b) = (Embeddings::from_values(2, vec![1.0; 4]), Embeddings::from_values(4, vec![1.0; 4]));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!(Similarity::Dot.matrix(&a, &b).is_err());
        assert!(Similarity::Dot.pairwise(&a, &Embeddings::new(2)).is_err());
    }

    proptest! {
        #[test]
        fn lanes_sum_like_a_plain_loop(pairs in proptest::collection::vec((-2.0f32..2.0, -2.0f32..2.0), 0..70)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let plain: f64 = a.iter().zip(&b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
            prop_assert!((f64::from(Similarity::Dot.score(&a, &b)) - plain).abs() < 1e-4);
        }

        #[test]
        fn matrix_pairwise_and_score_agree_to_the_bit(values in proptest::collection::vec(-2.0f32..2.0, 37 * 3)) {
            let rows = Embeddings::from_values(37, values).unwrap();
            for similarity in Similarity::ALL {
                let matrix = similarity.matrix(&rows, &rows).unwrap();
                let pairwise = similarity.pairwise(&rows, &rows).unwrap();
                for i in 0..3 {
                    prop_assert_eq!(matrix[i * 3 + i], pairwise[i]);
                    prop_assert_eq!(matrix[i], matrix[i * 3]);
                }
            }
        }
    }
}
