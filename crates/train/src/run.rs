//! The training loop: one function that reads from top to bottom, and the steps it is made of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use temper_data::random;
use temper_encoder::reference::MODEL_FOLDER;
use temper_encoder::{DropoutSites, Encoder};
use temper_kernels::{Scalar, is_fused};
use temper_runs::{Claim, Event, Outcome, RunFolder, Sink, Which};

use crate::batches::{Chosen, MicroBatch, StepOrder};
use crate::cached;
use crate::checkpoint::{self, State};
use crate::config::Config;
use crate::control::Control;
use crate::details;
use crate::error::Error;
use crate::judging::{prompts, prompts_of, score_name};
use crate::learner::{Learner, Trained};
use crate::losses::{LossInput, Objective, Owned};
use crate::memory;
use crate::mining::{Mining, Negatives, by_rule};
use crate::optimizer::Optimizer;
use crate::plan::Plan;
use crate::prepare::Prepared;
use crate::schedule::Schedule;

/// Between two words on how far a mining is.
const TELL_MINING: Duration = Duration::from_secs(1);

/// A run that is ready to start or to go on.
#[derive(Debug)]
pub struct Job {
    /// The resolved config.
    pub config: Config,
    /// Encoder, examples, tasks.
    pub prepared: Prepared,
    /// The run's folder, config and manifest already in it.
    pub folder: RunFolder,
    /// The state to go on from; the default one for a new run.
    pub state: State,
    /// The negatives that the state was trained with, if they were mined.
    pub negatives: Option<Negatives>,
    /// Keeps other processes from writing to the run, and tells them that it is alive.
    pub claim: Claim,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Completed optimizer steps.
    pub step: u64,
    /// Step and deciding score of the best checkpoint.
    pub best: Option<(u64, f64)>,
    /// The deciding score before the first step.
    pub baseline: Option<f64>,
    /// Name of the deciding score.
    pub metric: String,
}

/// Trains until the last step, an early stop, or a signal.
pub fn run(job: &Job, control: &Control, observe: &mut dyn FnMut(&Event)) -> Result<Report, Error> {
    let order = job.prepared.order(&job.config);
    let plan = crate::plan::plan(&job.config, &job.prepared, &order)?;
    let mut looping = Loop::start(job, &order, observe)?;
    looping.announce(&plan)?;
    match looping.train(control) {
        Ok(outcome) => Ok(looping.finish(outcome)),
        Err(error) => {
            looping.close(Outcome::Failed, error.to_string());
            Err(error)
        }
    }
}

struct Loop<'a> {
    job: &'a Job,
    order: &'a StepOrder<'a>,
    learner: Learner,
    schedule: Schedule,
    state: State,
    /// Those mined last.
    negatives: Option<Arc<Negatives>>,
    sink: Sink,
    observe: &'a mut dyn FnMut(&Event),
    saved_at: Option<u64>,
    /// Of the last step that was read.
    norm: f64,
    unread: Vec<Unread>,
    /// Whether a number costs nothing to read, so that each step's are looked at before it updates anything.
    reads_each_step: bool,
    clock: Clock,
}

/// What one step computed, perhaps not yet: to read it is to wait for the device.
struct Unread {
    /// The step that it belongs to.
    step: u64,
    /// The loss of every micro-batch.
    losses: Vec<Tensor<1>>,
    norm: Scalar,
    chosen: Vec<Chosen>,
}

/// Time since this process began to train, and work and time since the last log line.
struct Clock {
    started: Instant,
    since: Instant,
    examples: u64,
    tokens: u64,
}

impl<'a> Loop<'a> {
    fn start(
        job: &'a Job,
        order: &'a StepOrder<'a>,
        observe: &'a mut dyn FnMut(&Event),
    ) -> Result<Self, Error> {
        let (step, device) = (job.state.step, job.prepared.encoder.device());
        let optimizer = if step > 0 {
            let path = job.folder.resolve(Which::Step(step))?;
            checkpoint::read_optimizer(&path, &job.config.train, step, &device)?
        } else {
            Optimizer::new(&job.config.train)
        };
        let clock = Clock { started: Instant::now(), since: Instant::now(), examples: 0, tokens: 0 };
        let trained =
            Trained { network: job.prepared.encoder.network.clone(), owned: job.prepared.owned.clone() };
        Ok(Self {
            job,
            order,
            learner: Learner::new(trained, optimizer),
            schedule: Schedule::new(&job.config.train, order.total_steps()),
            state: job.state.clone(),
            negatives: job.negatives.clone().map(Arc::new),
            sink: Sink::resume(&job.folder, step)?,
            observe,
            saved_at: (step > 0).then_some(step),
            norm: 0.0,
            unread: Vec::new(),
            reads_each_step: is_fused(&device),
            clock,
        })
    }

