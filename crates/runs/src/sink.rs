//! Where a run's events go: the event stream always, TensorBoard too.

use std::fs;

use crate::{Error, Event, EventLog, RunFolder, Stamped, TensorBoard};

/// Writes each event everywhere; a log that fails (a full disk) is reported once and does not stop the run.
#[derive(Debug)]
pub struct Sink {
    log: EventLog,
    board: Option<TensorBoard>,
    log_failed: bool,
    board_failed: bool,
}

impl Sink {
    /// The sink of a new run.
    pub fn create(run: &RunFolder) -> Result<Self, Error> {
        Self::resume(run, 0)
    }

    /// The sink of a run that goes on after `step`: both logs are cut back to it, so that each step shows once.
    pub fn resume(run: &RunFolder, step: u64) -> Result<Self, Error> {
        let mut log = EventLog::open(&run.events_path())?;
        log.cut_back_to(step)?;
        let mut board = TensorBoard::create(&run.tensorboard_dir(), step)?;
        // Written before the first step; only a folder that no training made is without them.
        if let (Ok(config), Ok(manifest)) =
            (fs::read_to_string(run.config_path()), fs::read_to_string(run.manifest_path()))
        {
            board.describe(&config, &manifest)?;
        }
        Ok(Self::new(log, Some(board)))
    }

    /// A sink of logs that are open already.
    pub fn new(log: EventLog, board: Option<TensorBoard>) -> Self {
        Self { log, board, log_failed: false, board_failed: false }
    }

    /// Writes `event` now and returns the warnings to show: one for the first failure of each log.
    pub fn emit(&mut self, event: Event) -> Vec<Event> {
        let stamped = Stamped::now(event);
        let step = stamped.event.step();
        let mut warnings = Vec::new();
        if let Err(error) = self.log.append(&stamped)
            && !std::mem::replace(&mut self.log_failed, true)
        {
            warnings.push(warning(step, "the event log", &error));
        }
        if let Some(Err(error)) = self.board.as_mut().map(|board| board.log(&stamped))
            && !std::mem::replace(&mut self.board_failed, true)
        {
            let warned = warning(step, "the TensorBoard log", &error);
            // Both logs usually share a disk; the caller shows the warning either way.
            let _ = self.log.append(&Stamped::now(warned.clone()));
            warnings.push(warned);
        }
        warnings
    }

    /// Waits until the event stream is on the disk, as before a checkpoint at `step`; a first failure is a warning.
    pub fn sync(&mut self, step: u64) -> Option<Event> {
        let error = self.log.sync().err()?;
        let told = std::mem::replace(&mut self.log_failed, true);
        (!told).then(|| warning(step, "the event log", &error))
    }
}

fn warning(step: u64, what: &str, error: &Error) -> Event {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    let message = format!(
        "{what} has gaps from here on: {error}{cause}; training goes on, make room so that checkpoints can be saved"
    );
    Event::Warned { step, message }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::read_events;

    fn step(step: u64) -> Event {
        Event::Step {
            step,
            epoch: step as f64 / 800.0,
            loss: 1.0 / (step + 1) as f64,
            set_losses: std::collections::BTreeMap::new(),
            learning_rate: 2e-5,
            grad_norm: 1.0,
            examples: 32 * step,
            tokens: 900 * step,
            examples_per_second: 10.0,
            tokens_per_second: 300.0,
            elapsed_seconds: step as f64,
            memory: None,
        }
    }

    #[test]
    fn a_resumed_run_shows_each_step_once() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create_exact(&root.path().join("x")).unwrap();
        let mut sink = Sink::create(&run).unwrap();
        for at in [100, 200, 300] {
            assert_eq!(sink.emit(step(at)), []);
        }
        let mut sink = Sink::resume(&run, 200).unwrap();
        sink.emit(step(300));
        assert_eq!(sink.sync(300), None);
        let steps: Vec<u64> =
            read_events(&run.events_path()).unwrap().iter().map(|stamped| stamped.event.step()).collect();
        assert_eq!(steps, [100, 200, 300]);
    }

    #[test]
    fn a_run_that_begins_again_forgets_its_baseline() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create_exact(&root.path().join("x")).unwrap();
        Sink::create(&run).unwrap().emit(step(0));
        let mut sink = Sink::resume(&run, 0).unwrap();
        sink.emit(step(0));
        assert_eq!(read_events(&run.events_path()).unwrap().len(), 1);
    }

    /// Linux answers every write to this device as a full disk does.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_once_and_the_run_goes_on() {
        let mut sink = Sink::new(EventLog::open_at("/dev/full".as_ref(), 0).unwrap(), None);
        let warnings = sink.emit(step(100));
        let [Event::Warned { step: 100, message }] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(message.contains("/dev/full") && message.contains("No space left"), "{message}");
        assert_eq!(sink.emit(step(200)), []);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_failing_tensorboard_is_told_in_the_event_stream() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("events.jsonl");
        let board = TensorBoard::on_full_disk();
        let mut sink = Sink::new(EventLog::open(&path).unwrap(), Some(board));
        assert_eq!(sink.emit(step(100)).len(), 1);
        assert_eq!(sink.emit(step(200)), []);
        let warned = |stamped: &Stamped| matches!(stamped.event, Event::Warned { .. });
        assert_eq!(read_events(&path).unwrap().iter().map(warned).collect::<Vec<_>>(), [false, true, false]);
    }
}
