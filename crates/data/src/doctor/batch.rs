//! How often a batch meets what is rare among all examples.

/// The probability that an example meets, in a batch drawn at random, one of the `suspects` that are among the others.
pub fn in_batch(suspects: usize, examples: usize, batch_size: usize) -> f64 {
    let others = examples.saturating_sub(1).max(1) as f64;
    1.0 - (1.0 - suspects as f64 / others).max(0.0).powi(batch_size.saturating_sub(1) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_meets_them_by_its_size() {
        assert_eq!(in_batch(0, 100, 32), 0.0);
        assert_eq!(in_batch(1, 2, 2), 1.0);
        assert!((in_batch(1, 101, 3) - (1.0 - 0.99f64.powi(2))).abs() < 1e-12);
    }
}
