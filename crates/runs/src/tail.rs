//! Follows an event stream while another process writes it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{Error, Stamped};

/// A reader of a growing `events.jsonl`.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    // Held open so that its inode cannot be given to the file that replaces it.
    file: Option<File>,
    read_bytes: u64,
}

/// What a poll found.
#[derive(Debug, Default, PartialEq)]
pub struct News {
    /// The stream was replaced (a resume cut it back): forget what came before, `events` starts from the top.
    pub restarted: bool,
    /// The new events.
    pub events: Vec<Stamped>,
    /// Complete lines that are no event of this version.
    pub unreadable: usize,
}

impl Tail {
    /// Follows the file at `path`, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, read_bytes: 0 }
    }

    /// What was written since the last poll; a line still being written waits for its end.
    pub fn poll(&mut self) -> Result<News, Error> {
        let mut news = News::default();
        match self.read_new(&mut news) {
            // Not there yet, or for a moment away while it is replaced.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(News::default()),
            other => other.map(|()| news).map_err(Error::io("read", &self.path)),
        }
    }

    fn read_new(&mut self, news: &mut News) -> io::Result<()> {
        let path_metadata = fs::metadata(&self.path)?;
        let same = match &self.file {
            Some(file) => {
                let held = file.metadata()?;
                (held.dev(), held.ino()) == (path_metadata.dev(), path_metadata.ino())
                    && held.len() >= self.read_bytes
            }
            None => false,
        };
        if !same {
            news.restarted = self.read_bytes > 0;
            self.file = None;
            self.read_bytes = 0;
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => File::open(&self.path)?,
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.read_bytes))?;
        file.read_to_end(&mut bytes)?;
        self.file = Some(file);
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        self.read_bytes += whole as u64;
        for line in bytes[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(event) => news.events.push(event),
                Err(_) => news.unreadable += 1,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;
    use crate::{Event, EventLog};

    fn warned(step: u64) -> Stamped {
        Stamped { time: step as f64, event: Event::Warned { step, message: "m".into() } }
    }

    fn news(restarted: bool, steps: &[u64]) -> News {
        News { restarted, events: steps.iter().copied().map(warned).collect(), unreadable: 0 }
    }

    #[test]
    fn each_event_comes_once_and_a_resume_starts_anew() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("events.jsonl");
        let mut tail = Tail::new(&path);
        assert_eq!(tail.poll().unwrap(), News::default());
        let mut log = EventLog::open(&path).unwrap();
        log.append(&warned(1)).unwrap();
        log.append(&warned(2)).unwrap();
        assert_eq!(tail.poll().unwrap(), news(false, &[1, 2]));
        assert_eq!(tail.poll().unwrap(), News::default());
        log.cut_back_to(1).unwrap();
        log.append(&warned(2)).unwrap();
        log.append(&warned(3)).unwrap();
        assert_eq!(tail.poll().unwrap(), news(true, &[1, 2, 3]));
        assert_eq!(tail.poll().unwrap(), News::default());
    }

    #[test]
    fn a_line_is_read_when_it_is_whole() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("events.jsonl");
        let line = serde_json::to_vec(&warned(1)).unwrap();
        let mut file = File::create(&path).unwrap();
        let mut tail = Tail::new(&path);
        file.write_all(&line[..20]).unwrap();
        assert_eq!(tail.poll().unwrap(), News::default());
        file.write_all(&line[20..]).unwrap();
        file.write_all(b"\nnonsense\n").unwrap();
        assert_eq!(tail.poll().unwrap(), News { unreadable: 1, ..news(false, &[1]) });
    }
}
