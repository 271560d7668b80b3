//! The batches of an epoch, as a pure function of (seed, epoch).

mod by_label;

use serde::{Deserialize, Serialize};

use crate::example::Kind;
use crate::examples::{Examples, TextNumbers};
use crate::random::{key, permutation};

/// How an epoch is cut into batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchSampler {
    /// A new random order every epoch.
    #[default]
    Shuffle,
    /// The same, and no text occurs twice within a batch, since it would be a false negative there.
    NoDuplicates,
    /// The order of the files.
    Sequential,
    /// Every class in a batch is there at least twice, beside another one; needs classes.
    GroupByLabel,
}

impl BatchSampler {
    /// What is usual for examples of this kind: classes together where the loss finds its triplets by them.
    pub fn usual(kind: Kind) -> Self {
        if kind == Kind::Labelled { Self::GroupByLabel } else { Self::NoDuplicates }
    }
}

/// The batches of one epoch, as indices into the examples.
///
/// With `drop_last`, batches that are not full are left out.
pub fn epoch_batches(
    examples: &Examples,
    sampler: BatchSampler,
    batch_size: usize,
    seed: u64,
    epoch: u64,
    drop_last: bool,
) -> Vec<Vec<usize>> {
    let batch_size = batch_size.max(1);
    let shuffled = || permutation(key(seed, "data.sampler", epoch), examples.len());
    let chunked = |order: Vec<usize>| order.chunks(batch_size).map(<[usize]>::to_vec).collect();
    let mut batches: Vec<Vec<usize>> = match sampler {
        BatchSampler::Sequential => chunked((0..examples.len()).collect()),
        BatchSampler::Shuffle => chunked(shuffled()),
        BatchSampler::NoDuplicates => without_duplicates(examples.texts(), shuffled(), batch_size),
        BatchSampler::GroupByLabel => by_label::batches(examples, batch_size, seed, epoch),
    };
    if drop_last {
        let full =
            if sampler == BatchSampler::GroupByLabel { by_label::size(batch_size) } else { batch_size };
        batches.retain(|batch| batch.len() == full);
    }
    batches
}

/// How many batches an epoch has; without duplicates that depends on the epoch's order.
pub fn batch_count(
    examples: &Examples,
    sampler: BatchSampler,
    batch_size: usize,
    seed: u64,
    epoch: u64,
    drop_last: bool,
) -> usize {
    match (sampler, drop_last) {
        (BatchSampler::NoDuplicates, _) => {
            epoch_batches(examples, sampler, batch_size, seed, epoch, drop_last).len()
        }
        (BatchSampler::GroupByLabel, _) => by_label::count(examples, batch_size, drop_last),
        (_, true) => examples.len() / batch_size.max(1),
        (_, false) => examples.len().div_ceil(batch_size.max(1)),
    }
}

/// Puts every example into the first batch with room behind the last ones that hold its texts.
///
/// sentence-transformers' NoDuplicatesBatchSampler fills one batch after the other from all that remains, which
/// is the same but for rare gaps and takes quadratic time when a text occurs often; this takes linear time.
fn without_duplicates(texts: &TextNumbers, order: Vec<usize>, batch_size: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    // For every batch, a batch at or behind it that may have room; followed and shortened like a union-find.
    let mut open: Vec<usize> = vec![0];
    // For every text, the batch behind the last one that holds it.
    let mut next_free = vec![0; texts.distinct()];
    for index in order {
        let own = texts.example(index).iter().map(|text| *text as usize);
        let earliest = own.clone().map(|text| next_free[text]).max();
        let batch = first_open(&mut open, earliest.unwrap_or(0));
        if batch == batches.len() {
            batches.push(Vec::new());
            open.push(batch + 1);
        }
        batches[batch].push(index);
        if batches[batch].len() == batch_size {
            open[batch] = batch + 1;
        }
        for text in own {
            next_free[text] = batch + 1;
        }
    }
    batches
}

fn first_open(open: &mut [usize], mut batch: usize) -> usize {
    while open[batch] != batch {
        open[batch] = open[open[batch]];
        batch = open[batch];
    }
    batch
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::example::tests::dataset;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn epochs_differ_and_repeat() {
        let texts: Vec<[String; 2]> = (0..50).map(|i| [format!("a{i}"), format!("p{i}")]).collect();
        let rows: Vec<Vec<&str>> = texts.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let data = dataset(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>()).into();
        let batches = |epoch| epoch_batches(&data, BatchSampler::Shuffle, 8, 42, epoch, false);
        assert_eq!(batches(3), batches(3));
        assert_ne!(batches(3), batches(4));
        // Where nothing repeats, the two orders are one.
        assert_eq!(batches(3), epoch_batches(&data, BatchSampler::NoDuplicates, 8, 42, 3, false));
    }

    #[test]
    fn clashing_examples_are_postponed() {
        let data = Examples::from(dataset(&[&["a", "1"], &["a", "2"], &["b", "3"], &["c", "4"]]));
        assert_eq!(without_duplicates(data.texts(), vec![0, 1, 2, 3], 2), [[0, 2], [1, 3]]);
    }

    /// A batch takes the memory of its examples, not of those it has room for.
    #[test]
    fn a_batch_may_be_larger_than_the_data() {
        let data = Examples::from(dataset(&[&["a", "1"], &["b", "2"], &["c", "3"]]));
        for sampler in [BatchSampler::Shuffle, BatchSampler::NoDuplicates, BatchSampler::Sequential] {
            let batches = epoch_batches(&data, sampler, usize::MAX, 42, 0, false);
            assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [3], "{sampler:?}");
        }
    }

    proptest! {
        #[test]
        fn every_index_once_and_no_text_twice_in_a_batch(
            rows in prop::collection::vec((0u8..30, 0u8..30, 0u8..30), 0..120),
            seed: u64, epoch in 0u64..5, batch_size in 1usize..12,
        ) {
            let texts: Vec<[String; 3]> =
                rows.iter().map(|(a, b, c)| [a.to_string(), b.to_string(), c.to_string()]).collect();
            let rows: Vec<Vec<&str>> = texts.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
            let data = Examples::from(dataset(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>()));
            for sampler in [BatchSampler::Shuffle, BatchSampler::NoDuplicates, BatchSampler::Sequential] {
                let batches = epoch_batches(&data, sampler, batch_size, seed, epoch, false);
                prop_assert_eq!(batches.len(), batch_count(&data, sampler, batch_size, seed, epoch, false));
                prop_assert!(batches.iter().all(|batch| (1..=batch_size).contains(&batch.len())));
                let mut all: Vec<usize> = batches.iter().flatten().copied().collect();
                all.sort_unstable();
                prop_assert_eq!(all, (0..data.len()).collect::<Vec<_>>());
                let full = epoch_batches(&data, sampler, batch_size, seed, epoch, true);
                prop_assert!(full.iter().all(|batch| batch.len() == batch_size));
                prop_assert_eq!(full.len(), batch_count(&data, sampler, batch_size, seed, epoch, true));
                if sampler == BatchSampler::NoDuplicates {
                    for batch in &batches {
                        let mut seen = HashSet::new();
                        for &index in batch {
                            let texts: HashSet<String> = data.get(index).unwrap().texts.iter().cloned().collect();
                            prop_assert!(texts.into_iter().all(|text| seen.insert(text)));
                        }
                    }
                }
            }
        }
    }
}
