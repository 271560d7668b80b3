//! A table's gradient as the rows that were looked up, without the zeros of all the others.

use std::sync::{Arc, Mutex, PoisonError};

use crate::norm::add_row;
use crate::sum_of_squares;

/// The gradient of a table, `[rows, width]`, of which few rows were looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct RowGradient {
    /// The rows, in ascending order, each once.
    pub(crate) ids: Vec<u32>,
    /// `[ids, width]`
    pub(crate) values: Vec<f32>,
    width: usize,
}

impl RowGradient {
    /// What each token adds to the row it looked up, added in the order of tokens, as a dense gradient would be.
    pub(crate) fn sum(tokens: &[f32], lookup: &[u32], width: usize) -> Self {
        let mut ids = lookup.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut values = vec![0.0; ids.len() * width];
        for (token, id) in tokens.chunks_exact(width).zip(lookup) {
            let row = ids.binary_search(id).expect("this is a bug: every id is among the sorted ones");
            add_row(&mut values[row * width..(row + 1) * width], token);
        }
        Self { ids, values, width }
    }

    /// The sum of two gradients of one table, this one's rows first.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        let values = [self.values.as_slice(), &other.values].concat();
        Self::sum(&values, &[self.ids.as_slice(), &other.ids].concat(), self.width)
    }

    /// The same as a whole table of so many rows.
    #[cfg(test)]
    pub(crate) fn dense(&self, rows: usize) -> Vec<f32> {
        let mut table = vec![0.0; rows * self.width];
        for (id, row) in self.ids.iter().zip(self.values.chunks_exact(self.width)) {
            table[*id as usize * self.width..][..self.width].copy_from_slice(row);
        }
        table
    }

    /// Sum of squares in f64, the same bytes at any thread count.
    pub fn sum_of_squares(&self) -> f64 {
        sum_of_squares::of(&self.values)
    }
}

/// Where a backward pass leaves the rows of one table's gradient; autodiff then has no gradient of that table.
#[derive(Clone, Debug, Default)]
pub struct RowSink(Arc<Mutex<Option<RowGradient>>>);

impl RowSink {
    /// Adds to what is there.
    pub(crate) fn put(&self, gradient: RowGradient) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(match slot.take() {
            Some(before) => before.add(&gradient),
            None => gradient,
        });
    }

    /// What the backward passes since the last call left; none if the op ran as plain Burn.
    pub fn take(&self) -> Option<RowGradient> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_tokens_then_over_gradients() {
        let a = RowGradient::sum(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[7, 2, 7], 2);
        assert_eq!((a.ids.as_slice(), a.values.as_slice()), (&[2, 7][..], &[3.0, 4.0, 6.0, 8.0][..]));
        let sum = a.add(&RowGradient::sum(&[0.5, 0.5, 9.0, 9.0], &[7, 0], 2));
        assert_eq!(sum.ids, [0, 2, 7]);
        assert_eq!(sum.values, [9.0, 9.0, 3.0, 4.0, 6.5, 8.5]);
        assert_eq!(a.sum_of_squares(), 125.0);
    }

    #[test]
    fn the_sink_adds_and_is_empty_after_taking() {
        let sink = RowSink::default();
        assert_eq!(sink.take(), None);
        for lookup in [[3], [3]] {
            sink.clone().put(RowGradient::sum(&[1.5], &lookup, 1));
        }
        assert_eq!(sink.take(), Some(RowGradient::sum(&[3.0], &[3], 1)));
        assert_eq!(sink.take(), None);
    }

    #[test]
    fn no_tokens_no_rows() {
        let none = RowGradient::sum(&[], &[], 4);
        assert_eq!((none.ids.len(), none.sum_of_squares()), (0, 0.0));
        assert_eq!(none.add(&none), none);
    }
}
