//! How close the texts of a pool are to its anchors: by a model, or by words.

use std::ops::Range;

use rayon::prelude::*;
use temper_data::Retrieval;
use temper_data::bm25::Bm25;
use temper_data::mining::{Candidate, Pool};
use temper_eval::Task;
use temper_vectors::{Embeddings, Hit, Similarity, top_k};

use crate::interrupt::Interrupt;
use crate::model::Opened;
use crate::prompt::SidePromptArgs;
use crate::terminal::Terminal;
use crate::vectors::VectorArgs;

/// What says how close texts are.
pub enum Scorer {
    /// A model.
    Vectors(PoolVectors),
    /// The words of its texts.
    Words(Bm25),
}

/// The vectors of a pool's anchors and texts.
pub struct PoolVectors {
    pub anchors: Embeddings,
    pub texts: Embeddings,
    pub similarity: Similarity,
}

/// For one anchor its positives with their scores, and the closest texts.
pub type Scored = (Vec<Candidate>, Vec<Candidate>);

impl PoolVectors {
    /// Those of a model.
    pub fn embed(
        pool: &Pool,
        opened: &Opened,
        prompts: &SidePromptArgs,
        vectors: &VectorArgs,
        interrupt: &Interrupt,
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let prompts = prompts.of(opened, &Task::Retrieval(Retrieval::default()))?;
        let embed = |texts: &[String], prompt: Option<&str>| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            vectors.of(&texts, opened, prompt, interrupt, terminal)
        };
        let texts = embed(&pool.texts, prompts.second.as_deref())?;
        let anchors = embed(&pool.anchors, prompts.first.as_deref())?;
        Ok(Self { anchors, texts, similarity: opened.encoder.contract.similarity })
    }
}

impl Scorer {
    /// The positives and the `depth` closest texts of some anchors.
    pub fn score(&self, pool: &Pool, anchors: Range<usize>, depth: usize) -> Vec<Scored> {
        match self {
            Self::Vectors(PoolVectors { anchors: all, texts, similarity }) => {
                let (all, corpus) = (similarity.prepare(all), similarity.prepare(texts));
                let queries = all.slice(anchors.clone());
                let hits = top_k(&corpus, &queries, depth);
                let candidate = |text, score| Candidate { text, score };
                let scored = |(at, hits): (usize, Vec<Hit>)| {
                    let positives = &pool.positives[anchors.start + at];
                    let positive = |text: &usize| candidate(*text, queries.score(at, &corpus, *text));
                    let closest = hits.into_iter().map(|hit| candidate(hit.row, hit.score));
                    (positives.iter().map(positive).collect(), closest.collect())
                };
                hits.into_iter().enumerate().map(scored).collect()
            }
            Self::Words(index) => anchors
                .into_par_iter()
                .map(|anchor| {
                    let scores = index.scores(&pool.anchors[anchor]);
                    let positive = |text: &usize| Candidate { text: *text, score: scores[*text] };
                    (pool.positives[anchor].iter().map(positive).collect(), Bm25::top_k(&scores, depth))
                })
                .collect(),
        }
    }
}
