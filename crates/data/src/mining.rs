//! Hard negatives: texts that score high for an anchor and do not belong to it.
//!
//! Reference: sentence-transformers' `mine_hard_negatives`, whose choices these are where both have an option. The rule
//! that drops what scores nearly as high as the positive is that of NV-Retriever (Moreira et al., 2024).

use std::borrow::Borrow;
use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::example::Example;
use crate::random;

/// Anchors that are answered together, between two looks at whether to go on.
const TOGETHER: usize = 256;

/// What is mined: anchors, each once, and the texts that may be their negatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Every anchor once, in order of appearance.
    pub anchors: Vec<String>,
    /// Every text once: those of the corpus, then the positives.
    pub texts: Vec<String>,
    /// For every anchor the places of its positives in [`Pool::texts`], each once.
    pub positives: Vec<Vec<usize>>,
    /// For every anchor its own place there, if it is one of the texts, as in data of duplicate questions.
    pub itself: Vec<Option<usize>>,
}

/// A text and its score for an anchor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its place in [`Pool::texts`].
    pub text: usize,
    /// How close it is; higher is closer.
    pub score: f32,
}

/// What was scored for one anchor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scored {
    /// Its positives.
    pub positives: Vec<Candidate>,
    /// The closest of all texts, closest first; [`Miner::depth`] of them, to choose from.
    pub closest: Vec<Candidate>,
}

/// How negatives are taken from what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Those that score highest.
    #[default]
    Top,
    /// Any of them, by seed.
    Random,
}

/// Which candidates become negatives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Negatives of an anchor.
    pub count: usize,
    /// So many of the closest are skipped.
    pub range_min: usize,
    /// So many of the closest are looked at; enough for `count` when not given, ten times as many when scores limit them.
    pub range_max: Option<usize>,
    /// A negative scores at least so much less than the lowest positive.
    pub absolute_margin: Option<f32>,
    /// The same as a share of that positive's score.
    pub relative_margin: Option<f32>,
    /// A negative scores at most this.
    pub max_score: Option<f32>,
    /// A negative scores at least this.
    pub min_score: Option<f32>,
    /// How they are taken.
    pub sampling: Sampling,
    /// Positives are ranked among the candidates, as data to judge rerankers by has them.
    pub include_positives: bool,
}

/// Candidates that were not taken, by the first rule that they met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// All that were looked at.
    pub candidates: usize,
    /// They belong to the anchor, or are the same text.
    pub own: usize,
    /// Too close to the positive.
    pub absolute_margin: usize,
    /// Too close to the positive, as a share of its score.
    pub relative_margin: usize,
    /// Score too high.
    pub max_score: usize,
    /// Score too low.
    pub min_score: usize,
}

/// What a mining came to, beside the negatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All anchors.
    pub anchors: usize,
    /// Anchors for which the rules left fewer negatives than asked for.
    pub short: usize,
    /// Those of them with none.
    pub none: usize,
    /// Candidates that were not taken.
    pub rejected: Rejected,
}

impl Pool {
    /// The anchors and positives of some examples, and the texts of a corpus.
    pub fn new(
        examples: impl IntoIterator<Item: Borrow<Example>>,
        corpus: impl IntoIterator<Item = String>,
    ) -> Self {
        let (mut texts, mut anchors) = (Distinct::default(), Distinct::default());
        corpus.into_iter().for_each(|text| {
            texts.place(&text);
        });
        let mut positives: Vec<Vec<usize>> = Vec::new();
        for example in examples {
            let example: &Example = example.borrow();
            let anchor = anchors.place(&example.texts[0]);
            positives.resize(anchors.texts.len(), Vec::new());
            let positive = texts.place(&example.texts[1]);
            if !positives[anchor].contains(&positive) {
                positives[anchor].push(positive);
            }
        }
        let itself = anchors.texts.iter().map(|anchor| texts.places.get(anchor).copied()).collect();
        Self { anchors: anchors.texts, texts: texts.texts, positives, itself }
    }

