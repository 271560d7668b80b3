//! Several data sets in one run: which one each batch of an epoch comes from, as a pure function of (seed, epoch).

use crate::random::{key, permutation};

/// The rule by which data sets take turns. References: sentence-transformers' `RoundRobinBatchSampler` and
/// `ProportionalBatchSampler`; the temperature is that of multilingual pretraining (Arivazhagan et al., 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mixing {
    /// One batch of each in turn, until the smallest has none left.
    RoundRobin,
    /// Every batch of every set, in random order.
    Proportional,
    /// As many batches as with [`Mixing::Proportional`], of which a set of n has a share proportional to n^(1/T): 1 is
    /// proportional, and the larger T, the more equal the shares. Small sets are gone through several times.
    Temperature(f64),
}

impl Mixing {
    /// How many batches each set gives to an epoch in which it has `batches`.
    pub fn shares(self, batches: &[usize]) -> Vec<usize> {
        match self {
            Self::RoundRobin => vec![batches.iter().copied().min().unwrap_or(0); batches.len()],
            Self::Proportional => batches.to_vec(),
            Self::Temperature(temperature) => {
                let most = batches.iter().copied().max().unwrap_or(0).max(1) as f64;
                let weight = |count: &usize| (*count as f64 / most).powf(1.0 / temperature);
                apportion(batches.iter().sum(), &batches.iter().map(weight).collect::<Vec<_>>())
            }
        }
    }

    /// The set of each batch of an epoch, in order.
    pub fn order(self, batches: &[usize], seed: u64, epoch: u64) -> Vec<usize> {
        let shares = self.shares(batches);
        let sets = 0..shares.len();
        if self == Self::RoundRobin {
            let turns = shares.first().copied().unwrap_or(0);
            return (0..turns).flat_map(|_| sets.clone()).collect();
        }
        let sorted: Vec<usize> = sets.flat_map(|set| std::iter::repeat_n(set, shares[set])).collect();
        let order = permutation(key(seed, "data.mixing", epoch), sorted.len());
        order.into_iter().map(|place| sorted[place]).collect()
    }
}

/// Divides `total` in proportion to `weights`, by largest remainders.
fn apportion(total: usize, weights: &[f64]) -> Vec<usize> {
    let sum: f64 = weights.iter().sum();
    if sum <= 0.0 {
        return vec![0; weights.len()];
    }
    let exact: Vec<f64> = weights.iter().map(|weight| total as f64 * weight / sum).collect();
    let mut shares: Vec<usize> = exact.iter().map(|share| *share as usize).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).filter(|set| weights[*set] > 0.0).collect();
    by_remainder.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()));
    let missing = total - shares.iter().sum::<usize>().min(total);
    for set in by_remainder.into_iter().cycle().take(missing) {
        shares[set] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn round_robin_ends_with_the_smallest() {
        assert_eq!(Mixing::RoundRobin.order(&[3, 2, 9], 42, 0), [0, 1, 2, 0, 1, 2]);
        assert!(Mixing::RoundRobin.order(&[3, 0], 42, 0).is_empty());
    }

    #[test]
    fn proportional_takes_every_batch_in_another_order_each_epoch() {
        let order = |epoch| Mixing::Proportional.order(&[5, 3, 0], 42, epoch);
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let count = |set| order(1).iter().filter(|other| **other == set).count();
        assert_eq!([0, 1, 2].map(count), [5, 3, 0]);
    }

    /// Square roots of 900 and 100 are as 3 to 1.
    #[test]
    fn a_temperature_evens_the_shares() {
        assert_eq!(Mixing::Temperature(2.0).shares(&[900, 100]), [750, 250]);
        assert_eq!(Mixing::Temperature(1.0).shares(&[900, 100]), [900, 100]);
        assert_eq!(Mixing::Temperature(1e9).shares(&[900, 100, 0]), [500, 500, 0]);
    }

    proptest! {
        #[test]
        fn an_epoch_is_as_long_as_its_shares(
            batches in prop::collection::vec(0usize..50, 1..6), temperature in 0.2f64..20.0, seed: u64,
        ) {
            for mixing in [Mixing::RoundRobin, Mixing::Proportional, Mixing::Temperature(temperature)] {
                let shares = mixing.shares(&batches);
                let order = mixing.order(&batches, seed, 3);
                let told = (0..batches.len()).map(|set| order.iter().filter(|other| **other == set).count());
                prop_assert_eq!(told.collect::<Vec<_>>(), shares.clone());
                if mixing != Mixing::RoundRobin {
                    prop_assert_eq!(order.len(), batches.iter().sum::<usize>());
                }
                prop_assert!(shares.iter().zip(&batches).all(|(share, batches)| *batches > 0 || *share == 0));
            }
        }
    }
}
