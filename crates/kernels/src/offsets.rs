//! Where the sequences of a packed batch begin and end.

use std::ops::Range;
use std::sync::Arc;

/// Boundaries of a packed batch: sequence `i` owns the tokens `offsets[i]..offsets[i + 1]`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offsets(Arc<[usize]>);

impl Offsets {
    /// Wraps `[batch + 1]` boundaries.
    ///
    /// # Panics
    /// This is a bug in the caller when the boundaries do not start at 0 or ever decrease.
    pub fn new(boundaries: Vec<usize>) -> Self {
        assert_eq!(boundaries.first(), Some(&0), "this is a bug: offsets must start with 0");
        assert!(boundaries.is_sorted(), "this is a bug: offsets must not decrease: {boundaries:?}");
        Self(boundaries.into())
    }

    /// Boundaries of sequences of these lengths, end to end.
    pub fn from_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut boundaries = vec![0];
        let mut end = 0;
        for length in lengths {
            end += length;
            boundaries.push(end);
        }
        Self(boundaries.into())
    }

    /// Number of sequences.
    pub fn batch(&self) -> usize {
        self.0.len() - 1
    }

    /// Number of tokens of all sequences.
    pub fn tokens(&self) -> usize {
        self.0[self.batch()]
    }

    /// The tokens of one sequence.
    pub fn range(&self, sequence: usize) -> Range<usize> {
        self.0[sequence]..self.0[sequence + 1]
    }

    /// The token ranges of all sequences, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.0.windows(2).map(|w| w[0]..w[1])
    }

    /// The length of each sequence, in order.
    pub fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.ranges().map(|range| range.len())
    }

    /// The longest sequence's length; 0 for an empty batch.
    pub fn max_length(&self) -> usize {
        self.lengths().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_boundaries_agree() {
        let offsets = Offsets::from_lengths([3, 0, 5]);
        assert_eq!(offsets, Offsets::new(vec![0, 3, 3, 8]));
        assert_eq!((offsets.batch(), offsets.tokens(), offsets.max_length()), (3, 8, 5));
        assert_eq!(offsets.range(2), 3..8);
        assert_eq!(offsets.lengths().collect::<Vec<_>>(), [3, 0, 5]);
    }

    #[test]
    fn an_empty_batch_has_no_tokens() {
        let offsets = Offsets::from_lengths([]);
        assert_eq!((offsets.batch(), offsets.tokens(), offsets.max_length()), (0, 0, 0));
    }

    #[test]
    #[should_panic(expected = "this is a bug")]
    fn decreasing_boundaries_are_refused() {
        Offsets::new(vec![0, 4, 3]);
    }
}