    /// The places of texts that are never an anchor's negatives: its positives, and itself.
    pub fn own(&self, anchor: usize) -> Vec<usize> {
        let mut own = self.positives[anchor].clone();
        own.extend(self.itself[anchor].filter(|place| !own.contains(place)));
        own
    }

    /// Such texts of the anchor that has most.
    fn most_own(&self) -> usize {
        (0..self.anchors.len()).map(|anchor| self.own(anchor).len()).max().unwrap_or(0)
    }

    /// All anchors, some at a time, to be scored together.
    pub fn pieces(&self) -> impl Iterator<Item = Range<usize>> {
        let count = self.anchors.len();
        (0..count).step_by(TOGETHER).map(move |first| first..(first + TOGETHER).min(count))
    }
}

/// Texts in order of appearance, each once.
#[derive(Default)]
struct Distinct {
    places: HashMap<String, usize>,
    texts: Vec<String>,
}

impl Distinct {
    fn place(&mut self, text: &str) -> usize {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        self.places.insert(text.to_owned(), self.texts.len());
        self.texts.push(text.to_owned());
        self.texts.len() - 1
    }
}

impl Rules {
    /// Rules between the options, or what is wrong with them.
    pub fn check(&self) -> Result<(), String> {
        if self.count == 0 {
            return Err("0 negatives are nothing to mine".to_owned());
        }
        if let Some(max) = self.range_max.filter(|max| *max < self.range_min + self.count) {
            return Err(format!(
                "between the closest {} that are skipped and the {max} that are looked at there are not {} negatives",
                self.range_min, self.count
            ));
        }
        let finite = |name: &str, value: Option<f32>| match value.filter(|value| !value.is_finite()) {
            Some(value) => Err(format!("the {name} is {value}, expected a number")),
            None => Ok(()),
        };
        finite("absolute margin", self.absolute_margin)?;
        finite("relative margin", self.relative_margin)?;
        finite("highest score", self.max_score)?;
        finite("lowest score", self.min_score)?;
        match (self.min_score, self.max_score) {
            (Some(min), Some(max)) if min > max => {
                Err(format!("no score is both above {min} and below {max}"))
            }
            _ => Ok(()),
        }
    }

    fn looked_at(&self, most_own: usize) -> usize {
        let limited =
            self.absolute_margin.is_some() || self.relative_margin.is_some() || self.max_score.is_some();
        let spare = if limited { 10 } else { 1 };
        self.range_max.unwrap_or(self.range_min + spare * self.count + most_own)
    }

    /// The scored texts that are too close to be negatives of an anchor.
    pub fn too_close<'a>(&self, scored: &'a Scored) -> impl Iterator<Item = usize> + use<'a> {
        let (absolute, relative) = self.below_positives(scored);
        let limits = [absolute, relative, self.max_score];
        let highest = limits.into_iter().flatten().fold(f32::INFINITY, f32::min);
        let close = scored.closest.iter().filter(move |candidate| candidate.score > highest);
        close.map(|candidate| candidate.text)
    }

    /// The highest scores that the margins leave.
    fn below_positives(&self, scored: &Scored) -> (Option<f32>, Option<f32>) {
        let lowest = scored.positives.iter().map(|positive| positive.score).fold(f32::INFINITY, f32::min);
        let relative = self.relative_margin.map(|margin| lowest - lowest.abs() * margin);
        (self.absolute_margin.map(|margin| lowest - margin), relative)
    }

    /// The candidates that no rule rejects, for an anchor with these texts of its own.
    fn left(&self, scored: &Scored, own: &[usize], rejected: &mut Rejected) -> Vec<Candidate> {
        let above = |limit: Option<f32>, score: f32| limit.is_some_and(|limit| score > limit);
        let (absolute, relative) = self.below_positives(scored);
        rejected.candidates += scored.closest.len();
        let mut left: Vec<Candidate> = Vec::new();
        for candidate in &scored.closest {
            let count = if !self.include_positives && own.contains(&candidate.text) {
                &mut rejected.own
            } else if above(absolute, candidate.score) {
                &mut rejected.absolute_margin
            } else if above(relative, candidate.score) {
                &mut rejected.relative_margin
            } else if above(self.max_score, candidate.score) {
                &mut rejected.max_score
            } else if self.min_score.is_some_and(|limit| candidate.score < limit) {
                &mut rejected.min_score
            } else {
                left.push(*candidate);
                continue;
            };
            *count += 1;
        }
        left
    }
}

