//! Which examples each optimizer step sees, and their tokens, made ahead on a thread of their own.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use burn::tensor::TensorData;
use temper_data::{BatchSampler, Example, Examples, batch_count, epoch_batches, random};
use temper_encoder::{Encoder, PackedBatch};

use crate::config::Config;
use crate::error::Error;
use crate::learner::{Part, Tower};
use crate::losses::Objective;
use crate::mining::Negatives;
use crate::prepare::Prepared;

/// Steps that may be tokenized ahead.
const AHEAD: usize = 4;

/// The order of examples over a whole run, a pure function of config and data.
#[derive(Debug, Clone)]
pub struct StepOrder<'a> {
    datasets: Vec<&'a Examples>,
    config: &'a Config,
    /// How many batches of each set there are, by epoch.
    batches: Vec<Vec<usize>>,
    /// First step of each epoch, and behind them the end of the last one, which `max_steps` may not reach.
    epoch_starts: Vec<u64>,
    total_steps: u64,
}

/// The examples of one forward pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The set that they belong to.
    pub set: usize,
    /// Their indices in it.
    pub examples: Vec<usize>,
}

/// One batch of a loss: all its texts, packed, column after column.
#[derive(Debug)]
pub struct MicroBatch {
    /// Which examples.
    pub chosen: Chosen,
    /// All texts: anchors, then positives, then negatives; in one forward pass of each encoder, or cut into several.
    pub passes: Vec<Part>,
    /// One label an example, or a teacher's scores of its texts, where the data has them.
    pub labels: Vec<f32>,
    /// Equal exactly where texts are equal, `[columns][batch]`.
    pub text_ids: Vec<Vec<u64>>,
    /// What the loss's guide or teacher makes of each column, `[batch, guide_dim]`; nothing where it has none.
    pub guide: Vec<TensorData>,
}

impl MicroBatch {
    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.passes.iter().map(|part| part.batch.tokens()).sum()
    }
}

/// The batches of one optimizer step.
pub type StepBatches = Result<Vec<MicroBatch>, Error>;

impl<'a> StepOrder<'a> {
    /// Lays out the epochs of a run that learns from these sets.
    pub fn new(datasets: Vec<&'a Examples>, config: &'a Config) -> Self {
        let train = &config.train;
        let mut order = Self { datasets, config, batches: Vec::new(), epoch_starts: vec![0], total_steps: 0 };
        for epoch in 0.. {
            let start = order.epoch_starts[epoch as usize];
            let done =
                if train.max_steps > 0 { start >= train.max_steps } else { epoch >= train.num_train_epochs };
            if done {
                break;
            }
            let batches: Vec<usize> = (0..order.datasets.len()).map(|set| order.count(set, epoch)).collect();
            let together: usize = config.mixing().shares(&batches).iter().sum();
            order.batches.push(batches);
            if together == 0 {
                break;
            }
            order.epoch_starts.push(start + together.div_ceil(train.gradient_accumulation_steps) as u64);
        }
        let end = order.epoch_starts.last().copied().unwrap_or(0);
        order.total_steps = if train.max_steps > 0 { end.min(train.max_steps) } else { end };
        order
    }

    fn count(&self, set: usize, epoch: u64) -> usize {
        let t = &self.config.train;
        let (sampler, size) = (sampler(self.config, self.datasets[set]), t.per_device_train_batch_size);
        batch_count(self.datasets[set], sampler, size, self.seed(set), epoch, t.dataloader_drop_last)
    }

    /// The batches of one pass over a set.
    fn pass(&self, set: usize, pass: u64) -> Vec<Vec<usize>> {
        let t = &self.config.train;
        let (sampler, size) = (sampler(self.config, self.datasets[set]), t.per_device_train_batch_size);
        epoch_batches(self.datasets[set], sampler, size, self.seed(set), pass, t.dataloader_drop_last)
    }

    /// Sets of the same size are shuffled differently.
    fn seed(&self, set: usize) -> u64 {
        if set == 0 { self.config.seed } else { random::key(self.config.seed, "data.set", set as u64) }
    }

    /// The batches of an epoch. A set that gives more than it has is gone through again, in another order.
    fn epoch(&self, epoch: usize) -> impl Iterator<Item = Chosen> + use<'_, 'a> {
        let again = move |set| (0..).flat_map(move |round: u64| self.pass(set, epoch as u64 + (round << 32)));
        let mut batches: Vec<_> = (0..self.datasets.len()).map(again).collect();
        let order = self.config.mixing().order(&self.batches[epoch], self.config.seed, epoch as u64);
        order.into_iter().filter_map(move |set| Some(Chosen { set, examples: batches[set].next()? }))
    }

