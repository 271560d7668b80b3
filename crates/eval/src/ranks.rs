//! Ranks with ties averaged, which Spearman's correlation and ROC AUC both stand on.

/// Rank of each value counted from 1 for the smallest; equal values share the mean of their ranks.
pub(crate) fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = start as f64 + f64::midpoint(1.0, group.len() as f64);
        for &at in group {
            ranks[at] = mean;
        }
        start += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_the_mean_rank() {
        // By hand: 1 is first; the two 2s would be second and third.
        assert_eq!(average_ranks(&[2.0, 5.0, 1.0, 2.0]), [2.5, 4.0, 1.0, 2.5]);
        assert_eq!(average_ranks(&[0.0, -0.0]), [1.5, 1.5]);
        assert!(average_ranks(&[]).is_empty());
    }
}