/// Chooses the negatives of one anchor after the other.
#[derive(Clone, Debug)]
pub struct Miner<'a> {
    pool: &'a Pool,
    rules: &'a Rules,
    most_own: usize,
    key: u64,
    /// What it came to so far.
    pub tally: Tally,
}

impl<'a> Miner<'a> {
    /// Rules for a pool; `seed` and `step` decide what random sampling takes.
    pub fn new(pool: &'a Pool, rules: &'a Rules, seed: u64, step: u64) -> Self {
        let key = random::key(seed, "mine", step);
        let tally = Tally { anchors: pool.anchors.len(), ..Tally::default() };
        Self { pool, rules, most_own: pool.most_own(), key, tally }
    }

    /// Candidates to find for each anchor.
    pub fn depth(&self) -> usize {
        self.rules.looked_at(self.most_own) + self.most_own
    }

    /// What decides a random choice for an anchor.
    pub fn key(&self, anchor: usize) -> u64 {
        random::uniform_u64(self.key, anchor as u64)
    }

    /// The negatives of an anchor, closest first; fewer than [`Rules::count`] where there are no more.
    pub fn choose(&mut self, anchor: usize, scored: &Scored) -> Vec<Candidate> {
        let rules = self.rules;
        let mut left = rules.left(scored, &self.pool.own(anchor), &mut self.tally.rejected);
        left.truncate(rules.looked_at(self.most_own));
        left.drain(..rules.range_min.min(left.len()));
        if rules.sampling == Sampling::Random {
            let mut taken = random::permutation(self.key(anchor), left.len());
            taken.truncate(rules.count);
            taken.sort_unstable();
            left = taken.into_iter().map(|place| left[place]).collect();
        }
        left.truncate(rules.count);
        self.tally.short += usize::from(left.len() < rules.count);
        self.tally.none += usize::from(left.is_empty());
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::tests::dataset;

    /// The texts chosen for an anchor whose positive is text 1.
    fn chosen(rules: &Rules, seed: u64, scores: &[f32]) -> (Vec<usize>, Rejected) {
        let pool = Pool {
            anchors: vec!["anchor".to_owned()],
            texts: (0..scores.len()).map(|text| format!("text {text}")).collect(),
            positives: vec![vec![1]],
            itself: vec![None],
        };
        let closest: Vec<_> =
            scores.iter().enumerate().map(|(text, score)| Candidate { text, score: *score }).collect();
        let mut miner = Miner::new(&pool, rules, seed, 0);
        let chosen = miner.choose(0, &Scored { positives: vec![closest[1]], closest });
        (chosen.into_iter().map(|candidate| candidate.text).collect(), miner.tally.rejected)
    }

    const SCORES: [f32; 6] = [0.9, 0.8, 0.79, 0.7, 0.5, 0.1];

    #[test]
    fn a_pool_has_every_text_once_and_knows_all_positives_of_an_anchor() {
        let data = dataset(&[&["a", "x"], &["b", "y"], &["a", "y"], &["a", "x"]]);
        let pool = Pool::new(&data.examples, ["z".to_owned(), "y".to_owned(), "z".to_owned()]);
        assert_eq!(pool.anchors, ["a", "b"]);
        assert_eq!(pool.texts, ["z", "y", "x"]);
        assert_eq!(pool.positives, [vec![2, 1], vec![1]]);
        assert_eq!((pool.most_own(), pool.own(0)), (2, vec![2, 1]));
        let questions = Pool::new(dataset(&[&["a", "b"], &["b", "a"]]).examples, []);
        assert_eq!((questions.own(0), questions.most_own()), (vec![0, 1], 2));
    }

    #[test]
    fn the_closest_that_are_no_positives_are_taken() {
        let rules = Rules { count: 2, ..Rules::default() };
        let (texts, rejected) = chosen(&rules, 7, &SCORES);
        assert_eq!(texts, [0, 2]);
        assert_eq!(rejected, Rejected { candidates: 6, own: 1, ..Rejected::default() });
        let (texts, _) = chosen(&Rules { range_min: 1, ..rules.clone() }, 7, &SCORES);
        assert_eq!(texts, [2, 3], "the closest one is skipped");
        let (texts, _) = chosen(&Rules { include_positives: true, ..rules }, 7, &SCORES);
        assert_eq!(texts, [0, 1]);
    }

    #[test]
    fn limits_reject_and_are_counted_by_the_first_that_holds() {
        let rules = Rules {
            count: 9,
            absolute_margin: Some(0.05),
            relative_margin: Some(0.2),
            max_score: Some(0.6),
            min_score: Some(0.2),
            ..Rules::default()
        };
        let (texts, rejected) = chosen(&rules, 7, &SCORES);
        assert_eq!(texts, [4]);
        let expected = Rejected {
            candidates: 6,
            own: 1,
            absolute_margin: 2,
            relative_margin: 1,
            max_score: 0,
            min_score: 1,
        };
        assert_eq!(rejected, expected);
    }

    #[test]
    fn what_is_too_close_is_above_the_lowest_of_the_limits() {
        let closest: Vec<_> =
            SCORES.iter().enumerate().map(|(text, score)| Candidate { text, score: *score }).collect();
        let scored = Scored { positives: vec![closest[1]], closest };
        let too_close = |rules: Rules| rules.too_close(&scored).collect::<Vec<_>>();
        assert_eq!(too_close(Rules { max_score: Some(0.79), ..Rules::default() }), [0, 1]);
        let both = Rules { absolute_margin: Some(0.05), relative_margin: Some(0.2), ..Rules::default() };
        assert_eq!(too_close(both), [0, 1, 2, 3]);
        assert!(too_close(Rules { min_score: Some(0.6), ..Rules::default() }).is_empty());
    }

    #[test]
    fn a_share_of_a_negative_score_lowers_the_limit_too() {
        let rules = Rules { count: 9, relative_margin: Some(0.5), ..Rules::default() };
        assert_eq!(chosen(&rules, 7, &[-0.1, -0.2, -0.25, -0.31, -0.4]).0, [3, 4]);
    }

    #[test]
    fn random_negatives_come_from_those_left_and_repeat_with_the_seed() {
        let rules = Rules { count: 2, range_max: Some(5), sampling: Sampling::Random, ..Rules::default() };
        let (texts, _) = chosen(&rules, 7, &SCORES);
        assert!(texts.len() == 2 && texts[0] < texts[1] && !texts.contains(&1));
        assert_eq!(chosen(&rules, 7, &SCORES).0, texts);
        assert!((0..20).any(|seed| chosen(&rules, seed, &SCORES).0 != texts));
    }

    #[test]
    fn rules_that_leave_nothing_are_refused() {
        for (rules, problem) in [
            (Rules::default(), "nothing to mine"),
            (Rules { count: 3, range_min: 2, range_max: Some(4), ..Rules::default() }, "there are not 3"),
            (Rules { count: 1, min_score: Some(0.9), max_score: Some(0.1), ..Rules::default() }, "no score"),
            (Rules { count: 1, absolute_margin: Some(f32::NAN), ..Rules::default() }, "absolute margin"),
        ] {
            assert!(rules.check().is_err_and(|error| error.contains(problem)), "{rules:?}");
        }
    }

    #[test]
    fn more_candidates_are_looked_at_where_scores_limit_them() {
        let rules = Rules { count: 3, range_min: 2, ..Rules::default() };
        assert_eq!(rules.looked_at(2), 7);
        assert_eq!(Rules { relative_margin: Some(0.1), ..rules }.looked_at(2), 34);
    }
}
