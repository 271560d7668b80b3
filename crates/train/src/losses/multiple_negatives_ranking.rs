//! Multiple negatives ranking, also known as InfoNCE with in-batch negatives (Henderson et al., 2017; van den Oord
//! et al., 2018).
//!
//! `mean_i -log softmax_j(scale * s(anchor_i, candidate_j))[i]`, where the candidates are all positives of the batch,
//! then all negatives. Columns: anchor, positive, any number of negatives; no labels. Reference:
//! sentence-transformers' `MultipleNegativesRankingLoss`.
//!
//! More directions add candidates: `doc_to_query` the other anchors for each positive, `query_to_query` the other
//! anchors for each anchor, `doc_to_doc` the texts of other rows for each positive. Partitioned `per_direction` each has
//! a softmax of its own, with the pair as the right answer, and the mean of their losses counts (Guenther et al., 2023,
//! Jina embeddings 2); `joint` all are in one (all four: Li et al., 2023, GTE). Hardness adds `strength * s`, through
//! which no gradient flows, to the scores of negatives, so that near ones weigh more (Lan et al., 2025, LLaVE).
//!
//! Without in-batch negatives the candidates of an anchor are its own positive and negatives: the mean of the losses of
//! single rows.

use std::collections::{BTreeSet, HashMap};

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use temper_data::Kind;
use temper_kernels::{normalize, ranking_loss};

use super::{EXCLUDED, LossInput, Objective, in_batch, mask, needs_own_negatives, needs_pairs_or_triplets};

/// Settings of the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct MultipleNegativesRanking {
    /// Factor on similarities: the inverse temperature.
    pub scale: f64,
    /// What is ranked for what; [`Direction::QueryToDoc`] is among them.
    pub directions: Vec<Direction>,
    /// Whether the directions share a softmax.
    pub partition: Partition,
    /// Which negatives weigh more the nearer they are, and how much.
    pub hardness: Option<(Hardness, f64)>,
    /// A candidate whose text equals a positive of the anchor's text is no negative of it.
    pub mask_duplicates: bool,
    /// How anchors and candidates are compared.
    pub similarity: ScoreFunction,
    /// Whether documents of other rows are negatives; without them the only direction is [`Direction::QueryToDoc`].
    pub in_batch_negatives: bool,
}

/// How anchors and candidates are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreFunction {
    /// The cosine.
    #[default]
    Cosine,
    /// The dot product.
    Dot,
}

/// Which texts are candidates for which. Anchors are queries, positives and negatives documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Documents for each anchor.
    QueryToDoc,
    /// Other anchors for each anchor.
    QueryToQuery,
    /// Anchors for each positive.
    DocToQuery,
    /// Documents of other rows for each positive.
    DocToDoc,
}

/// Whether the candidates of all directions compete with each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partition {
    /// In one softmax.
    #[default]
    Joint,
    /// Each direction in its own.
    PerDirection,
}

/// Which negatives weigh more the nearer they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hardness {
    /// Documents of other rows.
    InBatchNegatives,
    /// A row's own negatives.
    HardNegatives,
    /// Both.
    AllNegatives,
}

/// A batch as the general form sees it.
struct Texts<'a> {
    queries: Tensor<2>,
    positives: Tensor<2>,
    /// Positives, then negatives.
    documents: Tensor<2>,
    query_ids: &'a [u64],
    document_ids: &'a [Vec<u64>],
}

