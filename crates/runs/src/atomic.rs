//! Files that hold either the old bytes or the new ones, whenever the process dies.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// Replaces `path` by `bytes`.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    file.finish()
}

/// A file that replaces another once it is whole; dropped before, it leaves the other as it was.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
}

impl AtomicFile {
    /// Opens a temporary sibling of `path`.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let temporary = temporary_sibling(path);
        let file = File::create(&temporary).map_err(Error::io("write", path))?;
        Ok(Self { path: path.to_owned(), temporary, file: BufWriter::new(file) })
    }

    /// Gives it its name: fsync, rename, fsync of the folder.
    pub fn finish(mut self) -> Result<(), Error> {
        let written = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        written.map_err(Error::io("write", &self.path))?;
        fs::rename(&self.temporary, &self.path).map_err(Error::io("replace", &self.path))?;
        sync_folder(folder_of(&self.path))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        // Frees the space of what failed, whose error is the one worth telling; what is finished is not there any more.
        drop(fs::remove_file(&self.temporary));
    }
}

/// Makes renames and new names inside `folder` survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|handle| handle.sync_all()).map_err(Error::io("sync", folder))
}

/// The folder that holds `path`; `.` for a bare name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether a file of this name was being written by an [`AtomicFile`].
pub(crate) fn is_temporary(name: &str) -> bool {
    name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".tmp")).is_some()
}

/// Of this process alone: another one may be writing the same file.
fn temporary_sibling(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_is_the_old_one_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write_atomic(&path, b"old").unwrap();
        let read = || fs::read_to_string(&path).unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert!(names().any(|name| is_temporary(&name.to_string_lossy())) && read() == "old");
        drop(file);
        assert!(names().eq(["x"]) && read() == "old");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.finish().unwrap();
        assert!(names().eq(["x"]) && read() == "new");
    }
}
