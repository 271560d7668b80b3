//! One run in a line: how it stands, how far it came, how good it is. Quick, however long the run was.

use std::io;
use std::ops::ControlFlow::{Break, Continue};
use std::path::PathBuf;

use serde::Serialize;

use crate::event_file::EventFile;
use crate::{CheckpointIndex, Error, Event, Outcome, Pulse, RunFolder, RunManifest};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A process trains in it.
    Running,
    /// Every planned step was taken.
    Completed,
    /// The metric stopped improving.
    EarlyStopped,
    /// A signal asked it to stop; it can be resumed.
    Interrupted,
    /// An error stopped it.
    Failed,
    /// Its process ended without a word, as by a kill or a power cut; it can be resumed.
    Died,
}

impl Status {
    /// How people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::EarlyStopped => "early-stopped",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Died => "died",
        }
    }

    /// Whether the run came to an end that needs no resume.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::EarlyStopped)
    }

    fn of(alive: bool, outcome: Option<Outcome>) -> Self {
        match outcome {
            _ if alive => Self::Running,
            None => Self::Died,
            Some(Outcome::Completed) => Self::Completed,
            Some(Outcome::EarlyStopped) => Self::EarlyStopped,
            Some(Outcome::Interrupted) => Self::Interrupted,
            Some(Outcome::Failed) => Self::Failed,
        }
    }
}

/// A run at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// The folder's name.
    pub run: String,
    /// The folder.
    pub path: PathBuf,
    /// How it stands.
    pub status: Status,
    /// When it began, as RFC 3339.
    pub created: String,
    /// The score that decides which checkpoint is best.
    pub metric: Option<String>,
    /// That score before the first step.
    pub baseline: Option<f64>,
    /// That score of the best checkpoint.
    pub best: Option<f64>,
    /// The step of the best checkpoint.
    pub best_step: Option<u64>,
    /// Optimizer steps taken, as far as they were logged.
    pub step: u64,
    /// The step after which the run is complete; none before the first event.
    pub total_steps: Option<u64>,
    /// Time it trained, without interruptions.
    pub elapsed_seconds: f64,
    /// The last sign of life of a run that did not end by itself.
    pub heartbeat: Option<Pulse>,
}

impl RunSummary {
    /// Reads both ends of the event stream, and the one place where the best score stands.
    pub fn read(run: &RunFolder) -> Result<Self, Error> {
        // Asked first: a run that ends meanwhile says so in events that may not be read any more.
        Self::read_knowing(run, run.is_alive())
    }

    /// The same for whoever knows whether the run is alive.
    pub(crate) fn read_knowing(run: &RunFolder, alive: bool) -> Result<Self, Error> {
        let manifest = RunManifest::read(&run.manifest_path())?;
        let index = run.index()?;
        let mut summary = Self {
            run: run.name(),
            path: run.path().to_owned(),
            status: Status::of(alive, None),
            created: manifest.created.clone(),
            metric: None,
            baseline: None,
            best: None,
            best_step: index.best,
            step: 0,
            total_steps: None,
            elapsed_seconds: 0.0,
            heartbeat: run.pulse(),
        };
        let path = run.events_path();
        if let Some(mut events) = EventFile::open(&path).map_err(Error::io("read", &path))? {
            let outcome = summary.learn(&mut events, &manifest, &index).map_err(Error::io("read", &path))?;
            summary.status = Status::of(alive, outcome);
            let unread = summary.step == 0 && summary.total_steps.is_none();
            if let Some(source) = events.first_problem().map_err(Error::io("read", &path))?.filter(|_| unread)
            {
                return Err(Error::EventLine { path, line: 1, source });
            }
        }
        Ok(summary)
    }

    fn learn(
        &mut self,
        events: &mut EventFile,
        manifest: &RunManifest,
        index: &CheckpointIndex,
    ) -> io::Result<Option<Outcome>> {
        self.learn_start(events)?;
        let outcome = self.learn_end(events, manifest.was_changed())?;
        match self.best_step {
            Some(step) => self.learn_best(events, step)?,
            // Killed before the first save, or copied without its checkpoints.
            None if outcome.is_none() && index.last.is_none() => self.seek_best(events)?,
            None => {}
        }
        Ok(outcome)
    }

    /// Takes the plan and the baseline.
    fn learn_start(&mut self, events: &mut EventFile) -> io::Result<()> {
        events.each_from_start(|event| match event {
            Event::Started { total_steps, .. } => {
                self.total_steps = Some(total_steps);
                Continue(())
            }
            Event::Evaluated { step: 0, scores, metric, .. } => {
                self.baseline = scores.get(&metric).copied();
                self.metric = Some(metric);
                Break(())
            }
            other if other.step() == 0 => Continue(()),
            _ => Break(()),
        })
    }

    /// Takes how far the run came, and how it ended. A changed plan stands where the run went on with it.
    fn learn_end(&mut self, events: &mut EventFile, changed: bool) -> io::Result<Option<Outcome>> {
        let (mut outcome, mut timed, mut planned) = (None, false, !changed);
        events.each_from_end(|event| {
            self.step = self.step.max(event.step());
            match event {
                Event::Finished { outcome: how, best_step, .. } => {
                    outcome = Some(how);
                    self.best_step = best_step;
                }
                Event::Step { elapsed_seconds, .. } if !timed => {
                    self.elapsed_seconds = elapsed_seconds;
                    timed = true;
                }
                Event::Started { total_steps, .. } if !planned => {
                    self.total_steps = Some(total_steps);
                    planned = true;
                }
                _ => {}
            }
            if timed && planned { Break(()) } else { Continue(()) }
        })?;
        Ok(outcome)
    }

