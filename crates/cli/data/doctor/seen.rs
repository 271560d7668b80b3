//! What a model shows of the examples: lengths in tokens, where positives rank, and texts of other examples that are closer.

use std::collections::HashMap;
use std::ops::Range;

use temper_data::doctor::{Check, Finding, in_batch};
use temper_data::mining::Pool;
use temper_data::{Dataset, Retrieval};
use temper_eval::Task;
use temper_vectors::{Prepared, standings};

use super::{Args, SHOWN};
use crate::interrupt::Interrupt;
use crate::model::Opened;
use crate::scorer::embed_pool;
use crate::table::shorten;
use crate::terminal::Terminal;

/// Texts whose tokens are counted together.
const COUNTED: usize = 4096;
/// Share of the positives that are closer from which one is weak, and how many that are at least; the rank of a wrong
/// positive is any with the same probability, so 95 % of them are told.
const WEAK: f64 = 0.05;
const WEAK_AT_LEAST: usize = 10;

/// What a model showed.
pub struct Seen {
    /// Tokens that it takes.
    pub longest: usize,
    /// For every column the tokens of each text, before truncation.
    pub tokens: Vec<Vec<usize>>,
    /// Where the positives rank; none for scored pairs, which have no positives.
    pub ranked: Option<Ranked>,
}

impl Seen {
    /// The share of a column's texts that are longer than the model takes.
    pub fn truncated(&self, column: usize) -> f64 {
        let tokens = &self.tokens[column];
        tokens.iter().filter(|tokens| **tokens > self.longest).count() as f64 / tokens.len().max(1) as f64
    }
}

/// Where positives stand among the positives of all examples; one number a pair, each pair once.
#[derive(Default)]
pub struct Ranked {
    /// 1 for a positive that is the closest.
    pub ranks: Vec<usize>,
    /// The score of each positive.
    pub scores: Vec<f32>,
    /// The rank from which a positive is weak, and the share of the anchors that meet a false negative in a batch.
    pub weak: usize,
    pub in_batch: f64,
}

/// Looks with a model; findings are added.
pub fn look(
    dataset: &Dataset,
    opened: &Opened,
    args: &Args,
    interrupt: &Interrupt,
    terminal: &Terminal,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<Seen> {
    let longest = opened.encoder.contract.max_seq_length;
    let tokens = count_tokens(dataset, opened, args, interrupt, terminal)?;
    for (role, lengths) in dataset.kind.roles().iter().zip(&tokens) {
        let long = lengths.iter().enumerate().filter(|(_, length)| **length > longest);
        findings.extend(long.map(|(example, length)| {
            let why = format!("its {role} has {length} tokens, the model takes {longest}");
            Finding { check: Check::Truncated, example, why }
        }));
    }
    if !dataset.kind.has_positives() {
        return Ok(Seen { longest, tokens, ranked: None });
    }
    let pool = Pool::new(&dataset.examples, []);
    let vectors = embed_pool(&pool, opened, &args.prompts, &args.vectors, interrupt, terminal)?;
    let look = Look {
        dataset,
        places: Places::of(dataset, &pool),
        pool: &pool,
        anchors: vectors.similarity.prepare(&vectors.anchors),
        texts: vectors.similarity.prepare(&vectors.texts),
        args,
    };
    let bar = terminal.progress("looking", Some(pool.anchors.len()));
    let weak = args.rank.unwrap_or(((WEAK * pool.texts.len() as f64) as usize).max(WEAK_AT_LEAST));
    let mut ranked = Ranked { weak, ..Ranked::default() };
    for anchors in pool.pieces() {
        interrupt.check()?;
        bar.inc(anchors.len() as u64);
        look.suspects(anchors, &mut ranked, findings);
    }
    bar.finish_and_clear();
    ranked.in_batch /= ranked.ranks.len().max(1) as f64;
    Ok(Seen { longest, tokens, ranked: Some(ranked) })
}

/// A piece at a time: tokens with their offsets take a hundred times the memory of their number.
fn count_tokens(
    dataset: &Dataset,
    opened: &Opened,
    args: &Args,
    interrupt: &Interrupt,
    terminal: &Terminal,
) -> anyhow::Result<Vec<Vec<usize>>> {
    let prompts = args.prompts.of(opened, &Task::Retrieval(Retrieval::default()))?;
    let columns = dataset.kind.columns();
    let bar = terminal.progress("counting tokens", Some(columns * dataset.len()));
    let mut tokens = vec![Vec::with_capacity(dataset.len()); columns];
    for (column, tokens) in tokens.iter_mut().enumerate() {
        let prompt = if column == 0 { &prompts.first } else { &prompts.second };
        for examples in dataset.examples.chunks(COUNTED) {
            interrupt.check()?;
            let texts: Vec<&str> = examples.iter().map(|example| example.texts[column].as_str()).collect();
            tokens.extend(opened.encoder.tokenizer().lengths(&texts, prompt.as_deref())?);
            bar.inc(texts.len() as u64);
        }
    }
    bar.finish_and_clear();
    Ok(tokens)
}

/// Where the texts of a pool stand in the data.
struct Places<'a> {
    /// The first example of each pair.
    pairs: HashMap<(&'a str, &'a str), usize>,
    /// For each text of the pool the first example whose positive it is, and how many there are.
    texts: Vec<usize>,
    rows: Vec<u32>,
}

