//! Examples whose texts are nearly those of an earlier example, or of one of the evaluation data.
//!
//! All texts share most of their words and pairs of words, and most of their rare words: two questions of one pattern that
//! name different towns are no copies, nor are triplets with other negatives. A word counts by its inverse document frequency (Spärck Jones, 1972).

use std::collections::HashMap;

use super::copies::contrary;
use super::labels::Labels;
use super::near::{NEARLY, Signature, Words, candidates, jaccard, signature, sorted, words};
use super::{Check, Finding, Step, TOLD_EVERY, Watch};
use crate::example::{Dataset, Example, Kind};

/// The same of words that count by their rarity.
const NEARLY_RARE: f64 = 0.85;
/// The same where labels contradict each other: a word that is another one can be why.
const ALL_BUT_SAME: f64 = 0.95;

/// What an example is nearly a copy of.
#[derive(Clone, Copy)]
enum Of {
    /// An evaluation example.
    Judged,
    /// An earlier example that says the same.
    Same,
    /// An earlier example with another label.
    Contrary,
}

/// The first of each that was found: its place, and the share of the words.
type Near = [Option<(u32, f32)>; 3];

pub(super) fn find(
    dataset: &Dataset,
    evaluation: Option<&Dataset>,
    findings: &mut Vec<Finding>,
    watch: Watch<'_>,
) {
    let judged = evaluation.map_or(&[][..], |evaluation| &evaluation.examples);
    let mut told_already = vec![false; dataset.len()];
    for finding in findings.iter() {
        told_already[finding.example] = true;
    }
    let items: Vec<&Example> = judged.iter().chain(&dataset.examples).collect();
    let index = |item: usize| item.checked_sub(judged.len());
    let mut signatures = Vec::with_capacity(items.len());
    let mut rarity = Rarity::default();
    for (item, example) in items.iter().enumerate() {
        if item % TOLD_EVERY == 0 {
            watch(Step { what: "near copies: words", done: item, total: items.len() });
        }
        let is_told = index(item).is_some_and(|index| told_already[index]);
        let of_item = if is_told { Signature::EMPTY } else { signature(&rarity.add(example)) };
        signatures.push(of_item);
    }

    let labels = Labels::of(dataset);
    let mut near: Vec<Near> = vec![Near::default(); dataset.len()];
    let watch = |done, total| watch(Step { what: "near copies: comparing", done, total });
    candidates(&signatures, watch, |item, other| {
        let Some(later) = index(item) else { return };
        let of = match index(other) {
            None => Of::Judged,
            Some(earlier) if labels.disagree(dataset, earlier, later) => Of::Contrary,
            Some(_) => Of::Same,
        };
        let known = &mut near[later][of as usize];
        if known.is_none() {
            // The evaluation data may have no negatives, or texts without a second one.
            let both = items[item].texts.len().min(items[other].texts.len());
            let columns = if matches!(of, Of::Judged) { both.min(2) } else { dataset.kind.columns() };
            let share = rarity.share(items[item], items[other], dataset.kind, columns);
            let least = if matches!(of, Of::Contrary) { ALL_BUT_SAME } else { NEARLY };
            *known = share.filter(|share| *share >= least).map(|share| (other as u32, share as f32));
        }
    });

    for (later, near) in near.into_iter().enumerate() {
        let words = |share: f32| format!("{:.0} % of the words", 100.0 * share);
        let mut add = |check, why| findings.push(Finding { check, example: later, why });
        let earlier = |item: u32| item as usize - judged.len();
        if let (Some((other, share)), Some(evaluation)) = (near[Of::Judged as usize], evaluation) {
            let place = evaluation.place(other as usize);
            add(Check::NearLeak, format!("{} shared with {place}", words(share)));
        }
        if let Some((other, share)) = near[Of::Same as usize] {
            let place = dataset.place(earlier(other));
            add(Check::NearDuplicate, format!("{} shared with {place}", words(share)));
        }
        if let Some((other, share)) = near[Of::Contrary as usize] {
            let contrary = contrary(dataset, earlier(other), later);
            add(Check::NearContradiction, format!("{contrary}, with {}", words(share)));
        }
    }
}

/// How many examples have each word.
#[derive(Default)]
struct Rarity {
    examples: u32,
    with: HashMap<u64, u32>,
}

impl Rarity {
    /// Counts an example; its words and pairs of words, of the first two texts: anchor and positive, or both sentences.
    fn add(&mut self, example: &Example) -> Vec<u64> {
        let texts: Vec<Words> = example.texts.iter().take(2).map(|text| words(text)).collect();
        self.examples += 1;
        for word in sorted(texts.iter().flat_map(|words| words.single.clone()).collect()) {
            *self.with.entry(word).or_default() += 1;
        }
        sorted(texts.into_iter().flat_map(|words| words.all).collect())
    }