    /// A set that has no batch to give to the first epoch.
    pub fn without_batches(&self) -> Option<usize> {
        self.batches.first()?.iter().position(|batches| *batches == 0)
    }

    /// The share of each set in the batches of the first epoch.
    pub fn shares(&self) -> Vec<f64> {
        let batches = self.batches.first().map_or(&[][..], Vec::as_slice);
        let shares = self.config.mixing().shares(batches);
        let all: usize = shares.iter().sum();
        shares.iter().map(|share| *share as f64 / all.max(1) as f64).collect()
    }

    /// Optimizer steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.total_steps
    }

    /// Epochs done after `step` steps, as a fraction.
    pub fn epoch_at(&self, step: u64) -> f64 {
        let epoch = self.epoch_starts.partition_point(|s| *s <= step) - 1;
        match self.epoch_starts.get(epoch + 1) {
            Some(end) => {
                let start = self.epoch_starts[epoch];
                epoch as f64 + (step - start) as f64 / (end - start) as f64
            }
            None => epoch as f64,
        }
    }

    /// The steps before which negatives are mined.
    pub fn minings(&self) -> impl Iterator<Item = u64> + '_ {
        let every = self.config.mine.as_ref().map(|mine| mine.every_epochs as usize);
        let epochs =
            self.epoch_starts.windows(2).map(|epoch| epoch[0]).filter(move |step| *step < self.total_steps);
        epochs.step_by(every.unwrap_or(usize::MAX)).filter(move |_| every.is_some())
    }

    /// The examples of every step from `first` on, one choice a forward pass.
    pub fn steps_from(&self, first: u64) -> impl Iterator<Item = Vec<Chosen>> + use<'_, 'a> {
        let epochs = self.epoch_starts.windows(2).enumerate().filter(move |(_, w)| w[1] > first);
        epochs.flat_map(move |(epoch, window)| {
            let (skip, take) = (first.saturating_sub(window[0]), self.total_steps - window[0]);
            let steps = steps(self.epoch(epoch), self.config.train.gradient_accumulation_steps);
            steps.take(take as usize).skip(skip as usize)
        })
    }

    /// Tokenizes `steps`, ahead of the loop, on a thread of `scope`.
    pub fn prefetch<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        prepared: &'scope Prepared,
        negatives: Option<&'scope Negatives>,
        steps: Range<u64>,
    ) -> Receiver<StepBatches> {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || self.send_all(prepared, negatives, steps, &sender));
        receiver
    }

    fn send_all(
        &self,
        prepared: &Prepared,
        negatives: Option<&Negatives>,
        steps: Range<u64>,
        sender: &SyncSender<StepBatches>,
    ) {
        for step in self.steps_from(steps.start).take((steps.end - steps.start) as usize) {
            let batches = step.into_iter().map(|chosen| tokenize(prepared, negatives, chosen)).collect();
            if sender.send(batches).is_err() {
                return; // the loop ended early
            }
        }
    }
}

/// How the examples of a set are put into batches.
pub(crate) fn sampler(config: &Config, dataset: &Examples) -> BatchSampler {
    config.train.batch_sampler.unwrap_or(BatchSampler::usual(dataset.kind))
}

/// What one forward pass may hold; always one text at least.
#[derive(Debug, Clone, Copy)]
struct PassLimit {
    texts: usize,
    tokens: usize,
}

impl PassLimit {
    /// Cuts texts into passes, in their order.
    fn cut(self, mut texts: &[Vec<u32>]) -> Vec<&[Vec<u32>]> {
        let mut passes = Vec::new();
        while !texts.is_empty() {
            let mut tokens = 0;
            let fits = texts.iter().take(self.texts).take_while(|text| {
                tokens += text.len();
                tokens <= self.tokens
            });
            let (pass, rest) = texts.split_at(fits.count().max(1));
            passes.push(pass);
            texts = rest;
        }
        passes
    }
}

/// The batches of each step.
fn steps(mut batches: impl Iterator<Item = Chosen>, of: usize) -> impl Iterator<Item = Vec<Chosen>> {
    std::iter::from_fn(move || {
        let step: Vec<_> = batches.by_ref().take(of).collect();
        (!step.is_empty()).then_some(step)
    })
}

