//! How often a batch meets what is rare among all examples.

use crate::example::Dataset;

/// The probability that an example meets, in a batch drawn at random, one of the `suspects` that are among the others.
pub fn in_batch(suspects: usize, examples: usize, batch_size: usize) -> f64 {
    let others = examples.saturating_sub(1).max(1) as f64;
    1.0 - (1.0 - suspects as f64 / others).max(0.0).powi(batch_size.saturating_sub(1) as i32)
}

/// The share of the anchors that meet in a batch another anchor with the same positive.
pub fn shared_positive_in_batch(dataset: &Dataset, batch_size: usize) -> f64 {
    let mut pairs: Vec<(&str, &str)> = dataset
        .examples
        .iter()
        .map(|example| (example.texts[1].as_str(), example.texts[0].as_str()))
        .collect();
    pairs.sort_unstable();
    let mut met = 0.0;
    for same_positive in pairs.chunk_by(|a, b| a.0 == b.0) {
        for same_anchor in same_positive.chunk_by(|a, b| a == b) {
            let others = same_positive.len() - same_anchor.len();
            met += same_anchor.len() as f64 * in_batch(others, dataset.len(), batch_size);
        }
    }
    met / dataset.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::tests::dataset;

    #[test]
    fn a_batch_meets_them_by_its_size() {
        assert_eq!(in_batch(0, 100, 32), 0.0);
        assert_eq!(in_batch(1, 2, 2), 1.0);
        assert!((in_batch(1, 101, 3) - (1.0 - 0.99f64.powi(2))).abs() < 1e-12);
    }

    #[test]
    fn rows_of_the_same_anchor_do_not_count() {
        // Of three others the first two rows meet one, the third two, the last none.
        let data = dataset(&[&["a", "x"], &["a", "x"], &["b", "x"], &["c", "y"]]);
        let expected = (1.0 / 3.0 + 1.0 / 3.0 + 2.0 / 3.0) / 4.0;
        assert!((shared_positive_in_batch(&data, 2) - expected).abs() < 1e-12);
    }
}
