//! Hard negatives that are mined again and again while training, with the weights of that moment.
//!
//! Before the first epoch, and before every `every_epochs`th behind it, all anchors and positives are embedded, and each
//! anchor gets the closest texts that do not belong to it, by the rules of `temper mine`. They are part of every
//! checkpoint, so that a resumed run goes on with the same ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use temper_data::mining::{Miner, Pool, Rejected, Rules, Sampling, Tally};
use temper_data::{Examples, Kind, random};
use temper_encoder::Encoder;
use temper_eval::Prompts;
use temper_eval::mining::PoolVectors;
use temper_vectors::Embeddings;

use crate::error::Error;

/// Texts that are embedded between two looks at what the person wants.
const TOGETHER: usize = 2048;

/// When and how negatives are mined. Where the limits leave an anchor too few, others are drawn: none of those that were
/// looked at and are too close, but their own scores are not asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MineConfig {
    /// Epochs from one mining to the next.
    pub every_epochs: u64,
    /// Negatives of every anchor.
    pub num_negatives: usize,
    /// Skip so many of the closest texts.
    pub range_min: usize,
    /// Look at so many of the closest texts; as many as are needed when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_max: Option<usize>,
    /// A negative scores at least so much less than the anchor's lowest positive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absolute_margin: Option<f32>,
    /// The same as a share of that positive's score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_margin: Option<f32>,
    /// A negative scores at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_score: Option<f32>,
    /// A negative scores at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_score: Option<f32>,
    /// Which of the texts that are left become negatives; `random` by the run's seed.
    pub sampling: Sampling,
}

impl Default for MineConfig {
    fn default() -> Self {
        Self {
            every_epochs: 1,
            num_negatives: 1,
            range_min: 0,
            range_max: None,
            absolute_margin: None,
            relative_margin: None,
            max_score: None,
            min_score: None,
            sampling: Sampling::Top,
        }
    }
}

impl MineConfig {
    /// Which candidates become negatives.
    pub fn rules(&self) -> Rules {
        Rules {
            count: self.num_negatives,
            range_min: self.range_min,
            range_max: self.range_max,
            absolute_margin: self.absolute_margin,
            relative_margin: self.relative_margin,
            max_score: self.max_score,
            min_score: self.min_score,
            sampling: self.sampling,
            include_positives: false,
        }
    }

    /// Rules between the keys.
    pub fn check(&self) -> Result<(), String> {
        if self.every_epochs == 0 {
            return Err("`mine.every_epochs` is 0, expected 1 or more".to_owned());
        }
        self.rules().check().map_err(|problem| format!("`[mine]`: {problem}"))
    }

    /// What is learned from: pairs with negatives. Data that have their own are refused, which would not be looked at.
    pub fn kind(&self, kind: Kind) -> Result<Kind, String> {
        if kind == Kind::Pairs {
            return Ok(Kind::Triplets { negatives: self.num_negatives });
        }
        Err(format!(
            "[mine] finds negatives for pairs, but the data has {}; remove the section, or map only anchor and positive \
             in [data.columns]",
            kind.name()
        ))
    }
}

/// The negatives of every example, as examples whose positives they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negatives {
    /// Negatives of an example.
    pub count: usize,
    /// `[examples, count]`.
    pub examples: Vec<u32>,
}

impl Negatives {
    /// The examples whose positives are the negatives of this one.
    pub fn of(&self, example: usize) -> impl Iterator<Item = usize> + '_ {
        self.examples[example * self.count..][..self.count].iter().map(|index| *index as usize)
    }
}

/// How many candidates each rule rejected.
pub(crate) fn by_rule(rejected: &Rejected) -> BTreeMap<String, usize> {
    let Rejected { candidates: _, own, absolute_margin, relative_margin, max_score, min_score } = *rejected;
    let rules = [
        ("own", own),
        ("absolute_margin", absolute_margin),
        ("relative_margin", relative_margin),
        ("max_score", max_score),
        ("min_score", min_score),
    ];
    rules.into_iter().filter(|(_, count)| *count > 0).map(|(rule, count)| (rule.to_owned(), count)).collect()
}

/// What was chosen: for every anchor the places of its negatives in the pool.
struct Choice {
    places: Vec<Vec<usize>>,
    tally: Tally,
}

/// Who asks for negatives, and when.
pub(crate) struct Mining<'a> {
    pub(crate) config: &'a MineConfig,
    pub(crate) examples: &'a Examples,
    pub(crate) prompts: Prompts,
    pub(crate) seed: u64,
    pub(crate) step: u64,
}