/// The texts of some examples, and of their negatives where those are mined, ready for the encoder.
fn tokenize(prepared: &Prepared, negatives: Option<&Negatives>, chosen: Chosen) -> Result<MicroBatch, Error> {
    let set = &prepared.sets[chosen.set];
    let get = |indices: &mut dyn Iterator<Item = usize>| -> Result<Vec<Cow<'_, Example>>, Error> {
        indices.map(|index| Ok(set.dataset.get(index)?)).collect()
    };
    let examples = get(&mut chosen.examples.iter().copied())?;
    let mined = match negatives {
        Some(negatives) => get(&mut chosen.examples.iter().flat_map(|index| negatives.of(*index)))?,
        None => Vec::new(),
    };
    let text = |row: usize, column: usize| match negatives {
        Some(negatives) if column > 1 => mined[row * negatives.count + column - 2].texts[1].as_str(),
        _ => examples[row].texts[column].as_str(),
    };
    let (mut sequences, mut text_ids, mut guide) = (Vec::new(), Vec::new(), Vec::new());
    for column in 0..set.kind.columns() {
        let texts: Vec<&str> = (0..examples.len()).map(|row| text(row, column)).collect();
        sequences.extend(prepared.encoder.tokenizer().encode(&texts, set.prompt(column))?);
        text_ids.push(texts.iter().map(text_id).collect());
        if let Some(other) = &set.guide {
            let vectors = other.embed(&texts, guide_prompt(other, column), &mut |_| ())?;
            guide.push(TensorData::new(vectors.values, [texts.len(), vectors.dim]));
        }
    }
    let labels = examples.iter().flat_map(|e| e.label.into_iter().chain(e.scores.iter().copied())).collect();
    let limit = PassLimit {
        texts: set.config.loss.mini_batch_size.unwrap_or(usize::MAX),
        tokens: set.config.loss.mini_batch_tokens.unwrap_or(usize::MAX),
    };
    let anchors = if set.loss.has_twin() { examples.len() } else { 0 };
    let (anchors, others) = sequences.split_at(anchors);
    let passes = |tower, texts: &[Vec<u32>]| -> Vec<Part> {
        let packed = limit.cut(texts).into_iter().map(|texts| texts.iter().map(Vec::as_slice));
        packed.map(|texts| Part { tower, batch: PackedBatch::new(texts) }).collect()
    };
    let passes =
        [passes(Tower::Twin, anchors), passes(Tower::Encoder, others)].into_iter().flatten().collect();
    Ok(MicroBatch { chosen, passes, labels, text_ids, guide })
}

/// A guide or teacher has its own prompts: the one for queries before anchors, that for documents before the others.
fn guide_prompt(guide: &Encoder, column: usize) -> Option<&str> {
    let name = if column == 0 { "query" } else { "document" };
    guide.contract.prompts.get(name).map(String::as_str).filter(|prompt| !prompt.is_empty())
}