impl MultipleNegativesRanking {
    /// # Shapes
    /// - columns: `[batch, dim]` each: anchor, positive, negatives
    /// - text_ids: `[columns][batch]`, equal exactly where texts are equal
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>, text_ids: &[Vec<u64>]) -> Tensor<1> {
        let mut columns = columns.into_iter().map(|c| match self.similarity {
            ScoreFunction::Cosine => normalize(c),
            ScoreFunction::Dot => c,
        });
        let queries = columns.next().expect("this is a bug: no anchor column");
        let documents: Vec<_> = columns.collect();
        let positives = documents[0].clone();
        let documents = Tensor::cat(documents, 0);
        let texts =
            Texts { queries, positives, documents, query_ids: &text_ids[0], document_ids: &text_ids[1..] };
        if !self.in_batch_negatives {
            return self.own_documents(&texts);
        }
        // These two are a kernel of their own, which never holds all scores.
        match (self.directions.as_slice(), self.partition, self.hardness) {
            ([Direction::QueryToDoc], _, None) => self.documents_of_queries(&texts),
            (
                [Direction::QueryToDoc, Direction::DocToQuery]
                | [Direction::DocToQuery, Direction::QueryToDoc],
                Partition::PerDirection,
                None,
            ) => (self.documents_of_queries(&texts) + self.queries_of_documents(&texts)).div_scalar(2.0),
            _ => self.general(&texts),
        }
    }

    fn documents_of_queries(&self, texts: &Texts<'_>) -> Tensor<1> {
        let excluded = self.excluded(texts.query_ids, texts.document_ids);
        ranking_loss(texts.queries.clone(), texts.documents.clone(), self.scale, excluded)
    }

    fn queries_of_documents(&self, texts: &Texts<'_>) -> Tensor<1> {
        let query_ids = [texts.query_ids.to_vec()];
        let excluded = self.excluded(&texts.document_ids[0], &query_ids);
        ranking_loss(texts.positives.clone(), texts.queries.clone(), self.scale, excluded)
    }

    /// Each row by itself.
    fn own_documents(&self, texts: &Texts<'_>) -> Tensor<1> {
        let batch = texts.query_ids.len();
        let documents = texts.documents.clone().chunk(texts.document_ids.len(), 0).into_iter();
        let similarities = documents.map(|document| (texts.queries.clone() * document).sum_dim(1));
        let similarities: Tensor<2> = Tensor::cat(similarities.collect(), 1);
        let (shape, device) = (similarities.dims(), similarities.device());
        let mut scores = similarities.clone().mul_scalar(self.scale);
        if let Some((_, strength)) = self.hardness {
            let negatives = mask(shape, |_, j| if j > 0 { strength as f32 } else { 0.0 }, &device);
            scores = scores + similarities.detach() * negatives;
        }
        let excluded: BTreeSet<_> = self.excluded(texts.query_ids, texts.document_ids).into_iter().collect();
        let left_out =
            |i: usize, j: usize| if excluded.contains(&(i, j * batch + i)) { EXCLUDED } else { 0.0 };
        let scores = scores + mask(shape, left_out, &device);
        (log_sum_exp(scores.clone()) - scores.narrow(1, 0, 1)).mean()
    }

    fn excluded(&self, rows: &[u64], candidates: &[Vec<u64>]) -> Vec<(usize, usize)> {
        if self.mask_duplicates { duplicates(rows, candidates) } else { Vec::new() }
    }

    /// Any directions, with all scores at once.
    fn general(&self, texts: &Texts<'_>) -> Tensor<1> {
        let device = texts.queries.device();
        let batch = texts.query_ids.len();
        let scores = self.directions.iter().map(|direction| {
            let (rows, candidates) = match direction {
                Direction::QueryToDoc => (&texts.queries, &texts.documents),
                Direction::QueryToQuery => (&texts.queries, &texts.queries),
                Direction::DocToQuery => (&texts.positives, &texts.queries),
                Direction::DocToDoc => (&texts.positives, &texts.documents),
            };
            let similarities = rows.clone().matmul(candidates.clone().transpose());
            let shape = similarities.dims();
            let mut scores = similarities.clone().mul_scalar(self.scale);
            if let (Direction::QueryToDoc, Some((hardness, strength))) = (direction, self.hardness) {
                let weighs =
                    |i: usize, j: usize| if hardness.counts(i, j, batch) { strength as f32 } else { 0.0 };
                scores = scores + similarities.detach() * mask(shape, weighs, &device);
            }
            let left_out = self.left_out(*direction, texts);
            scores + mask(shape, |i, j| if left_out.contains(&(i, j)) { EXCLUDED } else { 0.0 }, &device)
        });
        let scores: Vec<Tensor<2>> = scores.collect();
        let right = self.directions.iter().position(|d| *d == Direction::QueryToDoc);
        let right = scores[right.expect("this is a bug: the pair is in no direction")].clone();
        let own = mask(right.dims(), |i, j| f32::from(u8::from(i == j)), &device);
        let right = (right * own).sum_dim(1);
        let sums = match self.partition {
            Partition::Joint => log_sum_exp(Tensor::cat(scores, 1)),
            Partition::PerDirection => {
                let count = scores.len() as f64;
                let sums = scores.into_iter().map(log_sum_exp).reduce(|a, b| a + b);
                sums.expect("this is a bug: no direction").div_scalar(count)
            }
        };
        (sums - right).mean()
    }

    /// The (row, candidate) that do not compete: duplicates of a right answer, and what belongs to the row itself where it
    /// is not the answer.
    fn left_out(&self, direction: Direction, texts: &Texts<'_>) -> BTreeSet<(usize, usize)> {
        let batch = texts.query_ids.len();
        let rows = 0..batch;
        let query_ids = [texts.query_ids.to_vec()];
        let same = |a: &[u64], b: &[u64]| -> Vec<(usize, usize)> {
            if !self.mask_duplicates {
                return Vec::new();
            }
            let of_row = |i: usize| (0..b.len()).filter(move |j| a[i] == b[*j]).map(move |j| (i, j));
            (0..a.len()).flat_map(of_row).collect()
        };
        let documents: Vec<u64> = texts.document_ids.concat();
        match direction {
            Direction::QueryToDoc => self.excluded(texts.query_ids, texts.document_ids).into_iter().collect(),
            Direction::DocToQuery => self.excluded(&texts.document_ids[0], &query_ids).into_iter().collect(),
            Direction::QueryToQuery => {
                rows.map(|i| (i, i)).chain(same(texts.query_ids, texts.query_ids)).collect()
            }
            Direction::DocToDoc => {
                let own = |i: usize| (i..documents.len()).step_by(batch).map(move |j| (i, j));
                rows.flat_map(own).chain(same(&texts.document_ids[0], &documents)).collect()
            }
        }
    }
}