    /// Takes the score that was given at `best_step`.
    fn learn_best(&mut self, events: &mut EventFile, best_step: u64) -> io::Result<()> {
        events.each_from_step(best_step, |event| match event {
            Event::Evaluated { step, scores, metric, .. } if step == best_step => {
                self.best = scores.get(&metric).copied();
                self.metric = Some(metric);
                Break(())
            }
            other if other.step() > best_step => Break(()),
            _ => Continue(()),
        })
    }

    /// Takes the score that was the best when it was given, and no later one was.
    fn seek_best(&mut self, events: &mut EventFile) -> io::Result<()> {
        events.each_from_end(|event| match event {
            Event::Evaluated { step, scores, metric, best: true, .. } => {
                self.best = scores.get(&metric).copied();
                (self.best_step, self.metric) = (Some(step), Some(metric));
                Break(())
            }
            _ => Continue(()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::made_up::{self, evaluated, finished, started, step};

    fn summary(events: &[Event]) -> RunSummary {
        let root = tempfile::tempdir().unwrap();
        RunSummary::read(&made_up::run(&root.path().join("x"), events)).unwrap()
    }

    #[test]
    fn a_finished_run_tells_score_steps_and_time() {
        let found = summary(&[
            started(0, 40),
            evaluated(0, 0.5, false),
            step(10),
            step(20),
            evaluated(20, 0.8, true),
            step(40),
            evaluated(40, 0.7, false),
            finished(40, Outcome::Completed, Some(20)),
        ]);
        assert_eq!((found.status, found.step, found.total_steps), (Status::Completed, 40, Some(40)));
        assert_eq!((found.metric.as_deref(), found.baseline), (Some("ndcg"), Some(0.5)));
        assert_eq!((found.best, found.best_step, found.elapsed_seconds), (Some(0.8), Some(20), 40.0));
    }

    #[test]
    fn every_end_has_its_name() {
        for (outcome, status) in [
            (Outcome::Completed, Status::Completed),
            (Outcome::EarlyStopped, Status::EarlyStopped),
            (Outcome::Interrupted, Status::Interrupted),
            (Outcome::Failed, Status::Failed),
        ] {
            assert_eq!(summary(&[started(0, 4), step(1), finished(1, outcome, None)]).status, status);
        }
        assert_eq!(summary(&[started(0, 4), step(1)]).status, Status::Died);
        assert_eq!(summary(&[]).status, Status::Died);
    }

    #[test]
    fn a_locked_run_is_running_whatever_it_said_before() {
        let root = tempfile::tempdir().unwrap();
        let run =
            made_up::run(&root.path().join("x"), &[started(0, 4), finished(4, Outcome::Completed, None)]);
        let held = run.lock().unwrap();
        assert_eq!(RunSummary::read(&run).unwrap().status, Status::Running);
        drop(held);
        assert_eq!(RunSummary::read(&run).unwrap().status, Status::Completed);
    }

    /// As after a kill before the first save, or in a copy without checkpoints.
    #[test]
    fn without_checkpoints_the_best_score_is_sought() {
        let found = summary(&[
            started(0, 40),
            evaluated(0, 0.5, false),
            evaluated(10, 0.6, true),
            evaluated(20, 0.8, true),
            evaluated(30, 0.7, false),
        ]);
        assert_eq!((found.best, found.best_step), (Some(0.8), Some(20)));
    }

    #[test]
    fn an_extended_run_has_the_length_of_its_extension() {
        let root = tempfile::tempdir().unwrap();
        let mut events = vec![started(0, 40)];
        events.extend((1..=40).map(step));
        events.push(started(40, 90));
        events.extend((41..=50).map(step));
        let run = made_up::run(&root.path().join("x"), &events);
        assert_eq!(RunSummary::read(&run).unwrap().total_steps, Some(40), "it was not extended");
        let mut manifest = RunManifest::read(&run.manifest_path()).unwrap();
        manifest.argv = ["temper", "train", "--resume", "x"].map(str::to_owned).to_vec();
        manifest.write(&run.manifest_path()).unwrap();
        let found = RunSummary::read(&run).unwrap();
        assert_eq!((found.step, found.total_steps, found.elapsed_seconds), (50, Some(90), 50.0));
    }

    #[test]
    fn a_torn_last_line_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        let run = made_up::run(&root.path().join("x"), &[started(0, 4), step(1)]);
        let mut text = fs::read_to_string(run.events_path()).unwrap();
        let torn = text.lines().last().unwrap().replace("\"step\":1", "\"step\":2");
        text.push_str(&torn[..torn.len() - 9]);
        fs::write(run.events_path(), text).unwrap();
        assert_eq!(RunSummary::read(&run).unwrap().step, 1);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let root = tempfile::tempdir().unwrap();
        let run = made_up::run(&root.path().join("x"), &[]);
        fs::write(run.events_path(), "{\"step\": 1}\n").unwrap();
        let message = RunSummary::read(&run).unwrap_err().to_string();
        assert!(message.contains("events.jsonl` line 1 is not an event"), "{message}");
        fs::write(run.manifest_path(), "{}").unwrap();
        let message = RunSummary::read(&run).unwrap_err().to_string();
        assert!(message.contains("manifest.json"), "{message}");
    }
}
