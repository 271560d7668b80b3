//! Which keys a query attends to, and how.

use std::ops::Range;

/// How the queries of [`crate::attention`] attend to keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attend {
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values, a divisor of `heads`: so many query heads in a row share one (grouped queries).
    pub kv_heads: usize,
    /// Factor on the product of a query and a key; not 0.
    pub scale: f32,
    /// Which keys a query sees.
    pub reach: Reach,
}

impl Attend {
    /// Every query sees every key of its sequence; the scale is `1 / sqrt(head_dim)`.
    pub fn new(heads: usize, kv_heads: usize, head_dim: usize) -> Self {
        Self { heads, kv_heads, scale: 1.0 / (head_dim as f32).sqrt(), reach: Reach::ALL }
    }

    /// The dimensions of one head, where queries, keys and values side by side are so wide.
    pub(crate) fn head_dim(&self, width: usize) -> usize {
        width / (self.heads + 2 * self.kv_heads)
    }

    /// Query heads that share one head of keys and values.
    pub(crate) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}

/// Which keys a query sees: the query at `i` those from `i - left` to `i + right`, itself in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Keys before the query; `None` for all.
    pub left: Option<usize>,
    /// Keys behind the query; `None` for all.
    pub right: Option<usize>,
}

impl Reach {
    /// Every key.
    pub const ALL: Self = Self { left: None, right: None };

    /// The query's own key and those before it.
    pub const CAUSAL: Self = Self { left: None, right: Some(0) };

    /// So many keys on either side.
    pub const fn local(each_side: usize) -> Self {
        Self { left: Some(each_side), right: Some(each_side) }
    }

    /// The keys of a sequence that any of these queries sees.
    pub(crate) fn keys(self, queries: Range<usize>, length: usize) -> Range<usize> {
        let start = self.left.map_or(0, |left| queries.start.saturating_sub(left));
        let end = self.right.map_or(length, |right| length.min(queries.end.saturating_add(right)));
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_within_reach() {
        assert_eq!(Reach::ALL.keys(3..5, 9), 0..9);
        assert_eq!(Reach::CAUSAL.keys(3..5, 9), 0..5);
        assert_eq!(Reach::local(2).keys(3..5, 9), 1..7);
        assert_eq!(Reach::local(usize::MAX).keys(3..5, 9), 0..9);
        assert_eq!(Reach { left: Some(0), right: None }.keys(8..9, 9), 8..9);
    }
}