impl Hardness {
    /// Whether candidate `j` of row `i` weighs more the nearer it is; of `batch` rows, candidates are all positives,
    /// then all negatives.
    fn counts(self, i: usize, j: usize, batch: usize) -> bool {
        let (of_row, positive) = (j % batch == i, j < batch);
        match self {
            Self::InBatchNegatives => !of_row,
            Self::HardNegatives => of_row && !positive,
            Self::AllNegatives => !(of_row && positive),
        }
    }
}

/// `log(sum_j exp(x_ij))`, `[rows, 1]`.
pub(super) fn log_sum_exp(x: Tensor<2>) -> Tensor<2> {
    let largest = x.clone().max_dim(1).detach();
    (x - largest.clone()).exp().sum_dim(1).log() + largest
}

/// The (row, candidate) of duplicates of a right answer: a row's own, or that of a row with the same text.
fn duplicates(rows: &[u64], candidates: &[Vec<u64>]) -> Vec<(usize, usize)> {
    let mut answers: HashMap<u64, BTreeSet<u64>> = HashMap::new();
    for (row, answer) in rows.iter().zip(&candidates[0]) {
        answers.entry(*row).or_default().insert(*answer);
    }
    let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
    for (place, text) in candidates.iter().flatten().enumerate() {
        places.entry(*text).or_default().push(place);
    }
    let repeated = |i: usize| answers[&rows[i]].iter().flat_map(|answer| &places[answer]);
    (0..rows.len()).flat_map(|i| repeated(i).filter(move |j| **j != i).map(move |j| (i, *j))).collect()
}

impl Objective for MultipleNegativesRanking {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs_pairs_or_triplets(kind)?;
        needs_own_negatives(self.in_batch_negatives, kind)
    }

    fn negatives_per_anchor(&self, batch: usize, kind: Kind) -> Option<usize> {
        Some(in_batch(if self.in_batch_negatives { batch } else { 1 }, kind))
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.forward(input.columns, &input.text_ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_repeats_nothing_is_excluded() {
        assert_eq!(duplicates(&[1, 2], &[vec![3, 4], vec![5, 5]]), []);
    }

    #[test]
    fn an_equal_positive_is_no_negative() {
        assert_eq!(duplicates(&[1, 2, 3], &[vec![7, 8, 7]]), [(0, 2), (2, 0)]);
    }

    #[test]
    fn an_equal_negative_is_none() {
        assert_eq!(duplicates(&[1, 2], &[vec![7, 8], vec![8, 9]]), [(1, 2)]);
    }

    #[test]
    fn the_positive_of_an_equal_anchor_is_no_negative() {
        assert_eq!(duplicates(&[1, 1], &[vec![7, 8]]), [(0, 1), (1, 0)]);
    }
}
