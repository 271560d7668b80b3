//! Signals: Ctrl-C between two pieces of work, so that files that are being written are removed on the way out, and
//! a file size limit as an error that can be told.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::failure::Quit;
use crate::log::Level;
use crate::terminal::insist;

/// Makes a write beyond the file size limit (`ulimit -f`) fail, as on a full disk, in place of killing the process.
pub fn outlive_file_size_limit() {
    // Without it the process dies of such a write, as it would have anyway.
    drop(signal_hook::flag::register(SIGXFSZ, Arc::default()));
}

/// Ends the process at the first signal, after giving the terminal back.
pub fn restore_on_signals() -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let end = move || {
        if let Some(signal) = signals.forever().next() {
            temper_tui::restore();
            signal_hook::low_level::exit(128 + signal);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(end)?;
    Ok(())
}

/// Signals that end a run: SIGHUP is one, a terminal closed or a connection lost, unless `nohup` has it ignored.
pub fn ending_signals() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let hangs_up = ignored.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) == 0);
    [SIGINT, SIGTERM].into_iter().chain(hangs_up.then_some(SIGHUP)).collect()
}

/// Ends a command that writes nothing at the first Ctrl-C, and says so.
pub fn end_on_ctrl_c() -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT])?;
    let end = move || {
        if signals.forever().next().is_some() {
            // Not on the line of a progress bar.
            let bar = std::io::stderr().is_terminal();
            insist(Level::Note, if bar { "\ninterrupted" } else { "interrupted" });
            signal_hook::low_level::exit(130);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(end)?;
    Ok(())
}

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

    /// From now on the first Ctrl-C ends the process at once: nothing is being written any more, or not yet.
    pub fn no_longer_wait(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// From now on a first Ctrl-C is noted again.
    pub fn wait_again(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
