//! `--log-file`: what goes to stderr, and more, with the time.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use crate::failure::BadInput;

static LOG: OnceLock<Mutex<File>> = OnceLock::new();

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For whoever wants to know what happens inside.
    Debug,
    /// Worth knowing.
    Note,
    /// May be wrong.
    Warning,
    /// The end.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Begins to write to `path`, behind what is there.
pub fn start(path: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = file.map_err(|error| {
        BadInput::new(format!("cannot write the log `{}`: {error}", path.display()))
            .hint("give --log-file a file in a folder that is there")
    })?;
    // Called once.
    drop(LOG.set(Mutex::new(file)));
    Ok(())
}

/// Whether there is a log.
pub fn is_kept() -> bool {
    LOG.get().is_some()
}

/// Adds to the log, if there is one. A log that cannot be written is no reason to stop working.
pub fn record(level: Level, message: &str) {
    if let Some(log) = LOG.get() {
        let entry = entry(&temper_runs::rfc3339(SystemTime::now()), level, message);
        drop(log.lock().unwrap_or_else(PoisonError::into_inner).write_all(entry.as_bytes()));
    }
}

/// One entry; the lines after its first are indented.
fn entry(time: &str, level: Level, message: &str) -> String {
    let prefix = format!("{}: ", level.name());
    let message = message.strip_prefix(&prefix).unwrap_or(message).trim_end().replace('\n', "\n    ");
    format!("{time} {:<7} {message}\n", level.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_its_level_once() {
        assert_eq!(entry("T", Level::Note, "2 vectors"), "T note    2 vectors\n");
        assert_eq!(entry("T", Level::Error, "error: no\nhint: yes\n"), "T error   no\n    hint: yes\n");
    }
}
