//! Labelled texts: can their classes be read off the vectors, and do these lie in heaps by class?
//!
//! The reference has no evaluator for either; the classifiers and numbers are those of scikit-learn, the choice of them
//! is that of MTEB (Muennighoff et al. 2022).

use temper_vectors::{Embeddings, Similarity, top_k};

use crate::agreement::{accuracy, macro_f1, v_measure};
use crate::k_means::k_means;
use crate::probe::Probe;
use crate::{Error, Result, Scores, check, check_count};

/// Nearest neighbours that vote.
const NEIGHBOURS: usize = 5;
/// Rows whose neighbours are looked for together.
const BLOCK_ROWS: usize = 256;
/// Where k-means begins.
const SEED: u64 = 42;

/// Vectors with their classes, `classes[i]` of row `i`.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// One vector a text.
    pub vectors: &'a Embeddings,
    /// The number of each text's class.
    pub classes: &'a [usize],
}

impl Labelled<'_> {
    fn check(&self, what: &'static str, dim: usize) -> Result<()> {
        check(what, self.vectors, dim)?;
        check_count("classes", self.vectors.rows(), self.classes.len())?;
        if self.classes.is_empty() { Err(Error::Empty { what: "no labelled texts" }) } else { Ok(()) }
    }
}

/// `knn_accuracy` and `knn_f1` of the vote of the five nearest by cosine, `logistic_accuracy` and `logistic_f1` of a
/// logistic regression, both fitted on `fit`; F1 is the mean of the classes.
pub fn classification_scores(fit: &Labelled<'_>, judged: &Labelled<'_>) -> Result<Scores> {
    fit.check("texts to fit", fit.vectors.dim)?;
    judged.check("texts", fit.vectors.dim)?;
    let count = fit.classes.iter().max().map_or(0, |class| class + 1);
    if fit.classes.iter().all(|class| *class == fit.classes[0]) {
        return Err(Error::Empty { what: "the texts to fit are all of one class" });
    }
    let neighbours = nearest_neighbours(fit, Some(judged.vectors));
    let logistic = Probe::fit(fit.vectors, fit.classes, count).predict(judged.vectors);
    let mut scores = Scores::new();
    for (name, found) in [("knn", neighbours), ("logistic", logistic)] {
        scores.insert(format!("{name}_accuracy"), accuracy(&found, judged.classes));
        scores.insert(format!("{name}_f1"), macro_f1(&found, judged.classes));
    }
    Ok(scores)
}

/// `knn_accuracy` and `knn_f1` of texts that are all judged and all known: the five nearest of the others vote.
pub fn neighbour_scores(judged: &Labelled<'_>) -> Result<Scores> {
    judged.check("texts", judged.vectors.dim)?;
    let found = nearest_neighbours(judged, None);
    let mut scores = Scores::new();
    scores.insert("knn_accuracy".to_owned(), accuracy(&found, judged.classes));
    scores.insert("knn_f1".to_owned(), macro_f1(&found, judged.classes));
    Ok(scores)
}

/// `homogeneity`, `completeness` and `v_measure` of k-means with as many clusters as there are classes.
pub fn clustering_scores(judged: &Labelled<'_>) -> Result<Scores> {
    judged.check("texts", judged.vectors.dim)?;
    let mut classes = judged.classes.to_vec();
    classes.sort_unstable();
    classes.dedup();
    if classes.len() < 2 {
        return Err(Error::Empty { what: "the texts are all of one class" });
    }
    let found = v_measure(&k_means(judged.vectors, classes.len(), SEED), judged.classes);
    let names = ["homogeneity", "completeness", "v_measure"];
    Ok(names.into_iter().map(str::to_owned).zip(found).collect())
}

/// The class that most of the rows nearest to each of `vectors` have; the first of several. Without vectors it is that of
/// the rows themselves, each of which has no vote on its own.
fn nearest_neighbours(fit: &Labelled<'_>, vectors: Option<&Embeddings>) -> Vec<usize> {
    let (own, vectors) = (vectors.is_none(), vectors.unwrap_or(fit.vectors));
    let count = fit.classes.iter().max().map_or(0, |class| class + 1);
    let (corpus, queries) = (Similarity::Cosine.prepare(fit.vectors), Similarity::Cosine.prepare(vectors));
    let mut found = Vec::with_capacity(vectors.rows());
    for start in (0..vectors.rows()).step_by(BLOCK_ROWS) {
        let block = queries.slice(start..(start + BLOCK_ROWS).min(vectors.rows()));
        let nearest = top_k(&corpus, &block, NEIGHBOURS + usize::from(own));
        found.extend((start..).zip(nearest).map(|(row, hits)| {
            let mut votes = vec![0.0f32; count];
            for hit in hits.into_iter().filter(|hit| !(own && hit.row == row)).take(NEIGHBOURS) {
                votes[fit.classes[hit.row]] += 1.0;
            }
            crate::probe::largest(&votes)
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn neighbours_vote_and_ties_go_to_the_first_class() {
        let vectors = Embeddings::from_rows(&[[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]).unwrap();
        let fit = Labelled { vectors: &vectors, classes: &[1, 1, 0, 0] };
        let asked = Embeddings::from_rows(&[[1.0, 0.0]]).unwrap();
        assert_eq!(nearest_neighbours(&fit, Some(&asked)), [0], "two votes each");
        let fit = Labelled { vectors: &vectors, classes: &[1, 1, 1, 0] };
        assert_eq!(nearest_neighbours(&fit, Some(&asked)), [1]);
    }

    #[test]
    fn one_class_alone_is_refused_and_so_are_rows_without_one() {
        let vectors = Embeddings::from_rows(&[[1.0], [2.0]]).unwrap();
        let of = |classes| Labelled { vectors: &vectors, classes };
        assert!(matches!(clustering_scores(&of(&[1, 1])), Err(Error::Empty { .. })));
        assert!(matches!(classification_scores(&of(&[1, 1]), &of(&[0, 1])), Err(Error::Empty { .. })));
        assert!(matches!(classification_scores(&of(&[0, 1]), &of(&[0])), Err(Error::Count { .. })));
    }
}
