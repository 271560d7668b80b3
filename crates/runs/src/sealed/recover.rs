//! The renames around a sealed folder, and putting right what a killed process left between them.

use std::fs;
use std::io;
use std::path::Path;

use super::{final_name, names_in, old_of, partial_of};
use crate::Error;
use crate::atomic::{folder_of, sync_folder};

/// Removes a sealed folder so that no instant shows half of it under its name.
pub fn remove(path: &Path) -> Result<(), Error> {
    // The waiting old one goes first, or it would come back to life.
    discard(&old_of(path), &partial_of(path))?;
    discard(path, &partial_of(path))
}

/// Clears what killed writers left in `parent`; an old folder whose replacement never arrived gets its name back.
pub fn clean_partials(parent: &Path) -> Result<(), Error> {
    for name in names_in(parent)? {
        let finished = final_name(&name);
        if finished != name {
            recover(&parent.join(finished))?;
        }
    }
    Ok(())
}

pub(super) fn recover(path: &Path) -> Result<(), Error> {
    let (partial, old) = (partial_of(path), old_of(path));
    remove_tree(&partial)?;
    if old.exists() && !path.exists() {
        fs::rename(&old, path).map_err(Error::io("restore", path))?;
        return sync_folder(folder_of(path));
    }
    discard(&old, &partial)
}

/// The two renames; between them the old folder waits under a name that `recover` understands.
pub(super) fn put_in_place(path: &Path) -> Result<(), Error> {
    let old = old_of(path);
    if path.exists() {
        fs::rename(path, &old).map_err(Error::io("replace", path))?;
    }
    if let Err(source) = fs::rename(partial_of(path), path) {
        let _ = fs::rename(&old, path);
        return Err(Error::Io { action: "complete", path: path.to_owned(), source });
    }
    sync_folder(folder_of(path))
}

/// Deletes `folder` by way of the name `doomed`, which is never trusted.
pub(super) fn discard(folder: &Path, doomed: &Path) -> Result<(), Error> {
    if !folder.exists() {
        return Ok(());
    }
    remove_tree(doomed)?;
    fs::rename(folder, doomed).map_err(Error::io("remove", folder))?;
    remove_tree(doomed)
}

fn remove_tree(path: &Path) -> Result<(), Error> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