    fn train(&mut self, control: &Control) -> Result<Outcome, Error> {
        if self.state.step == 0 {
            self.evaluate()?;
        } else if self.state.unjudged {
            self.judge()?;
        }
        // A run that was killed after its last evaluation was saved, or that is resumed after an early stop.
        if self.out_of_patience() {
            return Ok(Outcome::EarlyStopped);
        }
        loop {
            if self.state.step < self.total() {
                let mined = self.mine(control);
                self.saved_first(mined)?;
            }
            if control.stopped_by().is_some() {
                self.save_now("interrupted")?;
                return Ok(Outcome::Interrupted);
            }
            if self.state.step == self.total() {
                self.save_now("end")?;
                return Ok(Outcome::Completed);
            }
            if let Some(outcome) = self.stretch(control)? {
                return Ok(outcome);
            }
        }
    }

    /// The steps until negatives are mined next, or to the end; how the run ended, if it did before.
    fn stretch(&mut self, control: &Control) -> Result<Option<Outcome>, Error> {
        let (order, prepared, negatives) = (self.order, &self.job.prepared, self.negatives.clone());
        let first = self.state.step;
        let end = order.minings().find(|step| *step > first).unwrap_or(self.total());
        std::thread::scope(|scope| {
            for step in order.prefetch(scope, prepared, negatives.as_deref(), first..end) {
                let batches = self.saved_first(step)?;
                self.step(&batches)?;
                if self.log_due() {
                    self.log()?;
                }
                if self.evaluation_due() {
                    self.judge()?;
                } else if self.save_due() {
                    self.save("save_steps", false)?;
                }
                if control.take_save() {
                    self.save_now("asked for")?;
                }
                if self.out_of_patience() {
                    return Ok(Some(Outcome::EarlyStopped));
                }
                if control.stopped_by().is_some() {
                    self.save_now("interrupted")?;
                    return Ok(Some(Outcome::Interrupted));
                }
            }
            Ok(None)
        })
    }

    /// New negatives, where it is time for them, or where those of the checkpoint were of other data.
    fn mine(&mut self, control: &Control) -> Result<(), Error> {
        let (job, step) = (self.job, self.state.step);
        let Some(config) = &job.config.mine else { return Ok(()) };
        if self.negatives.is_some() && !self.order.minings().any(|mining| mining == step) {
            return Ok(());
        }
        let started = Instant::now();
        let encoder = self.encoder();
        let (prompts, seed) = (prompts(&job.config), job.config.seed);
        let mining = Mining { config, examples: &job.prepared.sets[0].dataset, prompts, seed, step };
        let mut told: Option<Instant> = None;
        let mined = mining.run(&encoder, &mut |done, total| {
            if told.is_none_or(|at| at.elapsed() > TELL_MINING) {
                told = Some(Instant::now());
                (self.observe)(&Event::Mining { step, done, total });
            }
            control.stopped_by().is_none()
        })?;
        self.clock.since += started.elapsed(); // rates are those of training
        let Some((negatives, tally)) = mined else { return Ok(()) };
        self.negatives = Some(Arc::new(negatives));
        self.emit(Event::Mined {
            step,
            epoch: self.order.epoch_at(step),
            anchors: tally.anchors,
            negatives: config.num_negatives,
            short: tally.short,
            rejected: by_rule(&tally.rejected),
            elapsed_seconds: started.elapsed().as_secs_f64(),
        });
        Ok(())
    }

    fn emit(&mut self, event: Event) {
        (self.observe)(&event);
        for warning in self.sink.emit(event) {
            (self.observe)(&warning);
        }
    }

