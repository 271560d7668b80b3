//! The terminal while the dashboard owns it, and how it is given back, whoever ends the process.

use std::io::{self, BufWriter, Stderr, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, TryLockError};
use std::thread;
use std::time::Duration;

use ratatui::crossterm::{cursor, execute, terminal};
use ratatui::prelude::CrosstermBackend;
use ratatui::{Frame, Terminal};

/// Whether the screen is the dashboard's.
static OWNED: AtomicBool = AtomicBool::new(false);

/// Held while something is written to it.
static DRAWING: Mutex<()> = Mutex::new(());

/// Bytes of a frame that go to the terminal in one write.
const FRAME_BYTES: usize = 1 << 16;

/// Raw mode and the alternate screen, on stderr: stdout is for data.
pub(crate) struct Screen(Terminal<CrosstermBackend<BufWriter<Stderr>>>);

impl Screen {
    /// Takes the terminal over.
    pub(crate) fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        OWNED.store(true, Ordering::SeqCst);
        let entered = execute!(io::stderr(), terminal::EnterAlternateScreen, cursor::Hide);
        let writer = BufWriter::with_capacity(FRAME_BYTES, io::stderr());
        match entered.and_then(|()| Terminal::new(CrosstermBackend::new(writer))) {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// Draws a frame, unless the terminal was given back.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame)) -> io::Result<()> {
        let _drawing = DRAWING.lock();
        if Self::is_owned() {
            self.0.draw(draw)?;
        }
        Ok(())
    }

    /// Draws everything anew at the next frame: something else may have written to the terminal.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.0.clear()
    }

    /// Whether nobody has given the terminal back.
    pub(crate) fn is_owned() -> bool {
        OWNED.load(Ordering::SeqCst)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was; nothing happens where no dashboard owns it. For panics and signals too.
pub fn restore() {
    if !OWNED.swap(false, Ordering::SeqCst) {
        return;
    }
    // A frame that is being drawn ends first, unless it is this thread's own or the terminal is stuck.
    for _ in 0..10 {
        match DRAWING.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(10)),
            _ => break,
        }
    }
    // There is nothing left to do about a terminal that refuses.
    let _ = execute!(io::stderr(), terminal::LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
    let _ = io::stderr().flush();
}
