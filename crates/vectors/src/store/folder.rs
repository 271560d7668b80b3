//! The folders of a store: one for every origin, with a note for people of what it holds.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::segment::EXTENSION;
use super::{read_error, write_error};
use crate::{Provenance, Result};

/// What the names of unfinished files end with.
pub(super) const TEMPORARY: &str = ".partial";
/// The layout of these files; another one would lie in another folder.
const LAYOUT: &str = "vectors-1";
const NOTE: &str = "origin.json";
const LOCK: &str = "lock";

/// One origin's part of a store.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its folder.
    pub folder: PathBuf,
    /// Where the vectors came from.
    pub origin: Provenance,
    /// Length of each vector.
    pub dim: usize,
    /// How many there are.
    pub rows: usize,
    /// Bytes of all files.
    pub bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Note {
    dim: usize,
    origin: Provenance,
}

/// What a cache folder holds, by folder name; empty when it is not there.
pub fn list(cache: &Path) -> Result<Vec<Stored>> {
    let mut all = Vec::new();
    for folder in entries(&cache.join(LAYOUT))? {
        // Without its note a folder is no store: another process begins or removes it.
        let note = fs::read(folder.join(NOTE)).ok();
        let Some(note) = note.and_then(|note| serde_json::from_slice::<Note>(&note).ok()) else { continue };
        let sizes = segments(&folder)?;
        let bytes = sizes.iter().map(|path| path.metadata().map_or(0, |metadata| metadata.len())).sum();
        let rows = super::segment::rows_of(bytes, sizes.len(), note.dim);
        all.push(Stored { folder, origin: note.origin, dim: note.dim, rows, bytes });
    }
    Ok(all)
}

/// The folder of an origin, made when it is not there.
pub(super) fn prepare(cache: &Path, origin: &Provenance, dim: usize) -> Result<PathBuf> {
    // The name that the user gave the model, and what it was made from, do not change its vectors.
    let identity = Provenance { model: String::new(), derived_from: None, ..origin.clone() };
    let name = &blake3::hash(format!("{dim} {}", identity.to_json()).as_bytes()).to_hex()[..32];
    let folder = cache.join(LAYOUT).join(name);
    fs::create_dir_all(&folder).map_err(write_error(&folder))?;
    let note = folder.join(NOTE);
    if !note.exists() {
        let _turn = Turn::take(&folder)?;
        let content = serde_json::json!(Note { dim, origin: origin.clone() }).to_string();
        let temporary = folder.join(format!("{NOTE}{TEMPORARY}"));
        let written = fs::write(&temporary, content).and_then(|()| fs::rename(&temporary, &note));
        written.map_err(write_error(&note))?;
    }
    Ok(folder)
}

/// The segments of a folder, by name.
pub(super) fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = entries(folder)?;
    all.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
    Ok(all)
}

/// The right to write in a folder, held by one process at a time and given back by the system when that one is killed.
pub(super) struct Turn {
    _lock: Option<File>,
}

impl Turn {
    /// Waits for the right to write, and removes what a killed writer left.
    pub(super) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let lock = File::create(&path).map_err(write_error(&path))?;
        // Some network file systems have no locks. Then two writers may store a text twice, and nothing worse.
        if lock.lock().is_err() {
            return Ok(Self { _lock: None });
        }
        for path in entries(folder)? {
            if path.to_string_lossy().ends_with(TEMPORARY) {
                drop(fs::remove_file(path));
            }
        }
        Ok(Self { _lock: Some(lock) })
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read_error(folder)(error)),
    };
    let mut all = Vec::new();
    for entry in read {
        all.push(entry.map_err(read_error(folder))?.path());
    }
    all.sort();
    Ok(all)
}
