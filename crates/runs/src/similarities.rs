//! What the last evaluation saw of queries and documents: how similarities spread, and which queries fared worst.

use serde::{Deserialize, Serialize};

use crate::number;

/// How often similarities fell into equal bins between `low` and `high`; values outside count in the outermost bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Lower edge of the first bin.
    pub low: f64,
    /// Upper edge of the last bin.
    pub high: f64,
    /// Values in each bin.
    pub counts: Vec<u64>,
    /// Their mean.
    #[serde(deserialize_with = "number::or_nan")]
    pub mean: f64,
    /// The mean of their squares.
    #[serde(deserialize_with = "number::or_nan")]
    pub mean_square: f64,
}

impl Histogram {
    /// Counts cosine similarities in `bins` bins over [-1, 1]; NaN is left out.
    pub fn of_cosines(values: impl IntoIterator<Item = f64>, bins: usize) -> Self {
        let mut counts = vec![0; bins];
        let (mut sum, mut squares, mut total) = (0.0, 0.0, 0_u64);
        for value in values.into_iter().filter(|value| !value.is_nan()) {
            let bin = ((0.5 * value + 0.5) * bins as f64).floor().clamp(0.0, bins as f64 - 1.0);
            counts[bin as usize] += 1;
            (sum, squares, total) = (sum + value, squares + value * value, total + 1);
        }
        let total = total as f64;
        Self { low: -1.0, high: 1.0, counts, mean: sum / total, mean_square: squares / total }
    }
}

/// A query whose positive stands far down in its ranking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorstQuery {
    /// The query's text, as it is in the data.
    pub query: String,
    /// The text of its best-ranked positive.
    pub positive: String,
    /// The positive's place, from 1.
    pub rank: u64,
    /// Their similarity.
    #[serde(deserialize_with = "number::or_nan")]
    pub score: f64,
    /// The documents ranked highest that are not its positives, best first.
    pub confusers: Vec<Confuser>,
}

/// A document that stands above, or close below, a query's positive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confuser {
    /// The document's text.
    pub text: String,
    /// Its similarity to the query.
    #[serde(deserialize_with = "number::or_nan")]
    pub score: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_fall_into_their_bins() {
        let histogram = Histogram::of_cosines([-1.0, -0.5, 0.25, 1.0, 1.1, f64::NAN], 4);
        assert_eq!(histogram.counts, [1, 1, 1, 2]);
        assert!((histogram.mean - 0.17).abs() < 1e-12, "{histogram:?}");
    }

    #[test]
    fn no_value_has_no_mean() {
        assert!(Histogram::of_cosines([], 2).mean.is_nan());
    }
}
