//! The dashboard beside the training: a thread of its own, fed by a channel, so that no step waits for the terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use temper_runs::{Event, RunFolder, Stamped, read_events};

use crate::board::Board;
use crate::dashboard::{Dashboard, Left, Request};
use crate::error::Error;
use crate::screen::Screen;
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

    /// Gives the terminal back. Where it is gone, the dashboard may wait for a key for ever, and is not waited for.
    pub fn close(self) -> Result<(), Error> {
        const LOOK: Duration = Duration::from_millis(10);
        const LOOKS: usize = 20;
        self.closed.store(true, Ordering::SeqCst);
        let mut without_terminal = 0;
        while !self.thread.is_finished() {
            without_terminal += usize::from(!Screen::is_owned());
            if without_terminal > LOOKS {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
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
