//! BM25 (Robertson and Zaragoza, 2009): texts that share rare words with a query.
//!
//! `score(q, d) = sum over words t of q: idf(t) tf / (tf + k1 (1 - b + b |d| / mean |d|))`, with `idf(t) = ln(1 + (N - n_t +
//! 0.5) / (n_t + 0.5))`, k1 = 1.2 and b = 0.75, as Lucene has it. Words are runs of letters and digits in lower case.

use std::collections::HashMap;

use crate::mining::Candidate;

const K1: f32 = 1.2;
const B: f32 = 0.75;

/// An inverted index of texts.
#[derive(Debug)]
pub struct Bm25 {
    /// For every word the texts that have it, with what the word adds to their score.
    postings: HashMap<String, Vec<(u32, f32)>>,
    texts: usize,
}

impl Bm25 {
    /// Indexes texts; the place of each is its name.
    pub fn new(texts: &[String]) -> Self {
        let mut counts: HashMap<String, Vec<(u32, f32)>> = HashMap::new();
        let mut lengths = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            let mut length = 0.0;
            for word in words(text) {
                length += 1.0;
                let postings = counts.entry(word).or_default();
                match postings.last_mut().filter(|(last, _)| *last as usize == place) {
                    Some((_, count)) => *count += 1.0,
                    None => postings.push((place as u32, 1.0)),
                }
            }
            lengths.push(length);
        }
        let mean = lengths.iter().sum::<f32>() / (lengths.len() as f32).max(1.0);
        for postings in counts.values_mut() {
            let having = postings.len() as f32;
            let idf = (1.0 + (texts.len() as f32 - having + 0.5) / (having + 0.5)).ln();
            for (place, count) in postings {
                let length = lengths[*place as usize] / mean;
                *count = idf * *count / (*count + K1 * (1.0 - B + B * length));
            }
        }
        Self { postings: counts, texts: texts.len() }
    }

    /// The score of every text that shares a word with the query; 0 for the others.
    pub fn scores(&self, query: &str) -> Vec<f32> {
        let mut scores = vec![0.0; self.texts];
        for word in words(query) {
            for (place, score) in self.postings.get(&word).into_iter().flatten() {
                scores[*place as usize] += score;
            }
        }
        scores
    }

    /// The `k` texts that score highest, highest first, of those with a score; equal ones in their order.
    pub fn top_k(scores: &[f32], k: usize) -> Vec<Candidate> {
        let mut found: Vec<Candidate> = scores
            .iter()
            .enumerate()
            .filter(|(_, score)| **score > 0.0)
            .map(|(text, score)| Candidate { text, score: *score })
            .collect();
        let order = |a: &Candidate, b: &Candidate| b.score.total_cmp(&a.score).then(a.text.cmp(&b.text));
        if k < found.len() {
            found.select_nth_unstable_by(k, order);
            found.truncate(k);
        }
        found.sort_unstable_by(order);
        found
    }
}

/// Runs of letters and digits, in lower case.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(texts: &[&str]) -> Bm25 {
        Bm25::new(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn scores_are_those_worked_by_hand() {
        // Mean length 2; "b" is in two of three texts, "c" in one.
        let found = index(&["a a b", "b", "c d"]).scores("B, c!");
        let idf_b = (1.0f32 + 1.5 / 2.5).ln();
        let idf_c = (1.0f32 + 2.5 / 1.5).ln();
        let expected = [
            idf_b / (1.0 + 1.2 * (0.25 + 0.75 * 1.5)),
            idf_b / (1.0 + 1.2 * (0.25 + 0.75 * 0.5)),
            idf_c / (1.0 + 1.2),
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let twice = index(&["a a b", "b"]).scores("a");
        let expected = (1.0f32 + 1.5 / 1.5).ln() * 2.0 / (2.0 + 1.2 * (0.25 + 0.75 * 1.5));
        assert!((twice[0] - expected).abs() < 1e-6 && twice[1] == 0.0);
    }

    #[test]
    fn the_highest_come_first_without_those_that_share_no_word() {
        let scores = [0.0, 2.0, 3.0, 2.0, 1.0];
        let places = |k| Bm25::top_k(&scores, k).into_iter().map(|c| c.text).collect::<Vec<_>>();
        assert_eq!(places(3), [2, 1, 3]);
        assert_eq!(places(9), [2, 1, 3, 4]);
        assert!(places(0).is_empty());
    }
}
