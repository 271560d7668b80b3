//! The dashboard beside the training: a thread of its own, fed by a channel, so that no step waits for the terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use temper_runs::{Event, RunFolder, Stamped, read_events};

use crate::board::Board;
use crate::dashboard::{Dashboard, Left, Request};
use crate::error::Error;
use crate::source::Source;

/// A dashboard on the screen.
pub struct Live {
    events: Sender<Stamped>,
    closed: Arc<AtomicBool>,
    thread: JoinHandle<Result<Left, Error>>,
}

impl Live {
    /// Takes the terminal over; what people ask for goes to `ask`, from the dashboard's thread.
    pub fn start(folder: &RunFolder, ask: impl FnMut(Request) + Send + 'static) -> Result<Self, Error> {
        let (events, incoming) = mpsc::channel();
        let closed = Arc::new(AtomicBool::new(false));
        let source = Source::Live(incoming, Arc::clone(&closed));
        let dashboard = Dashboard::open(folder, past(folder), source, Some(Box::new(ask)))?;
        let thread = thread::Builder::new()
            .name("dashboard".to_owned())
            .spawn(move || dashboard.run())
            .map_err(Error::Terminal)?;
        Ok(Self { events, closed, thread })
    }

    /// Hands an event over; false once the dashboard was left.
    pub fn show(&self, event: &Event) -> bool {
        self.events.send(Stamped::now(event.clone())).is_ok()
    }

    /// Gives the terminal back.
    pub fn close(self) -> Result<(), Error> {
        self.closed.store(true, Ordering::SeqCst);
        // A panic there was told by its hook.
        self.thread.join().map_or(Ok(()), |left| left.map(|_| ()))
    }
}

/// What a run that is resumed has behind it; its `Started` forgets the steps that will be taken again.
fn past(folder: &RunFolder) -> Board {
    let mut board = Board::default();
    // Damage there must not stop a resume.
    for event in read_events(&folder.events_path()).unwrap_or_default() {
        if !matches!(event.event, Event::Finished { .. }) {
            board.apply(&event);
        }
    }
    board
}
