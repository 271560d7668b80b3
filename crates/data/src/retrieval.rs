//! What retrieval is judged on: queries, a corpus, and which documents answer which query.

use std::collections::HashMap;

use crate::example::Dataset;

/// Queries, corpus and relevance; ids are unique on each side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retrieval {
    /// Id and text of every query.
    pub queries: Vec<(String, String)>,
    /// Id and text of every document.
    pub corpus: Vec<(String, String)>,
    /// For every query its relevant documents: index into the corpus, and a grade above 0.
    pub relevant: Vec<Vec<(usize, f32)>>,
}

impl Retrieval {
    /// Distinct anchors search the distinct positives and negatives; equal texts are one query or document.
    ///
    /// None for other kinds, which do not say which text answers which.
    pub fn from_dataset(dataset: &Dataset) -> Option<Self> {
        if !dataset.kind.has_positives() {
            return None;
        }
        let mut queries = Distinct::default();
        let mut documents = Distinct::default();
        let mut relevant: Vec<Vec<(usize, f32)>> = Vec::new();
        for example in &dataset.examples {
            let query = queries.place(&example.texts[0]);
            if query == relevant.len() {
                relevant.push(Vec::new());
            }
            let document = documents.place(&example.texts[1]);
            if !relevant[query].iter().any(|(known, _)| *known == document) {
                relevant[query].push((document, 1.0));
            }
        }
        // Behind all positives, so that a pairs file and its triplets number the answers alike.
        for text in dataset.examples.iter().flat_map(|example| &example.texts[2..]) {
            documents.place(text);
        }
        Some(Self { queries: queries.with_ids("q"), corpus: documents.with_ids("d"), relevant })
    }
}

/// Texts in the order of their first occurrence.
#[derive(Default)]
struct Distinct<'a> {
    texts: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Distinct<'a> {
    fn place(&mut self, text: &'a str) -> usize {
        let place = *self.places.entry(text).or_insert(self.texts.len());
        if place == self.texts.len() {
            self.texts.push(text);
        }
        place
    }

    fn with_ids(self, prefix: &str) -> Vec<(String, String)> {
        let numbered = self.texts.into_iter().enumerate();
        numbered.map(|(number, text)| (format!("{prefix}{number}"), text.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::example::Kind;
    use crate::example::tests::dataset;

    #[test]
    fn equal_texts_are_one_query_or_document() {
        let data = dataset(&[&["a", "x", "n"], &["b", "x", "y"], &["a", "y", "x"], &["a", "x", "n"]]);
        let retrieval = Retrieval::from_dataset(&data).unwrap();
        let texts = |side: &[(String, String)]| side.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&retrieval.queries), ["a", "b"]);
        assert_eq!(texts(&retrieval.corpus), ["x", "y", "n"]);
        assert_eq!(retrieval.relevant, [vec![(0, 1.0), (1, 1.0)], vec![(0, 1.0)]]);
    }

    #[test]
    fn scored_pairs_are_no_retrieval() {
        let mut data = dataset(&[&["a", "b"]]);
        data.kind = Kind::Scored;
        assert_eq!(Retrieval::from_dataset(&data), None);
    }
}
