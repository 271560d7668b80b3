//! The closest texts of every anchor by an encoder's vectors, which hard negatives are chosen from.

use std::ops::Range;

use temper_data::mining::{Candidate, Pool, Scored};
use temper_vectors::{Embeddings, Hit, Similarity, top_k};

/// The vectors of a pool's anchors and texts.
#[derive(Debug, Clone)]
pub struct PoolVectors {
    /// One for each of [`Pool::anchors`].
    pub anchors: Embeddings,
    /// One for each of [`Pool::texts`].
    pub texts: Embeddings,
    /// What says how close they are.
    pub similarity: Similarity,
}

impl PoolVectors {
    /// The positives and the `depth` closest texts of some anchors.
    pub fn score(&self, pool: &Pool, anchors: Range<usize>, depth: usize) -> Vec<Scored> {
        let (all, corpus) = (self.similarity.prepare(&self.anchors), self.similarity.prepare(&self.texts));
        let queries = all.slice(anchors.clone());
        let hits = top_k(&corpus, &queries, depth);
        let scored = |(at, hits): (usize, Vec<Hit>)| {
            let score = |text: &usize| Candidate { text: *text, score: queries.score(at, &corpus, *text) };
            Scored {
                positives: pool.positives[anchors.start + at].iter().map(score).collect(),
                closest: hits.into_iter().map(|hit| Candidate { text: hit.row, score: hit.score }).collect(),
            }
        };
        hits.into_iter().enumerate().map(scored).collect()
    }
}
