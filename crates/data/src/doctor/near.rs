//! Sets of words that are nearly the same, found without comparing all pairs.
//!
//! The similarity is Jaccard's, of the sets of words and of pairs of neighbouring words. Candidates come from MinHash
//! signatures by one permutation (Li, Owen and Zhang, 2012; empty bins take the next full one's value, Shrivastava and Li,
//! 2014), cut into bands (Broder, 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3); whoever
//! asks compares each of them for real.

use std::hash::{DefaultHasher, Hash, Hasher};

const BINS: usize = 64;
/// Bins of a band; sets that agree in one whole band are candidates.
const BAND: usize = 4;
/// Sets of a band that one is compared with: the first few, and the last before it.
const FIRST: usize = 4;
const LAST: usize = 8;
/// Similarity from which sets are nearly the same.
pub(super) const NEARLY: f64 = 0.8;
/// Standard deviations by which the similarity of two signatures may be below that of their sets.
const DEVIATIONS: f64 = 3.0;

/// The smallest hash of each bin of a set.
#[derive(Clone)]
pub(super) struct Signature {
    values: [u32; BINS],
    /// Bins with a value of their own; none of a set without words.
    full: u32,
}

/// Calls `compare` with the places of sets that may be nearly the same, the later one first, and `watch` with the share of
/// the work that is done, in steps. A set without words is like no other.
pub(super) fn candidates(
    signatures: &[Signature],
    mut watch: impl FnMut(usize, usize),
    mut compare: impl FnMut(usize, usize),
) {
    for first in (0..BINS).step_by(BAND) {
        watch(first / BAND, BINS / BAND);
        let mut keyed: Vec<([u32; BAND], u32)> = signatures
            .iter()
            .enumerate()
            .filter(|(_, signature)| signature.full > 0)
            .map(|(place, signature)| {
                (std::array::from_fn(|bin| signature.values[first + bin]), place as u32)
            })
            .collect();
        keyed.sort_unstable();
        for bucket in keyed.chunk_by(|a, b| a.0 == b.0) {
            for (at, (_, place)) in bucket.iter().enumerate() {
                let last = at.saturating_sub(LAST);
                for (_, earlier) in bucket[..FIRST.min(last)].iter().chain(&bucket[last..at]) {
                    let (place, earlier) = (*place as usize, *earlier as usize);
                    if signatures[place].may_be_near(&signatures[earlier], first) {
                        compare(place, earlier);
                    }
                }
            }
        }
    }
}

impl Signature {
    /// That of a set that is like no other.
    pub(super) const EMPTY: Self = Self { values: [0; BINS], full: 0 };

    /// Saves most comparisons of texts that share a phrase and not more, and those made already: whether no band before
    /// the bin `first` agrees, and enough bins do.
    fn may_be_near(&self, other: &Self, first: usize) -> bool {
        let (a, b) = (&self.values, &other.values);
        if a[..first].chunks(BAND).zip(b[..first].chunks(BAND)).any(|(a, b)| a == b) {
            return false;
        }
        let agreeing = a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / BINS as f64;
        let deviation = (NEARLY * (1.0 - NEARLY) / f64::from(self.full.min(other.full))).sqrt();
        agreeing >= NEARLY - DEVIATIONS * deviation
    }
}

/// The words of a text as hashes, each once, sorted.
pub(super) struct Words {
    pub(super) single: Vec<u64>,
    /// And the pairs of neighbours.
    pub(super) all: Vec<u64>,
}

/// The words of a text, whatever their case and what stands between them.
pub(super) fn words(text: &str) -> Words {
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let single: Vec<u64> = words.iter().map(hash).collect();
    let pairs = words.windows(2).map(|pair| hash(&pair));
    let all = sorted(single.iter().copied().chain(pairs).collect());
    Words { single: sorted(single), all }
}

pub(super) fn sorted(mut hashes: Vec<u64>) -> Vec<u64> {
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The signature of a set of hashes.
pub(super) fn signature(hashes: &[u64]) -> Signature {
    let mut bins = [None; BINS];
    for hash in hashes {
        let bin = &mut bins[(hash >> 32) as usize % BINS];
        let value = *hash as u32;
        *bin = Some(bin.map_or(value, |least: u32| least.min(value)));
    }
    let full = bins.iter().flatten().count() as u32;
    if full == 0 {
        return Signature::EMPTY;
    }
    let values = std::array::from_fn(|bin| {
        let full = (0..BINS).find_map(|ahead| bins[(bin + ahead) % BINS].map(|value| (value, ahead)));
        let (value, ahead) = full.expect("this is a bug: no bin is full");
        // A borrowed value is told from a bin's own.
        value.wrapping_add(ahead as u32)
    });
    Signature { values, full }
}

/// The share of both sets that is in each of them; both sorted.
pub(super) fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let both = a.iter().filter(|shingle| b.binary_search(shingle).is_ok()).count();
    both as f64 / (a.len() + b.len() - both).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{key, uniform_u64};

    #[test]
    fn the_share_is_that_of_words_and_neighbours() {
        // Words a b c against a b d: 2 of 4 words and 1 of 3 pairs are shared.
        assert_eq!(jaccard(&words("a b c").all, &words("A, b: d!").all), 3.0 / 7.0);
        assert_eq!(jaccard(&words("").all, &[]), 0.0);
    }

    /// Against all pairs: nearly everything near is found.
    #[test]
    fn nearly_all_that_are_near_are_found() {
        let word = |text: u64, at: u64| format!("w{}", uniform_u64(key(1, "near", text), at) % 5000);
        let mut texts: Vec<String> = (0..600u64)
            .map(|text| (0..5 + text % 30).map(|at| word(text, at)).collect::<Vec<_>>().join(" "))
            .collect();
        for copy in 0..300 {
            let words: Vec<String> = texts[copy].split(' ').map(str::to_owned).collect();
            texts.push(words[..words.len() - 1].join(" ") + if copy % 2 == 0 { " new" } else { "" });
        }
        let sets: Vec<Vec<u64>> = texts.iter().map(|text| words(text).all).collect();
        let signatures: Vec<_> = sets.iter().map(|set| signature(set)).collect();
        let mut found = vec![false; texts.len()];
        candidates(
            &signatures,
            |_, _| (),
            |later, earlier| {
                assert!(earlier < later);
                found[later] |= jaccard(&sets[later], &sets[earlier]) >= NEARLY;
            },
        );
        let is_near =
            |later: usize| (0..later).any(|earlier| jaccard(&sets[later], &sets[earlier]) >= NEARLY);
        let near = (0..texts.len()).filter(|later| is_near(*later)).count();
        let found = found.into_iter().filter(|found| *found).count();
        assert!(near > 200 && found <= near && found as f64 > 0.97 * near as f64, "{found} {near}");
    }
}
