//! Batches in which every class occurs at least twice, beside another one: what is mined within a batch needs both.
//!
//! As sentence-transformers' `GroupByLabelBatchSampler`: the classes take turns, in a new order each round, and give two
//! examples each, until fewer than two classes have two left. What is then left of the largest class, and the odd one of each,
//! has its turn in another epoch.

use crate::examples::Examples;
use crate::random::{key, permutation};

/// The smallest batch of two classes with two examples each.
const SMALLEST: usize = 4;

/// The batches of one epoch. An odd batch size is rounded down.
pub(super) fn batches(examples: &Examples, batch_size: usize, seed: u64, epoch: u64) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for pair in stream(examples, seed, epoch) {
        match batches.last_mut().filter(|batch| batch.len() + 2 <= size(batch_size)) {
            Some(batch) => batch.extend(pair),
            None => batches.push(pair.to_vec()),
        }
    }
    batches.retain(|batch| batch.len() >= SMALLEST);
    batches
}

/// How many of them there are.
pub(super) fn count(examples: &Examples, batch_size: usize, drop_last: bool) -> usize {
    let mut pairs: Vec<usize> =
        classes(examples, 0..examples.len()).iter().map(|class| class.len() / 2).collect();
    pairs.sort_unstable();
    // The turns end with those of the second largest class.
    let turns = pairs.iter().rev().nth(1).copied().unwrap_or(0);
    let stream: usize = pairs.iter().map(|pairs| 2 * turns.min(*pairs)).sum();
    let rest = stream % size(batch_size);
    stream / size(batch_size) + usize::from(!drop_last && rest >= SMALLEST)
}

/// The size of a full batch.
pub(super) fn size(batch_size: usize) -> usize {
    (batch_size / 2 * 2).max(SMALLEST)
}

/// Two examples of a class at a time; neighbours are of different classes but where a batch ends.
fn stream(examples: &Examples, seed: u64, epoch: u64) -> Vec<[usize; 2]> {
    let seed = key(seed, "data.by_label", epoch);
    let mut classes = classes(examples, permutation(seed, examples.len()).into_iter());
    classes.retain(|class| class.len() >= 2);
    let (mut stream, mut last) = (Vec::new(), usize::MAX);
    let mut left: Vec<usize> = (0..classes.len()).collect();
    for round in 0.. {
        if left.len() < 2 {
            break;
        }
        left = permutation(key(seed, "data.by_label.round", round), left.len())
            .into_iter()
            .map(|at| left[at])
            .collect();
        if left[0] == last {
            left.swap(0, 1);
        }
        for class in &left {
            let class = &mut classes[*class];
            let second = class.pop().zip(class.pop());
            stream.extend(second.map(|(a, b)| [a, b]));
        }
        last = left[left.len() - 1];
        left.retain(|class| classes[*class].len() >= 2);
    }
    stream
}

/// The examples of each class, in the given order; none for what has no label.
fn classes(examples: &Examples, order: impl Iterator<Item = usize>) -> Vec<Vec<usize>> {
    let mut classes = vec![Vec::new(); examples.classes.len()];
    for index in order {
        if let Some(class) = examples.label(index).and_then(|label| classes.get_mut(label as usize)) {
            class.push(index);
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::tests::dataset;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn labelled(classes: &[usize]) -> Examples {
        let texts: Vec<String> = (0..classes.len()).map(|i| format!("t{i}")).collect();
        let rows: Vec<[&str; 1]> = texts.iter().map(|text| [text.as_str()]).collect();
        let mut data = dataset(&rows.iter().map(<[&str; 1]>::as_slice).collect::<Vec<_>>());
        data.classes = (0..8).map(|class| class.to_string()).collect();
        data.examples
            .iter_mut()
            .zip(classes)
            .for_each(|(example, class)| example.label = Some(*class as f32));
        data.into()
    }

    #[test]
    fn epochs_differ_and_repeat() {
        let data = labelled(&(0..64).map(|i| i % 8).collect::<Vec<_>>());
        assert_eq!(batches(&data, 16, 7, 1), batches(&data, 16, 7, 1));
        assert_ne!(batches(&data, 16, 7, 1), batches(&data, 16, 7, 2));
        assert_eq!(batches(&data, 16, 7, 1).len(), 4);
    }

    #[test]
    fn one_class_alone_gives_no_batch() {
        assert!(batches(&labelled(&[1, 1, 1, 1, 2]), 4, 7, 0).is_empty());
        assert_eq!(count(&labelled(&[1, 1, 1, 1, 2]), 4, false), 0);
    }

    proptest! {
        #[test]
        fn every_class_of_a_batch_is_there_twice_beside_another(
            classes in prop::collection::vec(0usize..8, 0..120),
            seed: u64, epoch in 0u64..3, batch_size in 4usize..20,
        ) {
            let data = labelled(&classes);
            let batches = batches(&data, batch_size, seed, epoch);
            prop_assert_eq!(batches.len(), count(&data, batch_size, false));
            prop_assert!(batches.iter().rev().skip(1).all(|batch| batch.len() == size(batch_size)));
            for batch in &batches {
                let mut found: HashMap<usize, usize> = HashMap::new();
                for index in batch {
                    *found.entry(classes[*index]).or_default() += 1;
                }
                prop_assert!(found.len() >= 2 && found.values().all(|count| *count >= 2));
            }
            let mut all: Vec<usize> = batches.concat();
            all.sort_unstable();
            let used = all.len();
            all.dedup();
            prop_assert_eq!(all.len(), used, "none twice");
            let full = batches.iter().filter(|batch| batch.len() == size(batch_size)).count();
            prop_assert_eq!(full, count(&data, batch_size, true));
        }
    }
}
