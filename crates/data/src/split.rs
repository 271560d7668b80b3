//! Holding out shares of the examples, so that no text stands on both sides.

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

/// Divides the examples into a part for each of `shares`, and the rest behind them, each in the order of the file.
///
/// Groups stay together as in [`hold_out`]. Of every stratum of labels (each label, or fifths where there are many) a part
/// has its share, as far as the groups allow.
pub fn parts(dataset: &Dataset, seed: u64, shares: &[f64]) -> Vec<Vec<usize>> {
    let (groups, strata) = (groups(dataset), strata(dataset));
    let mut sizes = vec![0usize; strata.iter().max().map_or(1, |largest| largest + 1)];
    for stratum in &strata {
        sizes[*stratum] += 1;
    }
    let mut part_of = vec![shares.len(); dataset.len()];
    let order = permutation(key(seed, "data.split", 0), groups.len());
    for (part, share) in shares.iter().enumerate() {
        let mut room: Vec<usize> = sizes.iter().map(|size| (*size as f64 * share).round() as usize).collect();
        for group in order.iter().map(|group| &groups[*group]) {
            let mut needed = vec![0; room.len()];
            for member in group {
                needed[strata[*member]] += 1;
            }
            let fits = needed.iter().zip(&room).all(|(needed, room)| needed <= room);
            if fits && part_of[group[0]] == shares.len() {
                for member in group {
                    part_of[*member] = part;
                }
                room.iter_mut().zip(needed).for_each(|(room, needed)| *room -= needed);
            }
        }
    }
    let of = |part| (0..dataset.len()).filter(|index| part_of[*index] == part).collect();
    (0..=shares.len()).map(of).collect()
}

/// Which examples have like labels: each label by itself, or fifths by rank where there are more than so many.
fn strata(dataset: &Dataset) -> Vec<usize> {
    const CLASSES: usize = 10;
    const FIFTHS: usize = 5;
    let labels: Vec<f32> = dataset.examples.iter().map(|example| example.label.unwrap_or(0.0)).collect();
    let mut sorted = labels.clone();
    sorted.sort_by(f32::total_cmp);
    let mut classes = sorted.clone();
    classes.dedup();
    let rank = |label: &f32| match classes.len() {
        0..=CLASSES => classes.partition_point(|class| class < label),
        _ => sorted.partition_point(|other| other < label) * FIFTHS / sorted.len(),
    };
    labels.iter().map(rank).collect()
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

    #[test]
    fn every_part_has_its_share_of_every_label() {
        for classes in [2, 40] {
            let texts: Vec<[String; 2]> = (0..400).map(|i| [format!("a{i}"), format!("p{i}")]).collect();
            let rows: Vec<Vec<&str>> =
                texts.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
            let mut data = dataset(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
            for (index, example) in data.examples.iter_mut().enumerate() {
                example.label = Some((index * index % classes) as f32);
            }
            let divided = parts(&data, 3, &[0.1, 0.2]);
            let mean = |part: &[usize]| {
                part.iter().filter_map(|i| data.examples[*i].label).sum::<f32>() / part.len() as f32
            };
            let all: Vec<usize> = (0..400).collect();
            assert!(divided[0].len().abs_diff(40) <= 3 && divided[1].len().abs_diff(80) <= 3);
            for part in &divided {
                assert!((mean(part) / mean(&all) - 1.0).abs() < 0.12, "{} {}", mean(part), mean(&all));
            }
            assert_eq!(divided, parts(&data, 3, &[0.1, 0.2]));
            assert_ne!(divided, parts(&data, 4, &[0.1, 0.2]));
        }
    }

    proptest! {
        #[test]
        fn parts_share_no_text(rows in prop::collection::vec((0u8..60, 0u8..60), 0..80), seed: u64) {
            let texts: Vec<[String; 2]> = rows.iter().map(|(a, b)| [a.to_string(), b.to_string()]).collect();
            let rows: Vec<Vec<&str>> = texts.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
            let data = dataset(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let divided = parts(&data, seed, &[0.2, 0.3]);
            let mut all: Vec<usize> = divided.iter().flatten().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..data.len()).collect::<Vec<_>>());
            let side = |indices: &[usize]| -> HashSet<&str> {
                indices.iter().flat_map(|&i| data.examples[i].texts.iter().map(String::as_str)).collect()
            };
            for (a, b) in [(0, 1), (0, 2), (1, 2)] {
                prop_assert!(side(&divided[a]).is_disjoint(&side(&divided[b])));
            }
        }

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