fn text_id(text: &&str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    fn dataset(examples: usize) -> Examples {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.tsv");
        let rows: Vec<String> = (0..examples).map(|i| format!("a{i}\tb{i}\n")).collect();
        std::fs::write(&path, format!("anchor\tpositive\n{}", rows.concat())).unwrap();
        temper_data::read(&[path], &temper_data::ReadOptions::default()).unwrap().into()
    }

    fn config(train: &str) -> Config {
        let text = format!("[model]\nbase = \"m\"\n[data]\ntrain = [\"t\"]\n[train]\n{train}");
        crate::parse::parse(Path::new("x.toml"), &text, &[]).unwrap()
    }

    /// 20 examples in batches of 4 are 5 batches, hence 3 steps of 2 an epoch.
    #[test]
    fn max_steps_may_end_within_an_epoch() {
        let dataset = dataset(20);
        let config =
            config("max_steps = 4\nper_device_train_batch_size = 4\ngradient_accumulation_steps = 2\n");
        let order = StepOrder::new(vec![&dataset], &config);
        assert_eq!(order.total_steps(), 4);
        assert_eq!(order.steps_from(0).map(|step| step.len()).collect::<Vec<_>>(), [2, 2, 1, 2]);
        assert_eq!(order.steps_from(3).collect::<Vec<_>>(), order.steps_from(0).skip(3).collect::<Vec<_>>());
        let epochs = [0, 3, 4].map(|step| order.epoch_at(step));
        assert_eq!(epochs, [0.0, 1.0, 1.0 + 1.0 / 3.0]);
    }

    #[test]
    fn passes_end_at_the_limit_of_texts_or_tokens() {
        let texts: Vec<Vec<u32>> = [2, 3, 9, 1, 1, 1, 4].map(|length| vec![0; length]).into();
        let lengths = |most: usize, tokens: usize| {
            let passes = PassLimit { texts: most, tokens }.cut(&texts);
            passes.iter().map(|pass| pass.len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(usize::MAX, usize::MAX), [7]);
        assert_eq!(lengths(3, usize::MAX), [3, 3, 1]);
        assert_eq!(lengths(usize::MAX, 5), [2, 1, 3, 1], "a text longer than that is a pass of its own");
        assert_eq!(lengths(2, 5), [2, 1, 2, 2]);
    }

    /// 5 steps an epoch.
    #[test]
    fn negatives_are_mined_at_the_start_of_epochs() {
        let dataset = dataset(20);
        let minings = |mine: &str, train: &str| {
            let config = config(&format!("per_device_train_batch_size = 4\n{train}\n{mine}"));
            StepOrder::new(vec![&dataset], &config).minings().collect::<Vec<_>>()
        };
        assert_eq!(minings("", "num_train_epochs = 3"), Vec::<u64>::new());
        assert_eq!(minings("[mine]", "num_train_epochs = 3"), [0, 5, 10]);
        assert_eq!(minings("[mine]\nevery_epochs = 2", "num_train_epochs = 4"), [0, 10]);
        assert_eq!(minings("[mine]", "max_steps = 10"), [0, 5]);
    }

    const SETS: &str = "[[sets]]\nname = \"a\"\ntrain = [\"t\"]\n[[sets]]\nname = \"b\"\ntrain = [\"t\"]\n";

    fn config_of_two(train: &str) -> Config {
        let text =
            format!("[model]\nbase = \"m\"\n[train]\nper_device_train_batch_size = 4\n{train}\n{SETS}");
        crate::parse::parse(Path::new("x.toml"), &text, &[]).unwrap()
    }

    /// How many batches each set gives to each epoch, and every example of a set how often.
    fn told(order: &StepOrder, epoch: usize) -> [Vec<usize>; 2] {
        let of = |set| {
            let mut all: Vec<usize> =
                order.epoch(epoch).filter(|c| c.set == set).flat_map(|c| c.examples).collect();
            all.sort_unstable();
            all
        };
        [of(0), of(1)]
    }

    #[test]
    fn an_epoch_of_two_sets_has_every_example_of_both() {
        let (a, b, config) = (dataset(20), dataset(9), config_of_two("num_train_epochs = 2"));
        let order = StepOrder::new(vec![&a, &b], &config);
        assert_eq!((order.total_steps(), order.shares()), (16, vec![0.625, 0.375]));
        for epoch in 0..2 {
            assert_eq!(told(&order, epoch), [(0..20).collect::<Vec<_>>(), (0..9).collect()]);
        }
        assert_eq!(
            order.steps_from(11).collect::<Vec<_>>(),
            order.steps_from(0).skip(11).collect::<Vec<_>>()
        );
        // The set of one alone comes as it does beside another.
        let alone = StepOrder::new(vec![&a], &config);
        let of_a = |order: &StepOrder| order.epoch(1).filter(|c| c.set == 0).collect::<Vec<_>>();
        assert_eq!(of_a(&order), of_a(&alone));
    }

    #[test]
    fn round_robin_ends_with_the_smaller_set() {
        let config = config_of_two("multi_dataset_batch_sampler = \"round_robin\"");
        let (a, b) = (dataset(20), dataset(9));
        let order = StepOrder::new(vec![&a, &b], &config);
        let sets: Vec<usize> = order.steps_from(0).flatten().map(|chosen| chosen.set).collect();
        assert_eq!(sets, [0, 1, 0, 1, 0, 1]);
    }

    /// 16 and 4 batches at a temperature without end are 10 and 10: the smaller set two and a half times.
    #[test]
    fn a_temperature_goes_through_a_small_set_again() {
        let config =
            config_of_two("multi_dataset_batch_sampler = \"temperature\"\nmulti_dataset_temperature = 1e9");
        let (a, b) = (dataset(64), dataset(16));
        let order = StepOrder::new(vec![&a, &b], &config);
        assert_eq!((order.total_steps(), order.shares()), (20, vec![0.5, 0.5]));
        let [of_a, of_b] = told(&order, 0);
        assert_eq!((of_a.len(), of_b.len()), (40, 40));
        assert!((0..16).all(|i| (2..=3).contains(&of_b.iter().filter(|j| **j == i).count())));
        let rounds: Vec<_> = order.epoch(0).filter(|c| c.set == 1).map(|c| c.examples).collect();
        assert_ne!(rounds[..4], rounds[4..8], "in another order");
    }

    #[test]
    fn epochs_end_at_their_own_number() {
        let (dataset, config) = (dataset(20), config("num_train_epochs = 2\n"));
        let order = StepOrder::new(vec![&dataset], &config);
        assert_eq!((order.total_steps(), order.epoch_at(2)), (2, 2.0));
    }
}
