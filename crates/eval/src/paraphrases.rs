//! Paraphrase mining: do the duplicates among many texts come first when all pairs are sorted by closeness?
//!
//! Source: `ParaphraseMiningEvaluator` of sentence-transformers 6.2.

use std::collections::{BTreeMap, BTreeSet};

use temper_vectors::{Embeddings, Pair, PairLimits, Similarity, closest_pairs};

use crate::{Error, Result, Scores, check};

/// Rows that are duplicates of each other, the lower one first.
pub type Duplicates = BTreeSet<(usize, usize)>;

/// `average_precision`, and `precision`, `recall` and `threshold` where `f1` is best, by cosine.
///
/// Pairs beyond the limits count as not found. `progress` is told how many rows were compared with all others since
/// it was last called.
pub fn scores(
    vectors: &Embeddings,
    duplicates: &Duplicates,
    limits: PairLimits,
    progress: &mut dyn FnMut(usize),
) -> Result<Scores> {
    check("texts", vectors, vectors.dim)?;
    if let Some(&(query, document)) = duplicates.iter().find(|(_, later)| *later >= vectors.rows()) {
        return Err(Error::NoSuchDocument { query, document, corpus: vectors.rows() });
    }
    if duplicates.is_empty() {
        return Err(Error::Empty { what: "no two texts are duplicates" });
    }
    let pairs = closest_pairs(&Similarity::Cosine.prepare(vectors), limits, progress);
    Ok(judge(&pairs, duplicates))
}

fn judge(pairs: &[Pair], duplicates: &Duplicates) -> Scores {
    let (mut extracted, mut correct, mut correct_before) = (0, 0, 0);
    let (mut average_precision, mut best) = (0.0, [0.0; 4]);
    for tied in pairs.chunk_by(|a, b| a.score == b.score) {
        extracted += tied.len();
        correct += tied.iter().filter(|pair| duplicates.contains(&(pair.first, pair.second))).count();
        if correct > correct_before {
            let precision = correct as f64 / extracted as f64;
            let recall = correct as f64 / duplicates.len() as f64;
            let f1 = 2.0 * precision * recall / (precision + recall);
            average_precision += precision * (correct - correct_before) as f64 / duplicates.len() as f64;
            if f1 > best[0] {
                let next = pairs.get(extracted).unwrap_or(&tied[0]);
                let threshold = f64::midpoint(f64::from(tied[0].score), f64::from(next.score));
                best = [f1, precision, recall, threshold];
            }
            correct_before = correct;
        }
    }
    let [f1, precision, recall, threshold] = best;
    let named = [
        ("average_precision", average_precision),
        ("f1", f1),
        ("precision", precision),
        ("recall", recall),
        ("threshold", threshold),
    ];
    named.into_iter().map(|(name, score)| (name.to_owned(), score)).collect()
}

/// Duplicates of duplicates are duplicates: every two rows that are joined by a chain of pairs.
#[must_use]
pub fn transitive_closure(duplicates: &Duplicates) -> Duplicates {
    let mut neighbours: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &(a, b) in duplicates {
        neighbours.entry(a).or_default().push(b);
        neighbours.entry(b).or_default().push(a);
    }
    let mut closure = Duplicates::new();
    let mut seen = BTreeSet::new();
    for &start in neighbours.keys() {
        let (mut joined, mut open) = (Vec::new(), vec![start]);
        while let Some(row) = open.pop() {
            if seen.insert(row) {
                joined.push(row);
                open.extend(&neighbours[&row]);
            }
        }
        joined.sort_unstable();
        for (at, &first) in joined.iter().enumerate() {
            closure.extend(joined[at + 1..].iter().map(|second| (first, *second)));
        }
    }
    closure
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn four_pairs_worked_by_hand() {
        let pair = |score, first, second| Pair { score, first, second };
        // + - + and a duplicate that is not found.
        let pairs = [pair(0.9, 0, 1), pair(0.8, 0, 2), pair(0.7, 2, 3), pair(0.5, 1, 3)];
        let found = judge(&pairs, &Duplicates::from([(0, 1), (2, 3), (4, 5)]));
        let close = |name: &str, expected: f64| assert!((found[name] - expected).abs() < 1e-7, "{found:?}");
        close("average_precision", (1.0 + 2.0 / 3.0) / 3.0);
        close("f1", 2.0 / 3.0);
        close("precision", 2.0 / 3.0);
        close("recall", 2.0 / 3.0);
        close("threshold", 0.6);
    }

    #[test]
    fn chains_close_and_groups_stay_apart() {
        let chains = Duplicates::from([(0, 1), (1, 4), (2, 3)]);
        assert_eq!(transitive_closure(&chains), Duplicates::from([(0, 1), (0, 4), (1, 4), (2, 3)]));
    }

    #[test]
    fn nothing_to_find_and_rows_beyond_the_texts_are_refused() {
        let vectors = Embeddings::from_rows(&[[1.0], [2.0]]).unwrap();
        let of = |duplicates: &Duplicates| scores(&vectors, duplicates, PairLimits::default(), &mut |_| ());
        assert!(matches!(of(&Duplicates::new()), Err(Error::Empty { .. })));
        assert!(matches!(of(&Duplicates::from([(0, 2)])), Err(Error::NoSuchDocument { .. })));
    }
}
