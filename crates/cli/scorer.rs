//! How close the texts of a pool are to its anchors: by a model, or by words.

use std::ops::Range;

use rayon::prelude::*;
use temper_data::Retrieval;
use temper_data::bm25::Bm25;
use temper_data::mining::{Candidate, Pool, Scored};
use temper_eval::Task;
use temper_eval::mining::PoolVectors;

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

/// A model's vectors of a pool.
pub fn embed_pool(
    pool: &Pool,
    opened: &Opened,
    prompts: &SidePromptArgs,
    vectors: &VectorArgs,
    interrupt: &Interrupt,
    terminal: &Terminal,
) -> anyhow::Result<PoolVectors> {
    let prompts = prompts.of(opened, &Task::Retrieval(Retrieval::default()))?;
    let embed = |texts: &[String], prompt: Option<&str>| {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        vectors.of(&texts, opened, prompt, interrupt, terminal)
    };
    let texts = embed(&pool.texts, prompts.second.as_deref())?;
    let anchors = embed(&pool.anchors, prompts.first.as_deref())?;
    Ok(PoolVectors { anchors, texts, similarity: opened.encoder.contract.similarity })
}

impl Scorer {
    /// The positives and the `depth` closest texts of some anchors.
    pub fn score(&self, pool: &Pool, anchors: Range<usize>, depth: usize) -> Vec<Scored> {
        match self {
            Self::Vectors(vectors) => vectors.score(pool, anchors, depth),
            Self::Words(index) => anchors
                .into_par_iter()
                .map(|anchor| {
                    let scores = index.scores(&pool.anchors[anchor]);
                    let positive = |text: &usize| Candidate { text: *text, score: scores[*text] };
                    let positives = pool.positives[anchor].iter().map(positive).collect();
                    Scored { positives, closest: Bm25::top_k(&scores, depth) }
                })
                .collect(),
        }
    }
}