    fn sync(&mut self) {
        if let Some(warning) = self.sink.sync(self.state.step) {
            (self.observe)(&warning);
        }
    }

    fn announce(&mut self, plan: &Plan) -> Result<(), Error> {
        let step = self.state.step;
        let value = serde_json::to_value(plan).map_err(|e| Error::Plan(e.to_string()))?;
        self.emit(Event::Started {
            run: self.job.folder.name(),
            step,
            total_steps: plan.total_steps,
            plan: value,
        });
        let warnings: Vec<String> =
            self.job.prepared.warnings.iter().cloned().chain(plan.warnings()).collect();
        for message in warnings {
            self.emit(Event::Warned { step, message });
        }
        Ok(())
    }

    /// One optimizer step: forward, loss, backward for every micro-batch, then clip and update.
    fn step(&mut self, batches: &[MicroBatch]) -> Result<(), Error> {
        let mut losses = Vec::new();
        for (index, batch) in batches.iter().enumerate() {
            losses.push(self.forward_backward(batch, index, batches.len()));
        }
        let norm = self.learner.gradient_norm();
        let chosen = batches.iter().map(|batch| batch.chosen.clone()).collect();
        self.unread.push(Unread { step: self.state.step, losses, norm: norm.clone(), chosen });
        if self.reads_each_step {
            self.read()?;
        }
        self.learner.update(&norm, self.schedule.at(self.state.step));
        self.state.step += 1;
        for batch in batches {
            self.clock.examples += batch.chosen.examples.len() as u64;
            self.clock.tokens += batch.tokens() as u64;
            self.state.examples += batch.chosen.examples.len() as u64;
            self.state.tokens += batch.tokens() as u64;
        }
        Ok(())
    }

    /// Reads the losses and norms of the steps since the last time, before anything is told or saved.
    fn read(&mut self) -> Result<(), Error> {
        for step in std::mem::take(&mut self.unread) {
            let losses = step.losses.iter().map(|loss| f64::from(loss.clone().into_scalar::<f32>()));
            let losses: Vec<f64> = losses.collect();
            let loss = losses.iter().sum::<f64>() / losses.len() as f64;
            self.norm = step.norm.read();
            for (what, value) in [("loss", loss), ("gradient norm", self.norm)] {
                if !value.is_finite() {
                    return Err(self.not_finite(what, value, &step));
                }
            }
            self.state.loss_sum += loss;
            self.state.loss_count += 1;
            for (chosen, loss) in step.chosen.iter().zip(losses) {
                let name = &self.job.prepared.sets[chosen.set].config.name;
                if !name.is_empty() {
                    let (sum, count) = self.state.set_losses.entry(name.clone()).or_default();
                    (*sum, *count) = (*sum + loss, *count + 1);
                }
            }
        }
        Ok(())
    }

    fn forward_backward(&mut self, batch: &MicroBatch, index: usize, of: usize) -> Tensor<1> {
        let (prepared, config) = (&self.job.prepared, &self.job.config);
        let set_loss = &prepared.sets[batch.chosen.set].loss;
        let step = self.state.step;
        let dropout = |pass: usize| {
            let stream = match pass {
                0 => format!("dropout/{index}"),
                _ => format!("dropout/{index}/{pass}"),
            };
            DropoutSites::on(random::key(config.seed, &stream, step), config.model.dropout)
        };
        let contract = &prepared.encoder.contract;
        let draw = random::key(config.seed, &format!("loss/{index}"), step);
        let layers = set_loss.layers(draw, contract.transformer().shape().num_hidden_layers);
        let loss = |vectors: Vec<Tensor<2>>, owned: &Owned| {
            let device = vectors[0].device();
            let mut vectors = vectors.into_iter().map(|v| split_columns(v, batch.text_ids.len()));
            set_loss.forward(LossInput {
                columns: vectors.next().expect("this is a bug: a pass without a last layer"),
                layers: layers.iter().copied().zip(vectors).collect(),
                labels: batch.labels.clone(),
                text_ids: batch.text_ids.clone(),
                guide: batch
                    .guide
                    .iter()
                    .map(|vectors| Tensor::from_data(vectors.clone(), &device))
                    .collect(),
                owned,
                draw,
            })
        };
        let weight = 1.0 / of as f64;
        cached::forward_backward(&mut self.learner, contract, &batch.passes, &layers, dropout, loss, weight)
    }

