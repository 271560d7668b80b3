//! Texts with nearly the same words, found without comparing all pairs.
//!
//! The similarity is Jaccard's, of the sets of words and of pairs of neighbouring words. Candidates come from MinHash
//! signatures by one permutation (Li, Owen and Zhang, 2012; empty bins take the next full one's value, Shrivastava and Li,
//! 2014), cut into bands; each is then compared for real.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Share of words from which texts are nearly the same.
const NEARLY: f64 = 0.8;
const BINS: usize = 64;
/// Bins of a band; texts that agree in one whole band are compared.
const BAND: usize = 4;
/// Earlier texts of a band that one is compared with.
const COMPARED: usize = 8;

/// Each text that is nearly an earlier one: (its place, the earlier one's, the share of words).
pub(super) fn near_duplicates(texts: &[String]) -> Vec<(usize, usize, f64)> {
    let signatures: Vec<Option<[u32; BINS]>> = texts.iter().map(|text| signature(&shingles(text))).collect();
    let mut near: Vec<Option<(usize, f64)>> = vec![None; texts.len()];
    for band in (0..BINS).step_by(BAND) {
        let mut keyed: Vec<(&[u32], usize)> = signatures
            .iter()
            .enumerate()
            .filter_map(|(place, signature)| Some((&signature.as_ref()?[band..band + BAND], place)))
            .collect();
        keyed.sort_unstable();
        for bucket in keyed.chunk_by(|a, b| a.0 == b.0) {
            for (at, (_, place)) in bucket.iter().enumerate().skip(1) {
                for (_, earlier) in &bucket[at.saturating_sub(COMPARED)..at] {
                    if near[*place].is_some_and(|(known, _)| known <= *earlier) {
                        continue;
                    }
                    let share = jaccard(&shingles(&texts[*place]), &shingles(&texts[*earlier]));
                    if share >= NEARLY {
                        near[*place] = Some((*earlier, share));
                    }
                }
            }
        }
    }
    let found =
        |(place, near): (usize, Option<(usize, f64)>)| near.map(|(other, share)| (place, other, share));
    near.into_iter().enumerate().filter_map(found).collect()
}

/// Hashes of the words and of the pairs of neighbouring words, each once, sorted.
fn shingles(text: &str) -> Vec<u64> {
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let pairs = words.windows(2).map(|pair| hash(&pair));
    let mut all: Vec<u64> = words.iter().map(hash).chain(pairs).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// For every bin the smallest hash that falls into it; none of a text without words.
fn signature(shingles: &[u64]) -> Option<[u32; BINS]> {
    let mut bins = [None; BINS];
    for shingle in shingles {
        let bin = &mut bins[(shingle >> 32) as usize % BINS];
        let value = *shingle as u32;
        *bin = Some(bin.map_or(value, |least: u32| least.min(value)));
    }
    bins.iter().any(Option::is_some).then(|| {
        std::array::from_fn(|bin| {
            let full = (0..BINS).find_map(|ahead| bins[(bin + ahead) % BINS].map(|value| (value, ahead)));
            let (value, ahead) = full.expect("this is a bug: no bin is full");
            // A borrowed value is told from a bin's own.
            value.wrapping_add(ahead as u32)
        })
    })
}

fn jaccard(a: &[u64], b: &[u64]) -> f64 {
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
        assert_eq!(jaccard(&shingles("a b c"), &shingles("A, b: d!")), 3.0 / 7.0);
        assert_eq!(jaccard(&shingles(""), &shingles("")), 0.0);
    }

    /// Against all pairs: nothing is told that is not near, and nearly everything near is found.
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
        let found = near_duplicates(&texts);
        let mut near = 0;
        for later in 0..texts.len() {
            let share = |earlier: &usize| jaccard(&shingles(&texts[later]), &shingles(&texts[*earlier]));
            near += usize::from((0..later).any(|earlier| share(&earlier) >= NEARLY));
        }
        assert!(found.iter().all(|(place, earlier, share)| earlier < place && *share >= NEARLY));
        assert!(
            near > 200 && found.len() <= near && found.len() as f64 > 0.97 * near as f64,
            "{} {near}",
            found.len()
        );
    }
}
