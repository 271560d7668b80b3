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
