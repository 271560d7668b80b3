//! Holding out shares of the examples, so that no anchor or positive stands on both sides.

use crate::example::Dataset;
use crate::examples::TextNumbers;
use crate::random::{key, permutation};

/// The examples to hold out, ascending.
///
/// Examples that share a text form a group, directly or through others. Negatives do not count: mined ones are others'
/// positives, and would make one group of all. Groups are taken in a seeded order
/// until `share` of the examples, at most `max`, is reached; a group that would exceed that is passed over.
pub fn hold_out(texts: &TextNumbers, seed: u64, share: f64, max: usize) -> Vec<usize> {
    let wanted = ((texts.len() as f64 * share).round() as usize).min(max);
    let groups = Groups::new(texts);
    let mut held = Vec::new();
    for group in permutation(key(seed, "data.hold_out", 0), groups.len()) {
        if held.len() == wanted {
            break;
        }
        let members = groups.members(group);
        if held.len() + members.len() <= wanted {
            held.extend_from_slice(members);
        }
    }
    held.sort_unstable();
    held
}

/// Divides the examples into a part for each of `shares`, and the rest behind them, each in the order of the file.
///
/// Groups stay together as in [`hold_out`]. Of every stratum (each class; each score, or fifths where there are many) a part
/// has its share, as far as the groups allow.
pub fn parts(dataset: &Dataset, seed: u64, shares: &[f64]) -> Vec<Vec<usize>> {
    let texts = TextNumbers::of(dataset.examples.iter().map(|example| example.texts.as_slice()));
    let (groups, strata) = (Groups::new(&texts), strata(dataset));
    let mut sizes = vec![0usize; strata.iter().max().map_or(1, |largest| largest + 1)];
    for stratum in &strata {
        sizes[*stratum] += 1;
    }
    let mut part_of = vec![shares.len(); dataset.len()];
    let order = permutation(key(seed, "data.split", 0), groups.len());
    for (part, share) in shares.iter().enumerate() {
        let mut room = rooms(&sizes, *share, key(seed, "data.split.room", part as u64));
        for group in order.iter().map(|group| groups.members(*group)) {
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

/// How many examples of each stratum a part takes: together the share of all, each within one of its own. Strata that come
/// equally close to one more get it in a seeded order.
fn rooms(sizes: &[usize], share: f64, key: u64) -> Vec<usize> {
    let quotas: Vec<f64> = sizes.iter().map(|size| *size as f64 * share).collect();
    let mut room: Vec<usize> = quotas.iter().map(|quota| *quota as usize).collect();
    let rest = |stratum: &usize| quotas[*stratum].fract();
    let mut order = permutation(key, sizes.len());
    order.sort_by(|a, b| rest(b).total_cmp(&rest(a)));
    let all = quotas.iter().sum::<f64>().round() as usize;
    for stratum in order.into_iter().take(all - room.iter().sum::<usize>()) {
        room[stratum] += 1;
    }
    room
}

/// Which examples have like labels: each class, each score, or fifths by rank where there are more than so many.
fn strata(dataset: &Dataset) -> Vec<usize> {
    const CLASSES: usize = 10;
    const FIFTHS: usize = 5;
    let labels: Vec<f32> = dataset.examples.iter().map(|example| example.label.unwrap_or(0.0)).collect();
    let mut sorted = labels.clone();
    sorted.sort_by(f32::total_cmp);
    let mut classes = sorted.clone();
    classes.dedup();
    let rank = |label: &f32| match classes.len() {
        _ if dataset.kind.has_classes() => *label as usize,
        0..=CLASSES => classes.partition_point(|class| class < label),
        _ => sorted.partition_point(|other| other < label) * FIFTHS / sorted.len(),
    };
    labels.iter().map(rank).collect()
}

/// Examples connected by equal anchors or positives, in the order of their first member.
struct Groups {
    /// The examples, group after group, ascending within each.
    members: Vec<usize>,
    /// Where each group begins, and behind them the end of the last.
    starts: Vec<usize>,
}

impl Groups {
    fn new(texts: &TextNumbers) -> Self {
        let mut parents: Vec<usize> = (0..texts.len()).collect();
        let mut first_with = vec![usize::MAX; texts.distinct()];
        for index in 0..texts.len() {
            for text in texts.example(index).iter().take(2) {
                let first = &mut first_with[*text as usize];
                *first = index.min(*first);
                let (a, b) = (root(&mut parents, index), root(&mut parents, *first));
                // The smaller index is the root: a group's first member.
                parents[a.max(b)] = a.min(b);
            }
        }
        let roots: Vec<usize> = (0..texts.len()).map(|index| root(&mut parents, index)).collect();
        let mut members: Vec<usize> = (0..texts.len()).collect();
        members.sort_by_key(|index| roots[*index]);
        let begins = |place: &usize| *place == 0 || roots[members[*place]] != roots[members[*place - 1]];
        let starts = (0..members.len()).filter(begins).chain([members.len()]).collect();
        Self { members, starts }
    }

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn members(&self, group: usize) -> &[usize] {
        &self.members[self.starts[group]..self.starts[group + 1]]
    }
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

    fn numbers(dataset: &Dataset) -> TextNumbers {
        TextNumbers::of(dataset.examples.iter().map(|example| example.texts.as_slice()))
    }

    #[test]
    fn a_chain_of_shared_texts_stays_together() {
        let texts = numbers(&dataset(&[&["a", "b"], &["c", "d"], &["b", "c"], &["x", "y"]]));
        let groups = Groups::new(&texts);
        let members: Vec<&[usize]> = (0..groups.len()).map(|group| groups.members(group)).collect();
        assert_eq!(members, [&[0, 1, 2][..], &[3]]);
        assert_eq!(hold_out(&texts, 7, 0.5, 1000), [3]);
    }

    #[test]
    fn distinct_texts_give_the_share_exactly() {
        let texts: Vec<[String; 2]> = (0..250).map(|i| [format!("a{i}"), format!("p{i}")]).collect();
        let rows: Vec<[&str; 2]> = texts.iter().map(|[a, p]| [a.as_str(), p.as_str()]).collect();
        let rows: Vec<&[&str]> = rows.iter().map(<[&str; 2]>::as_slice).collect();
        let data = numbers(&dataset(&rows));
        assert_eq!(hold_out(&data, 1, 0.1, 1000).len(), 25);
        assert_eq!(hold_out(&data, 1, 0.1, 9).len(), 9);
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

    #[test]
    fn every_class_is_divided_by_itself() {
        let texts: Vec<String> = (0..240).map(|i| format!("t{i}")).collect();
        let rows: Vec<[&str; 1]> = texts.iter().map(|text| [text.as_str()]).collect();
        let mut data = dataset(&rows.iter().map(<[&str; 1]>::as_slice).collect::<Vec<_>>());
        data.classes = (0..12).map(|class| class.to_string()).collect();
        data.examples.iter_mut().enumerate().for_each(|(i, example)| example.label = Some((i % 12) as f32));
        let divided = parts(&data, 3, &[0.2]);
        for class in 0..12 {
            assert_eq!(divided[0].iter().filter(|index| *index % 12 == class).count(), 4);
        }
    }

    #[test]
    fn small_classes_have_their_part_together() {
        let sizes = [4; 250];
        let room = rooms(&sizes, 0.1, 7);
        assert_eq!((room.iter().sum::<usize>(), room.iter().max()), (100, Some(&1)));
        assert_ne!(room, rooms(&sizes, 0.1, 8));
        assert_eq!(rooms(&[10, 25, 3], 0.2, 1), [2, 5, 1]);
        assert!(rooms(&[], 0.2, 1).is_empty());
    }

    #[test]
    fn negatives_of_others_keep_nothing_together() {
        let texts: Vec<[String; 3]> =
            (0..40).map(|i| [format!("a{i}"), format!("p{i}"), format!("p{}", (i + 1) % 40)]).collect();
        let rows: Vec<Vec<&str>> = texts.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let data = dataset(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(parts(&data, 3, &[0.1]).iter().map(Vec::len).collect::<Vec<_>>(), [4, 36]);
        assert_eq!(hold_out(&numbers(&data), 3, 0.1, 100).len(), 4);
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
            let held = hold_out(&numbers(&data), seed, share, max);
            let rest: Vec<usize> = (0..data.len()).filter(|index| !held.contains(index)).collect();
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