    fn weight(&self, word: u64) -> f64 {
        let with = self.with.get(&word).copied().unwrap_or(1);
        (1.0 + f64::from(self.examples) / f64::from(with)).ln()
    }

    /// The share of the weight of both sets that is in each of them.
    fn weighted_jaccard(&self, a: &[u64], b: &[u64]) -> f64 {
        let sum = |words: &mut dyn Iterator<Item = &u64>| words.map(|word| self.weight(*word)).sum::<f64>();
        let both = sum(&mut a.iter().filter(|word| b.binary_search(word).is_ok()));
        both / (sum(&mut a.iter()) + sum(&mut b.iter()) - both).max(f64::MIN_POSITIVE)
    }

    /// The share of the words that the texts of two examples have in common at least, where they are nearly the same; a
    /// scored pair says the same in both orders.
    fn share(&self, a: &Example, b: &Example, kind: Kind, columns: usize) -> Option<f64> {
        let of = |x: usize, y: usize| {
            let [a, b]: [Words; 2] = [words(&a.texts[x]), words(&b.texts[y])];
            let (share, rare) = (jaccard(&a.all, &b.all), self.weighted_jaccard(&a.single, &b.single));
            (share >= NEARLY && rare >= NEARLY_RARE).then_some(share.min(rare))
        };
        let straight = (0..columns).try_fold(1.0, |least, column| Some(of(column, column)?.min(least)));
        let crossed = || if kind == Kind::Scored { Some(of(0, 1)?.min(of(1, 0)?)) } else { None };
        straight.or_else(crossed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;
    use crate::example::tests::dataset;

    const LONG: &str = "how to oil a very dirty bicycle chain in winter without making a mess of the floor";
    const NEARLY_LONG: &str =
        "How to oil a very dirty bicycle chain, in winter, without making a mess of the floor?";

    #[test]
    fn both_texts_must_be_near() {
        let data = dataset(&[&[LONG, "with oil"], &[NEARLY_LONG, "not at all"], &[NEARLY_LONG, "With oil!"]]);
        let near: Vec<_> =
            found(&data, None).into_iter().filter(|(check, _)| *check == Check::NearDuplicate).collect();
        assert_eq!(near, [(Check::NearDuplicate, 2)]);
    }

    #[test]
    fn another_label_makes_a_near_copy_a_contradiction() {
        let mut data =
            dataset(&[&[LONG, "with oil"], &["with oil", NEARLY_LONG], &[NEARLY_LONG, "with oil."]]);
        data.kind = Kind::Scored;
        data.examples.iter_mut().zip([1.0, 0.0, 1.0]).for_each(|(row, label)| row.label = Some(label));
        let expected = [Check::NearContradiction, Check::NearDuplicate];
        let found = found(&data, None);
        assert!(found.contains(&(expected[0], 1)) && found.contains(&(expected[1], 2)), "{found:?}");
    }

    #[test]
    fn a_near_copy_of_the_evaluation_is_told_beside_one_of_the_data() {
        let evaluation = dataset(&[&[LONG, "with oil"]]);
        let data = dataset(&[&[NEARLY_LONG, "with oil."], &[NEARLY_LONG, "With oil?"]]);
        let found: Vec<_> = found(&data, Some(&evaluation));
        let expected = [(Check::NearDuplicate, 1), (Check::NearLeak, 0), (Check::NearLeak, 1)];
        assert!(expected.iter().all(|finding| found.contains(finding)), "{found:?}");
    }
    #[test]
    fn triplets_with_other_negatives_are_no_copies() {
        let data = dataset(&[&[LONG, "with oil", "with sand"], &[NEARLY_LONG, "with oil", "with glue"]]);
        assert!(found(&data, None).iter().all(|(check, _)| *check != Check::NearDuplicate));
        let evaluation = dataset(&[&[LONG, "with oil."]]);
        assert!(found(&data, Some(&evaluation)).contains(&(Check::NearLeak, 1)));
    }

    #[test]
    fn the_same_pattern_with_another_name_is_no_copy() {
        let of = |town: &str| {
            format!(
                "What are some tips and hacks for new drivers who share their ride with others in {town}?"
            )
        };
        let mut texts: Vec<String> =
            ["Denver", "Miami", "Gary", "Boston", "Paris"].into_iter().map(of).collect();
        texts.push(of("Gary").replace("some ", ""));
        let rows: Vec<[&str; 2]> = texts.iter().map(|text| [text.as_str(), "as it is"]).collect();
        let data = dataset(&rows.iter().map(<[&str; 2]>::as_slice).collect::<Vec<_>>());
        let near: Vec<_> =
            found(&data, None).into_iter().filter(|(check, _)| *check == Check::NearDuplicate).collect();
        assert_eq!(near, [(Check::NearDuplicate, 5)]);
    }
}
