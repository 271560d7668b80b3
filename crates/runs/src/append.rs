//! A log file that grows by whole records: a record that does not fit is taken back.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Appends records so that a full disk leaves no half record in the middle of the file.
#[derive(Debug)]
pub(crate) struct AppendFile {
    file: File,
    whole_bytes: u64,
    torn: bool,
}

impl AppendFile {
    /// Opens `path` at its end, creating it if absent, after dropping all but its first `whole_bytes`.
    pub(crate) fn open(path: &Path, whole_bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        if file.metadata()?.len() > whole_bytes {
            file.set_len(whole_bytes)?;
        }
        Ok(Self { file, whole_bytes, torn: false })
    }

    /// Writes one record in one piece and hands it to the system.
    pub(crate) fn append(&mut self, record: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.whole_bytes)?;
            self.torn = false;
        }
        if let Err(error) = self.file.write_all(record) {
            self.torn = self.file.set_len(self.whole_bytes).is_err();
            return Err(error);
        }
        self.whole_bytes += record.len() as u64;
        Ok(())
    }

    /// Waits until the records are on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
