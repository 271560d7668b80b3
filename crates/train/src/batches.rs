//! Which examples each optimizer step sees, and their tokens, made ahead on a thread of their own.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use burn::tensor::TensorData;
use temper_data::{Example, Examples, batch_count, epoch_batches};
use temper_encoder::{Encoder, PackedBatch};

use crate::config::Config;
use crate::error::Error;
use crate::learner::{Part, Tower};
use crate::losses::Objective;
use crate::prepare::Prepared;

/// Steps that may be tokenized ahead.
const AHEAD: usize = 4;

/// The order of examples over a whole run, a pure function of config and data.
#[derive(Debug, Clone)]
pub struct StepOrder<'a> {
    dataset: &'a Examples,
    config: &'a Config,
    /// First step of each epoch, and behind them the end of the last one, which `max_steps` may not reach.
    epoch_starts: Vec<u64>,
    total_steps: u64,
}

/// One batch of a loss: all its texts, packed, column after column.
#[derive(Debug)]
pub struct MicroBatch {
    /// Indices of the examples.
    pub examples: Vec<usize>,
    /// All texts: anchors, then positives, then negatives; in one forward pass of each encoder, or cut into several.
    pub passes: Vec<Part>,
    /// One label an example, for scored pairs.
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
    /// Lays out the epochs of a run.
    pub fn new(dataset: &'a Examples, config: &'a Config) -> Self {
        let train = &config.train;
        let mut epoch_starts = vec![0];
        for epoch in 0.. {
            let start = epoch_starts[epoch as usize];
            let done =
                if train.max_steps > 0 { start >= train.max_steps } else { epoch >= train.num_train_epochs };
            let batches = if done { 0 } else { Self::count(dataset, config, epoch) };
            if batches == 0 {
                break;
            }
            epoch_starts.push(start + batches.div_ceil(train.gradient_accumulation_steps) as u64);
        }
        let end = epoch_starts.last().copied().unwrap_or(0);
        let total_steps = if train.max_steps > 0 { end.min(train.max_steps) } else { end };
        Self { dataset, config, epoch_starts, total_steps }
    }

    fn count(dataset: &Examples, config: &Config, epoch: u64) -> usize {
        let t = &config.train;
        let (sampler, size) = (t.batch_sampler, t.per_device_train_batch_size);
        batch_count(dataset, sampler, size, config.seed, epoch, t.dataloader_drop_last)
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

    /// The examples of every step from `first` on, one list a forward pass.
    pub fn steps_from(&self, first: u64) -> impl Iterator<Item = Vec<Vec<usize>>> + use<'_, 'a> {
        let t = &self.config.train;
        let epochs = self.epoch_starts.windows(2).enumerate().filter(move |(_, w)| w[1] > first);
        epochs.flat_map(move |(epoch, window)| {
            let batches = epoch_batches(
                self.dataset,
                t.batch_sampler,
                t.per_device_train_batch_size,
                self.config.seed,
                epoch as u64,
                t.dataloader_drop_last,
            );
            let (skip, take) = (first.saturating_sub(window[0]), self.total_steps - window[0]);
            steps(batches, t.gradient_accumulation_steps).take(take as usize).skip(skip as usize)
        })
    }

    /// Tokenizes the steps from `first` on, ahead of the loop, on a thread of `scope`.
    pub fn prefetch<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        prepared: &'scope Prepared,
        first: u64,
    ) -> Receiver<StepBatches> {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || self.send_all(prepared, first, &sender));
        receiver
    }

    fn send_all(&self, prepared: &Prepared, first: u64, sender: &SyncSender<StepBatches>) {
        for step in self.steps_from(first) {
            let batches = step.into_iter().map(|examples| self.tokenize(prepared, examples)).collect();
            if sender.send(batches).is_err() {
                return; // the loop ended early
            }
        }
    }

    /// The texts of some examples, ready for the encoder.
    pub fn tokenize(&self, prepared: &Prepared, examples: Vec<usize>) -> Result<MicroBatch, Error> {
        let prompts = &self.config.prompts;
        let read: Vec<Cow<'_, Example>> =
            examples.iter().map(|index| self.dataset.get(*index)).collect::<Result<_, _>>()?;
        let (mut sequences, mut text_ids, mut guide) = (Vec::new(), Vec::new(), Vec::new());
        for column in 0..self.dataset.kind.columns() {
            let texts: Vec<&str> = read.iter().map(|example| example.texts[column].as_str()).collect();
            let prompt = if column == 0 { &prompts.anchor } else { &prompts.positive };
            sequences.extend(prepared.encoder.tokenizer().encode(&texts, prompt.as_deref())?);
            text_ids.push(texts.iter().map(text_id).collect());
            if let Some(other) = &prepared.guide {
                let vectors = other.embed(&texts, guide_prompt(other, column), &mut |_| ())?;
                guide.push(TensorData::new(vectors.values, [texts.len(), vectors.dim]));
            }
        }
        let labels = read.iter().filter_map(|example| example.label).collect();
        let size = self.config.loss.mini_batch_size.unwrap_or(sequences.len()).max(1);
        let anchors = if prepared.loss.has_twin() { examples.len() } else { 0 };
        let (anchors, others) = sequences.split_at(anchors);
        let passes = |tower, texts: &[Vec<u32>]| -> Vec<Part> {
            let packed = texts.chunks(size).map(|texts| PackedBatch::new(texts.iter().map(Vec::as_slice)));
            packed.map(|batch| Part { tower, batch }).collect()
        };
        let passes =
            [passes(Tower::Twin, anchors), passes(Tower::Encoder, others)].into_iter().flatten().collect();
        Ok(MicroBatch { examples, passes, labels, text_ids, guide })
    }
}

/// The batches of each step.
fn steps(batches: Vec<Vec<usize>>, of: usize) -> impl Iterator<Item = Vec<Vec<usize>>> {
    let mut batches = batches.into_iter();
    std::iter::from_fn(move || {
        let step: Vec<_> = batches.by_ref().take(of).collect();
        (!step.is_empty()).then_some(step)
    })
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
        let order = StepOrder::new(&dataset, &config);
        assert_eq!(order.total_steps(), 4);
        assert_eq!(order.steps_from(0).map(|step| step.len()).collect::<Vec<_>>(), [2, 2, 1, 2]);
        assert_eq!(order.steps_from(3).collect::<Vec<_>>(), order.steps_from(0).skip(3).collect::<Vec<_>>());
        let epochs = [0, 3, 4].map(|step| order.epoch_at(step));
        assert_eq!(epochs, [0.0, 1.0, 1.0 + 1.0 / 3.0]);
    }

    #[test]
    fn epochs_end_at_their_own_number() {
        let (dataset, config) = (dataset(20), config("num_train_epochs = 2\n"));
        let order = StepOrder::new(&dataset, &config);
        assert_eq!((order.total_steps(), order.epoch_at(2)), (2, 2.0));
    }
}
