//! `events.jsonl`: written a line per event, read back, and cut back when a run is resumed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::append::AppendFile;
use crate::{Error, Event, Stamped, write_atomic};

/// The event stream of a run, open for writing.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: AppendFile,
}

impl EventLog {
    /// Opens the stream at `path` at its end, creating it if absent; a torn last line is dropped.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = read_or_empty(path)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        Self::open_at(path, whole)
    }

    /// Opens it without a look, to go on after its first `whole_bytes`.
    pub(crate) fn open_at(path: &Path, whole_bytes: usize) -> Result<Self, Error> {
        let file = AppendFile::open(path, whole_bytes as u64).map_err(Error::io("open", path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Adds one event and hands it to the system; when that fails the file is as before.
    pub fn append(&mut self, stamped: &Stamped) -> Result<(), Error> {
        let mut line =
            serde_json::to_vec(stamped).map_err(|source| Error::Json { path: self.path.clone(), source })?;
        line.push(b'\n');
        self.file.append(&line).map_err(Error::io("write", &self.path))
    }

    /// Waits until every event is on the disk.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync().map_err(Error::io("sync", &self.path))
    }

    /// Forgets what happened after `step` (all of it for 0), for a run that goes on from there; the file is replaced in one piece.
    pub fn cut_back_to(&mut self, step: u64) -> Result<(), Error> {
        let kept = lines_up_to(&read_or_empty(&self.path)?, step);
        write_atomic(&self.path, &kept)?;
        *self = Self::open_at(&self.path, kept.len())?;
        Ok(())
    }
}

/// Every event of the file at `path`; a torn last line is passed over, since a kill may leave one.
pub fn read_events(path: &Path) -> Result<Vec<Stamped>, Error> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let mut events = Vec::with_capacity(lines.len());
    for (place, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(event) => events.push(event),
            Err(_) if place + 1 == lines.len() => {}
            Err(source) => {
                return Err(Error::EventLine { path: path.to_owned(), line: place + 1, source });
            }
        }
    }
    Ok(events)
}

/// The lines of a run that goes on after `step`. One that cannot be read goes too: a log must not stop a resume.
fn lines_up_to(bytes: &[u8], step: u64) -> Vec<u8> {
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .filter(|line| line.ends_with(b"\n"))
        .filter(|line| {
            serde_json::from_slice::<Stamped>(line).is_ok_and(|stamped| survives(&stamped.event, step))
        })
        .flatten()
        .copied()
        .collect()
}

/// A run that goes on has not finished, at whatever step it said so, and mines again what it mined behind the
/// checkpoint of this step; one that begins again does all of it again.
fn survives(event: &Event, step: u64) -> bool {
    let comes_again = match event {
        Event::Finished { .. } => true,
        Event::Mined { step: mined, .. } => *mined == step,
        _ => false,
    };
    step > 0 && event.step() <= step && !comes_again
}

fn read_or_empty(path: &Path) -> Result<Vec<u8>, Error> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(Error::io("read", path)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Outcome;

    fn warned(step: u64) -> Stamped {
        Stamped { time: step as f64, event: Event::Warned { step, message: "m".into() } }
    }

    fn finished(step: u64) -> Stamped {
        let event =
            Event::Finished { step, outcome: Outcome::Interrupted, best_step: None, message: String::new() };
        Stamped { time: 0.0, event }
    }

    fn log_of(path: &Path, events: &[Stamped]) -> EventLog {
        let mut log = EventLog::open(path).unwrap();
        for event in events {
            log.append(event).unwrap();
        }
        log
    }

    fn tear(path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        bytes.extend_from_slice(b"{\"time\":9,\"event\":\"war");
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_torn_last_line_is_passed_over_and_never_glued_to() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("events.jsonl");
        drop(log_of(&path, &[warned(1), warned(2)]));
        tear(&path);
        assert_eq!(read_events(&path).unwrap(), [warned(1), warned(2)]);
        drop(log_of(&path, &[warned(3)]));
        assert_eq!(read_events(&path).unwrap(), [warned(1), warned(2), warned(3)]);
    }

    #[test]
    fn cutting_back_drops_later_steps_the_end_and_a_torn_line() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("events.jsonl");
        drop(log_of(&path, &[warned(0), warned(400), finished(400), warned(401), finished(500)]));
        tear(&path);
        let mut log = EventLog::open(&path).unwrap();
        log.cut_back_to(400).unwrap();
        log.append(&warned(401)).unwrap();
        assert_eq!(read_events(&path).unwrap(), [warned(0), warned(400), warned(401)]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_named_but_does_not_stop_a_resume() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("events.jsonl");
        fs::write(&path, "\0\0\n").unwrap();
        let mut log = log_of(&path, &[warned(1)]);
        let message = read_events(&path).unwrap_err().to_string();
        assert!(message.contains("line 1 is not an event"), "{message}");
        log.cut_back_to(1).unwrap();
        assert_eq!(read_events(&path).unwrap(), [warned(1)]);
    }
}