    /// Saves the state before the bad step, unless it is gone, and says which examples were in it.
    fn not_finite(&mut self, what: &'static str, value: f64, bad: &Unread) -> Error {
        let step = bad.step;
        let folder = &self.job.folder;
        let saved = if self.state.step == step {
            match self.save_now("not finite") {
                Ok(()) => {
                    format!("the state before it is saved as `{}`", folder.reference(Which::Step(step)))
                }
                Err(error) => format!("the state before it could not be saved: {error}"),
            }
        } else {
            match self.saved_at {
                Some(saved) => format!("the last checkpoint is `{}`", folder.reference(Which::Step(saved))),
                None => "nothing was saved before it".to_owned(),
            }
        };
        let places = |chosen: &Chosen| -> Vec<String> {
            let dataset = &self.job.prepared.sets[chosen.set].dataset;
            chosen.examples.iter().map(|index| dataset.place(*index)).collect()
        };
        let places: Vec<String> = bad.chosen.iter().flat_map(places).collect();
        Error::NotFinite { what, step: step + 1, value, saved, examples: places.join(" ") }
    }

    /// The encoder with the parameters of this step.
    fn encoder(&mut self) -> Encoder {
        self.job.prepared.encoder.with_network(self.learner.caught_up().0.network)
    }

    /// Scores every task; says whether this is the best so far.
    fn evaluate(&mut self) -> Result<bool, Error> {
        if self.job.prepared.tasks.is_empty() {
            return Ok(false);
        }
        self.read()?;
        let started = Instant::now();
        let encoder = self.encoder();
        let mut scores = BTreeMap::new();
        let mut details = Vec::new();
        for (name, task) in &self.job.prepared.tasks {
            let found = task.judge(&encoder, &prompts_of(&self.job.config, name), &mut |_| ())?;
            details.extend(details::events(self.state.step, name, task, &found));
            scores.extend(found.scores.into_iter().map(|(score, value)| (score_name(name, &score), value)));
        }
        let metric = &self.job.prepared.metric;
        let score = *scores.get(metric).ok_or_else(|| {
            let known = scores.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Error::Plan(format!("train.metric_for_best_model `{metric}` is not among the scores: {known}"))
        })?;
        let best = self.state.record(score, self.job.config.train.early_stopping_threshold);
        self.clock.since += started.elapsed(); // rates are those of training
        self.emit(Event::Evaluated {
            step: self.state.step,
            epoch: self.order.epoch_at(self.state.step),
            scores,
            metric: metric.clone(),
            best,
            elapsed_seconds: started.elapsed().as_secs_f64(),
        });
        for event in details {
            self.emit(event);
        }
        Ok(best)
    }

    fn out_of_patience(&self) -> bool {
        let patience = self.job.config.train.early_stopping_patience;
        patience > 0 && self.state.without_improvement >= patience
    }

    fn total(&self) -> u64 {
        self.order.total_steps()
    }

    fn log_due(&self) -> bool {
        let (step, every) = (self.state.step, self.job.config.train.logging_steps);
        step.is_multiple_of(every) || step == 1 || step == self.total()
    }

    fn evaluation_due(&self) -> bool {
        due(self.state.step, self.job.config.train.eval_steps, self.total())
            || self.state.step == self.total()
    }

    fn save_due(&self) -> bool {
        due(self.state.step, self.job.config.train.save_steps, self.total())
    }

    fn log(&mut self) -> Result<(), Error> {
        self.read()?;
        let seconds = self.clock.since.elapsed().as_secs_f64().max(1e-9);
        let event = Event::Step {
            step: self.state.step,
            epoch: self.order.epoch_at(self.state.step),
            loss: self.state.loss_sum / self.state.loss_count.max(1) as f64,
            set_losses: std::mem::take(&mut self.state.set_losses)
                .into_iter()
                .map(|(name, (sum, count))| (name, sum / f64::from(count)))
                .collect(),
            learning_rate: self.schedule.at(self.state.step - 1),
            grad_norm: self.norm,
            examples: self.state.examples,
            tokens: self.state.tokens,
            examples_per_second: self.clock.examples as f64 / seconds,
            tokens_per_second: self.clock.tokens as f64 / seconds,
            elapsed_seconds: self.elapsed_seconds(),
            memory: memory::resident(),
        };
        self.emit(event);
        (self.state.loss_sum, self.state.loss_count) = (0.0, 0);
        self.clock = Clock { since: Instant::now(), examples: 0, tokens: 0, ..self.clock };
        Ok(())
    }

