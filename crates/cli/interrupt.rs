//! Ctrl-C between two pieces of work, so that files that are being written are removed on the way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;

use crate::failure::Quit;

/// Notes a first Ctrl-C; a second one ends the process at once.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to listen.
    pub fn listen() -> anyhow::Result<Self> {
        let seen = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&seen))?;
        signal_hook::flag::register(SIGINT, Arc::clone(&seen))?;
        Ok(Self(seen))
    }

    /// An error with code 130 once Ctrl-C was pressed.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(Quit(130).into()) } else { Ok(()) }
    }
}
