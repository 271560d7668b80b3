//! Where a run's events go: the event stream always, TensorBoard too.

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
        Ok(Self::new(log, Some(TensorBoard::create(&run.tensorboard_dir(), step)?)))
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

    /// Waits until the event stream is on the disk, as before a checkpoint.
    pub fn sync(&self) -> Result<(), Error> {
        self.log.sync()
    }
}

fn warning(step: u64, what: &str, error: &Error) -> Event {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    let message = format!(
        "{what} has gaps from here on: {error}{cause}; training goes on, make room so that checkpoints can be saved"
    );
    Event::Warned { step, message }
}