    /// Since the run's first step, without the time between an interruption and its resume.
    fn elapsed_seconds(&self) -> f64 {
        self.job.state.elapsed_seconds + self.clock.started.elapsed().as_secs_f64()
    }

    /// Evaluates and saves. Where that fails the step is saved all the same, to be judged when the run goes on.
    fn judge(&mut self) -> Result<(), Error> {
        self.state.unjudged = true;
        let best = self.evaluate();
        let best = self.saved_first(best)?;
        self.state.unjudged = false;
        self.save("evaluation", best)
    }

    /// Saves before an error is told that came between two steps, while the state is whole.
    fn saved_first<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| {
            // What is not finite was saved before its step, or is gone.
            if self.state.step == 0 || matches!(error, Error::NotFinite { .. }) {
                return;
            }
            if let Err(unsaved) = self.save_now("failed") {
                let message =
                    format!("the state after step {} could not be saved: {unsaved}", self.state.step);
                self.emit(Event::Warned { step: self.state.step, message });
            }
        })
    }

    /// Saves unless this very step is saved already.
    fn save_now(&mut self, reason: &str) -> Result<(), Error> {
        if self.saved_at == Some(self.state.step) { Ok(()) } else { self.save(reason, false) }
    }

    fn save(&mut self, reason: &str, best: bool) -> Result<(), Error> {
        self.read()?;
        let (folder, step, started) = (&self.job.folder, self.state.step, Instant::now());
        self.state.elapsed_seconds = self.elapsed_seconds();
        self.sync();
        let (trained, optimizer) = self.learner.caught_up();
        let encoder = self.job.prepared.encoder.with_network(trained.network);
        let (path, negatives) = (folder.checkpoint(step), self.negatives.as_deref());
        checkpoint::save(&path, &encoder, &trained.owned, optimizer, negatives, &self.state)?;
        let index = folder.index()?.after_save(step, best, self.job.config.train.save_total_limit);
        folder.write_index(&index)?;
        folder.prune(&index)?;
        self.saved_at = Some(step);
        self.clock.since += started.elapsed();
        let path = folder.checkpoint(step).join(MODEL_FOLDER).display().to_string();
        self.emit(Event::Saved { step, path, reason: reason.to_owned() });
        Ok(())
    }

    fn finish(mut self, outcome: Outcome) -> Report {
        let report = Report {
            outcome,
            step: self.state.step,
            best: self.state.best,
            baseline: self.state.baseline,
            metric: self.job.prepared.metric.clone(),
        };
        self.close(outcome, String::new());
        report
    }

    fn close(&mut self, outcome: Outcome, message: String) {
        let best_step = self.state.best.map(|(step, _)| step);
        self.emit(Event::Finished { step: self.state.step, outcome, best_step, message });
    }
}

/// Whether `step` is a multiple of `every` steps; below 1, `every` is a share of `total`, one step at least, and 0 is never.
fn due(step: u64, every: f64, total: u64) -> bool {
    let steps = if every < 1.0 { (total as f64 * every).round().max(1.0) } else { every };
    every > 0.0 && step.is_multiple_of(steps as u64)
}

/// `[columns * batch, dim]` to one matrix a column.
fn split_columns(pooled: Tensor<2>, columns: usize) -> Vec<Tensor<2>> {
    pooled.chunk(columns, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_steps_or_shares() {
        assert!(due(40, 20.0, 100) && !due(41, 20.0, 100));
        assert!(due(25, 0.25, 100) && !due(26, 0.25, 100));
        assert!(!due(100, 0.0, 100));
        assert!(due(1, 0.001, 100) && due(2, 0.001, 100), "a small share is every step, not none");
    }
}