impl Mining<'_> {
    /// Mines with this encoder. `go_on` is told how many of how many texts and anchors are done; nothing comes of a mining
    /// that it ends.
    pub(crate) fn run(
        &self,
        encoder: &Encoder,
        go_on: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<(Negatives, Tally)>, Error> {
        let pool = self.pool()?;
        let [texts, anchors] = [&pool.texts, &pool.anchors];
        let [some, all] = [texts.len(), texts.len() + anchors.len()];
        let work = all + anchors.len();
        let Prompts { first, second } = &self.prompts;
        let texts = embed(encoder, texts, second.as_deref(), &mut |done| go_on(done, work))?;
        let Some(texts) = texts else { return Ok(None) };
        let anchors = embed(encoder, anchors, first.as_deref(), &mut |done| go_on(some + done, work))?;
        let Some(anchors) = anchors else { return Ok(None) };
        let vectors = PoolVectors { anchors, texts, similarity: encoder.contract.similarity };
        let chosen = self.choose(&pool, &vectors, &mut |done| go_on(all + done, work))?;
        Ok(chosen.map(|chosen| (self.negatives(&chosen.places), chosen.tally)))
    }

    /// Anchors and positives, each once, in the order of the examples.
    fn pool(&self) -> Result<Pool, Error> {
        let mut failed = None;
        let examples = (0..self.examples.len())
            .map_while(|index| self.examples.get(index).map_err(|error| failed = Some(error)).ok());
        let pool = Pool::new(examples, []);
        failed.map_or(Ok(pool), |error| Err(error.into()))
    }

    /// The places of every anchor's negatives in the pool.
    fn choose(
        &self,
        pool: &Pool,
        vectors: &PoolVectors,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<Choice>, Error> {
        let rules = self.config.rules();
        let mut miner = Miner::new(pool, &rules, self.seed, self.step);
        let mut places = Vec::with_capacity(pool.anchors.len());
        for anchors in pool.pieces() {
            if !go_on(anchors.start) {
                return Ok(None);
            }
            let scored = vectors.score(pool, anchors.clone(), miner.depth());
            for (anchor, scored) in anchors.zip(scored) {
                let chosen = miner.choose(anchor, &scored);
                let mut chosen: Vec<usize> = chosen.into_iter().map(|candidate| candidate.text).collect();
                let mut barred: Vec<usize> =
                    pool.own(anchor).into_iter().chain(rules.too_close(&scored)).collect();
                barred.sort_unstable();
                barred.dedup();
                fill_up(&mut chosen, &barred, &rules, pool.texts.len(), miner.key(anchor))?;
                places.push(chosen);
            }
        }
        Ok(Some(Choice { places, tally: miner.tally }))
    }

    /// From places in the pool to examples.
    fn negatives(&self, places: &[Vec<usize>]) -> Negatives {
        let texts = self.examples.texts();
        // In the order of the pool: texts as they appear.
        let mut first_with: Vec<u32> = Vec::new();
        let mut anchor_of = vec![usize::MAX; texts.distinct()];
        let mut met = vec![false; texts.distinct()];
        let mut anchors = 0;
        let of_example: Vec<usize> = (0..texts.len())
            .map(|index| {
                let [anchor, positive] = [0, 1].map(|column| texts.example(index)[column] as usize);
                if !std::mem::replace(&mut met[positive], true) {
                    first_with.push(index as u32);
                }
                if anchor_of[anchor] == usize::MAX {
                    anchor_of[anchor] = anchors;
                    anchors += 1;
                }
                anchor_of[anchor]
            })
            .collect();
        let examples = of_example.iter().flat_map(|anchor| &places[*anchor]).map(|place| first_with[*place]);
        Negatives { count: self.config.num_negatives, examples: examples.collect() }
    }
}

/// The vectors of some texts; none when `go_on` has enough.
fn embed(
    encoder: &Encoder,
    texts: &[String],
    prompt: Option<&str>,
    go_on: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Embeddings>, Error> {
    let mut vectors = Embeddings::new(encoder.contract.dim());
    for texts in texts.chunks(TOGETHER) {
        if !go_on(vectors.rows()) {
            return Ok(None);
        }
        let some = encoder.embed(texts, prompt, &mut |_| ())?;
        vectors.values.extend_from_slice(&some.values);
    }
    Ok(Some(vectors))
}

/// Draws texts, by `key`, for an anchor to which the rules left too few; none that is barred.
fn fill_up(
    chosen: &mut Vec<usize>,
    barred: &[usize],
    rules: &Rules,
    texts: usize,
    key: u64,
) -> Result<(), Error> {
    let drawn = (random::uniform_u64(key, u64::MAX) % texts.max(1) as u64) as usize;
    let mut others = (drawn..texts).chain(0..drawn).filter(|place| !barred.contains(place));
    while chosen.len() < rules.count {
        let next = others.next().ok_or_else(|| {
            Error::Plan(format!(
                "of {texts} texts {} are an anchor's own or closer to it than [mine] allows, and there are not {} others \
                 to be its negatives; lower mine.num_negatives, loosen the limits of [mine], or give more data",
                barred.len(),
                rules.count
            ))
        })?;
        if !chosen.contains(&next) {
            chosen.push(next);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_anchor_that_is_short_gets_others_that_are_not_its_own() {
        let rules = Rules { count: 3, ..Rules::default() };
        for key in 0..50 {
            let mut chosen = vec![4];
            fill_up(&mut chosen, &[0, 2], &rules, 6, key).unwrap();
            chosen.sort_unstable();
            assert!(chosen.len() == 3 && !chosen.contains(&0) && !chosen.contains(&2), "{chosen:?}");
            chosen.dedup();
            assert_eq!(chosen.len(), 3);
        }
        let message = fill_up(&mut vec![], &[0, 2], &rules, 4, 7).unwrap_err().to_string();
        assert!(message.contains("there are not 3 others"), "{message}");
    }

    #[test]
    fn what_leaves_nothing_is_refused() {
        for (config, problem) in [
            (MineConfig { every_epochs: 0, ..MineConfig::default() }, "every_epochs"),
            (MineConfig { num_negatives: 0, ..MineConfig::default() }, "`[mine]`: 0 negatives"),
        ] {
            assert!(config.check().is_err_and(|error| error.contains(problem)));
        }
        assert_eq!(MineConfig::default().kind(Kind::Pairs), Ok(Kind::Triplets { negatives: 1 }));
        let own = MineConfig::default().kind(Kind::Triplets { negatives: 1 });
        assert!(own.is_err_and(|error| error.contains("the data has triplets; remove the section")));
        assert!(MineConfig::default().kind(Kind::Scored).is_err_and(|error| error.contains("scored pairs")));
    }
}
