//! Leaving out pairs that a person found to be wrong.

use std::collections::HashMap;

use crate::example::Dataset;
use crate::examples::Examples;
use crate::retrieval::Retrieval;

/// Pairs of anchor and positive that are wrong, and which of them were met.
#[derive(Clone, Debug, Default)]
pub struct ExcludedPairs {
    /// By anchor and positive: whether some data held it.
    met: HashMap<String, HashMap<String, bool>>,
    left_out: usize,
}

impl FromIterator<(String, String)> for ExcludedPairs {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut met: HashMap<String, HashMap<String, bool>> = HashMap::new();
        for (anchor, positive) in pairs {
            met.entry(anchor).or_default().insert(positive, false);
        }
        Self { met, left_out: 0 }
    }
}

impl ExcludedPairs {
    /// Number of different pairs.
    pub fn len(&self) -> usize {
        self.met.values().map(HashMap::len).sum()
    }

    /// Whether nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.met.is_empty()
    }

    /// Number of pairs that no data held so far.
    pub fn unmet(&self) -> usize {
        self.met.values().flat_map(HashMap::values).filter(|met| !**met).count()
    }

    /// Number of examples and answers left out so far.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether the pair is to be left out.
    pub(crate) fn meets(&mut self, anchor: &str, positive: &str) -> bool {
        match self.met.get_mut(anchor).and_then(|positives| positives.get_mut(positive)) {
            Some(met) => {
                *met = true;
                self.left_out += 1;
                true
            }
            None => false,
        }
    }

    /// Takes examples out whose anchor and positive, or two sentences, are an excluded pair.
    pub fn leave_out(&mut self, dataset: &mut Dataset) {
        let before = dataset.len();
        dataset.examples.retain(|example| match example.texts.as_slice() {
            [anchor, positive, ..] => !self.meets(anchor, positive),
            _ => true,
        });
        dataset.excluded += before - dataset.len();
    }

    /// The same of examples to learn from.
    pub fn leave_out_of(&mut self, examples: &mut Examples) {
        let texts = examples.texts();
        let mut known = HashMap::new();
        for (anchor, positives) in &self.met {
            for positive in positives.keys() {
                if let (Some(a), Some(p)) = (texts.number(anchor), texts.number(positive)) {
                    known.insert([a, p], (anchor.clone(), positive.clone()));
                }
            }
        }
        let mut keep = |index| {
            let [anchor, positive, ..] = *texts.example(index) else { return true };
            known.get(&[anchor, positive]).is_none_or(|(anchor, positive)| !self.meets(anchor, positive))
        };
        let keep: Vec<bool> = (0..examples.len()).map(&mut keep).collect();
        examples.excluded += keep.iter().filter(|keep| !**keep).count();
        examples.retain(&keep);
    }

    /// Takes away answers that are an excluded pair with their query. A query without another answer does not count.
    pub fn leave_out_answers(&mut self, retrieval: &mut Retrieval) {
        for ((_, query), relevant) in retrieval.queries.iter().zip(&mut retrieval.relevant) {
            relevant.retain(|(document, _)| !self.meets(query, &retrieval.corpus[*document].1));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::example::tests::dataset;

    fn excluded(pairs: &[[&str; 2]]) -> ExcludedPairs {
        pairs.iter().map(|[anchor, positive]| ((*anchor).to_owned(), (*positive).to_owned())).collect()
    }

    #[test]
    fn equal_anchor_and_positive_go_whatever_the_negatives() {
        let mut data = dataset(&[&["a", "x", "n"], &["a", "y", "x"], &["x", "a", "n"], &["a", "x", "m"]]);
        let mut pairs = excluded(&[["a", "x"], ["a", "x"], ["a", "n"], ["b", "x"]]);
        let (mut same, mut examples) = (pairs.clone(), Examples::from(data.clone()));
        pairs.leave_out(&mut data);
        assert_eq!((data.len(), data.excluded), (2, 2));
        assert_eq!((pairs.len(), pairs.unmet(), pairs.left_out()), (3, 2, 2));
        same.leave_out_of(&mut examples);
        assert_eq!((examples.len(), examples.excluded, same.unmet(), same.left_out()), (2, 2, 2, 2));
        assert_eq!([0, 1].map(|index| examples.origin(index).line), [2, 3]);
    }

    #[test]
    fn answers_of_other_queries_stay() {
        let data = dataset(&[&["a", "x"], &["b", "x"], &["b", "y"], &["c", "z"]]);
        let mut retrieval = Retrieval::from_dataset(&data).unwrap();
        excluded(&[["a", "x"], ["b", "x"], ["a", "z"]]).leave_out_answers(&mut retrieval);
        assert_eq!(retrieval.relevant, [vec![], vec![(1, 1.0)], vec![(2, 1.0)]]);
    }
}
