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
        let file = AppendFile::open(path, whole as u64).map_err(Error::io("open", path))?;
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

    /// Forgets what happened after `step`, for a run that goes on from there; the file is replaced in one piece.
    pub fn cut_back_to(&mut self, step: u64) -> Result<(), Error> {
        let kept = lines_up_to(&read_or_empty(&self.path)?, step);
        write_atomic(&self.path, &kept)?;
        self.file = AppendFile::open(&self.path, kept.len() as u64).map_err(Error::io("open", &self.path))?;
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

/// A run that goes on has not finished, at whatever step it said so.
fn survives(event: &Event, step: u64) -> bool {
    event.step() <= step && !matches!(event, Event::Finished { .. })
}

fn read_or_empty(path: &Path) -> Result<Vec<u8>, Error> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(Error::io("read", path)),
    }
}
