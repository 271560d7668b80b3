//! Small files that hold either the old bytes or the new ones, whenever the process dies.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Error;

/// Replaces `path` by `bytes`: a temporary sibling, fsync, rename, fsync of the folder.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = temporary_sibling(path);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(source) = written {
        // Frees the space again; the error worth telling is the first one.
        let _ = fs::remove_file(&temporary);
        return Err(Error::Io { action: "write", path: path.to_owned(), source });
    }
    fs::rename(&temporary, path).map_err(Error::io("replace", path))?;
    sync_folder(folder_of(path))
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

/// Whether a file of this name was being written by [`write_atomic`].
pub(crate) fn is_temporary(name: &str) -> bool {
    name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".tmp")).is_some()
}

fn temporary_sibling(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}