impl<'a> Places<'a> {
    fn of(dataset: &'a Dataset, pool: &Pool) -> Self {
        let numbers: HashMap<&str, usize> =
            pool.texts.iter().enumerate().map(|(number, text)| (text.as_str(), number)).collect();
        let mut pairs = HashMap::with_capacity(dataset.len());
        let (mut texts, mut rows) = (vec![0; pool.texts.len()], vec![0; pool.texts.len()]);
        for (index, example) in dataset.examples.iter().enumerate().rev() {
            let (anchor, positive) = (example.texts[0].as_str(), example.texts[1].as_str());
            pairs.insert((anchor, positive), index);
            let number = numbers[positive];
            texts[number] = index;
            rows[number] += 1;
        }
        Self { pairs, texts, rows }
    }
}

/// Pairs, where their texts stand, and the vectors of all.
struct Look<'a> {
    dataset: &'a Dataset,
    pool: &'a Pool,
    places: Places<'a>,
    anchors: Prepared<'a>,
    texts: Prepared<'a>,
    args: &'a Args,
}

impl Look<'_> {
    /// Weak positives of some anchors, and texts of other examples that are closer than their positives.
    fn suspects(&self, anchors: Range<usize>, ranked: &mut Ranked, findings: &mut Vec<Finding>) {
        let (pool, margin) = (self.pool, self.args.margin);
        let queries = self.anchors.slice(anchors.clone());
        let own: Vec<Vec<usize>> = anchors.clone().map(|anchor| pool.own(anchor)).collect();
        // Two for each positive: its own score, and that less the margin.
        let thresholds: Vec<Vec<f32>> = anchors
            .clone()
            .enumerate()
            .map(|(at, anchor)| {
                let scores = pool.positives[anchor].iter().map(|text| queries.score(at, &self.texts, *text));
                scores.flat_map(|score| [score, score - margin]).collect()
            })
            .collect();
        let deep = 1 + own.iter().map(Vec::len).max().unwrap_or(0);
        let standings = standings(&self.texts, &queries, deep, &thresholds, &self.places.rows);
        for (at, (anchor, standing)) in anchors.zip(standings).enumerate() {
            let others = |number: usize| {
                let (threshold, above) = (thresholds[at][number], standing.above[number]);
                let is_above = |text: &&usize| queries.score(at, &self.texts, **text) > threshold;
                let own = own[at].iter().filter(is_above).map(|text| (1, u64::from(self.places.rows[*text])));
                own.fold((above.rows, above.weight), |(texts, rows), own| (texts - own.0, rows - own.1))
            };
            let nearest = standing.closest.iter().find(|hit| !own[at].contains(&hit.row));
            for (number, text) in pool.positives[anchor].iter().enumerate() {
                let score = thresholds[at][2 * number];
                let (closer, _) = others(2 * number);
                let (texts, rows) = others(2 * number + 1);
                ranked.ranks.push(closer as usize + 1);
                ranked.scores.push(score);
                ranked.in_batch += in_batch(rows as usize, self.dataset.len(), self.args.batch_size);
                let Some(nearest) = nearest.filter(|_| texts > 0) else { continue };
                let (check, closer) = if closer >= ranked.weak as u64 {
                    (Check::WeakPositive, closer)
                } else {
                    (Check::FalseNegative, texts)
                };
                let rows = if texts == rows { String::new() } else { format!(" in {rows} examples") };
                let why = format!(
                    "{closer} texts{rows} are closer; it has {score:.3}, {:.3} has {:?} at {}",
                    nearest.score,
                    shorten(&pool.texts[nearest.row], SHOWN),
                    self.dataset.place(self.places.texts[nearest.row])
                );
                let example = self.places.pairs[&(pool.anchors[anchor].as_str(), pool.texts[*text].as_str())];
                findings.push(Finding { check, example, why });
            }
        }
    }
}
