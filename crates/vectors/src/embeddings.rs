//! A matrix of vectors, one per row: what encoders give and what metrics and files take.

use crate::{Error, Result};

/// Vectors of one length, end to end.
///
/// # Shapes
/// - values: `[rows, dim]`, row-major
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Embeddings {
    /// Length of each vector.
    pub dim: usize,
    /// All vectors, end to end.
    pub values: Vec<f32>,
}

impl Embeddings {
    /// No rows yet.
    pub fn new(dim: usize) -> Self {
        Self { dim, values: Vec::new() }
    }

    /// Takes a row-major matrix; the values must make whole rows.
    pub fn from_values(dim: usize, values: Vec<f32>) -> Result<Self> {
        let whole = values.len().checked_div(dim).unwrap_or(0) * dim;
        if whole != values.len() {
            return Err(Error::Shape { what: "values in whole rows", expected: whole, found: values.len() });
        }
        Ok(Self { dim, values })
    }

    /// Copies vectors, which must all have the length of the first.
    pub fn from_rows<R: AsRef<[f32]>>(rows: &[R]) -> Result<Self> {
        let mut all = Self::new(rows.first().map_or(0, |row| row.as_ref().len()));
        rows.iter().try_for_each(|row| all.push(row.as_ref()))?;
        Ok(all)
    }

    /// Number of vectors.
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.dim).unwrap_or(0)
    }

    /// Vector `index`; panics when there is none.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..(index + 1) * self.dim]
    }

    /// All vectors in order.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.dim.max(1))
    }

    /// Adds a vector at the end.
    pub fn push(&mut self, row: &[f32]) -> Result<()> {
        if row.len() != self.dim {
            return Err(Error::Shape { what: "values in a vector", expected: self.dim, found: row.len() });
        }
        self.values.extend_from_slice(row);
        Ok(())
    }

    /// The same vectors at length 1; a zero vector stays zero.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let mut unit = self.clone();
        for row in unit.values.chunks_exact_mut(self.dim.max(1)) {
            let norm = crate::similarity::norm(row);
            for value in row {
                *value /= norm;
            }
        }
        unit
    }
}

impl<'a> IntoIterator for &'a Embeddings {
    type Item = &'a [f32];
    type IntoIter = std::slice::ChunksExact<'a, f32>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_are_found_by_index_and_in_order() {
        let all = Embeddings::from_rows(&[[1.0, 2.0], [3.0, 4.0]]).unwrap();
        assert_eq!(all.rows(), 2);
        assert_eq!(all.row(1), [3.0, 4.0]);
        assert_eq!(all.iter().map(|row| row[0]).collect::<Vec<_>>(), [1.0, 3.0]);
    }

    #[test]
    fn uneven_rows_are_refused() {
        assert!(Embeddings::from_values(2, vec![1.0; 3]).is_err());
        assert!(Embeddings::from_values(0, vec![1.0]).is_err());
        assert!(Embeddings::from_rows(&[vec![1.0], vec![1.0, 2.0]]).is_err());
        assert_eq!(Embeddings::from_values(0, Vec::new()).unwrap().rows(), 0);
    }

    #[test]
    fn normalizing_keeps_zero_vectors() {
        let unit = Embeddings::from_rows(&[[3.0, 4.0], [0.0, 0.0]]).unwrap().normalized();
        assert_eq!(unit.values, [0.6, 0.8, 0.0, 0.0]);
    }
}
