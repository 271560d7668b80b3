//! Holding out a share of the examples, so that no text stands on both sides.

use std::collections::HashMap;

use crate::example::Dataset;
use crate::random::{key, permutation};

/// Divides the examples: (the rest, the held out), both in the order of the file.
///
/// Examples that share any text form a group, directly or through others. Groups are taken in a seeded order
/// until `share` of the examples, at most `max`, is reached; a group that would exceed that is passed over.
pub fn hold_out(dataset: &Dataset, seed: u64, share: f64, max: usize) -> (Vec<usize>, Vec<usize>) {
    let wanted = ((dataset.len() as f64 * share).round() as usize).min(max);
    let groups = groups(dataset);
    let mut held = vec![false; dataset.len()];
    let mut count = 0;
    for group in permutation(key(seed, "data.hold_out", 0), groups.len()) {
        let members = &groups[group];
        if count + members.len() <= wanted {
            count += members.len();
            for &member in members {
                held[member] = true;
            }
        }
        if count == wanted {
            break;
        }
    }
    (0..dataset.len()).partition(|&index| !held[index])
}

/// Examples connected by equal texts, in the order of their first member.
fn groups(dataset: &Dataset) -> Vec<Vec<usize>> {
    let mut parents: Vec<usize> = (0..dataset.len()).collect();
    let mut first_with: HashMap<&str, usize> = HashMap::new();
    for (index, example) in dataset.examples.iter().enumerate() {
        for text in &example.texts {
            let other = *first_with.entry(text).or_insert(index);
            let (a, b) = (root(&mut parents, index), root(&mut parents, other));
            // The smaller index stays the root, so that groups do not depend on hashing.
            parents[a.max(b)] = a.min(b);
        }
    }
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for index in 0..dataset.len() {
        let place = *places.entry(root(&mut parents, index)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(index);
    }
    groups
}

fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::tests::dataset;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_chain_of_shared_texts_stays_together() {
        let data = dataset(&[&["a", "b"], &["c", "d"], &["b", "c"], &["x", "y"]]);
        assert_eq!(groups(&data), [vec![0, 1, 2], vec![3]]);
        assert_eq!(hold_out(&data, 7, 0.5, 1000), (vec![0, 1, 2], vec![3]));
    }

    #[test]
    fn distinct_texts_give_the_share_exactly() {
        let texts: Vec<[String; 2]> = (0..250).map(|i| [format!("a{i}"), format!("p{i}")]).collect();
        let rows: Vec<[&str; 2]> = texts.iter().map(|[a, p]| [a.as_str(), p.as_str()]).collect();
        let rows: Vec<&[&str]> = rows.iter().map(<[&str; 2]>::as_slice).collect();
        let data = dataset(&rows);
        assert_eq!(hold_out(&data, 1, 0.1, 1000).1.len(), 25);
        assert_eq!(hold_out(&data, 1, 0.1, 9).1.len(), 9);
        assert_eq!(hold_out(&data, 1, 0.1, 9), hold_out(&data, 1, 0.1, 9));
        assert_ne!(hold_out(&data, 1, 0.1, 9), hold_out(&data, 2, 0.1, 9));
    }

    proptest! {
        #[test]
        fn no_text_stands_on_both_sides(
            rows in prop::collection::vec((0u8..60, 0u8..60), 0..80),
            seed: u64, share in 0.0..1.0f64, max in 0usize..40,
        ) {
            let texts: Vec<[String; 2]> = rows.iter().map(|(a, b)| [a.to_string(), b.to_string()]).collect();
            let rows: Vec<Vec<&str>> = texts.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
            let data = dataset(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let (rest, held) = hold_out(&data, seed, share, max);
            prop_assert!(held.len() <= max && held.len() as f64 <= share * data.len() as f64 + 0.5);
            let mut all: Vec<usize> = rest.iter().chain(&held).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..data.len()).collect::<Vec<_>>());
            let side = |indices: &[usize]| -> HashSet<&str> {
                indices.iter().flat_map(|&i| data.examples[i].texts.iter().map(String::as_str)).collect()
            };
            prop_assert!(side(&rest).is_disjoint(&side(&held)));
        }
    }
}
