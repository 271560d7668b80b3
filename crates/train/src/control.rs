//! What people ask of a run while it trains; the loop looks after each step.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Shared between the loop and whoever listens to people.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicUsize,
    save: AtomicBool,
}

impl Control {
    /// Asks the run to end after the current step because of this signal; says whether it is the first to ask.
    pub fn stop(&self, signal: i32) -> bool {
        self.stop.compare_exchange(0, signal as usize, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The signal that asked the run to end.
    pub fn stopped_by(&self) -> Option<i32> {
        Some(self.stop.load(Ordering::SeqCst) as i32).filter(|signal| *signal != 0)
    }

    /// Asks for a checkpoint after the current step.
    pub fn save(&self) {
        self.save.store(true, Ordering::SeqCst);
    }

    /// Whether a checkpoint was asked for since the last look.
    pub(crate) fn take_save(&self) -> bool {
        self.save.swap(false, Ordering::SeqCst)
    }
}
