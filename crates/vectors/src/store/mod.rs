//! Vectors that were computed once: a content-addressed store on disk, shared by every command and process.
//!
//! A folder for every origin (fingerprint, prompt, truncation, precision) holds segments of texts' hashes and vectors.
//! A segment is written under a temporary name, renamed when whole, and never changed, so a kill loses no more than
//! what was not yet flushed. Writers take turns by a file lock and leave out what another one has stored meanwhile;
//! readers need no lock. What does not match its checksum is told, removed, and computed again. Memory does not grow
//! with the store: of a segment's index only every 128th hash is held.

mod folder;
mod merge;
mod segment;

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{Error, Provenance, Result};

pub use folder::{Stored, list};
use segment::{Entry, Segment};

/// Rows that are kept in memory before they become a segment.
const FLUSH_ROWS: usize = 4096;
/// A slow encoder's rows are flushed after this time.
const FLUSH_AFTER: Duration = Duration::from_secs(20);

/// The vectors of one origin.
pub struct Store {
    folder: PathBuf,
    dim: usize,
    segments: Vec<Segment>,
    pending: Pending,
    flushed: Instant,
    warnings: Vec<String>,
}

/// What [`Store::find`] knows about some texts.
#[derive(Debug, Default)]
pub struct Found {
    /// A vector for each text, end to end; zeros where there is none.
    pub values: Vec<f32>,
    /// Indices of the texts without one, ascending.
    pub missing: Vec<usize>,
}

/// Identity of a text within an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key(u128);

/// Rows not yet on disk.
#[derive(Default)]
struct Pending {
    places: HashMap<Key, usize>,
    values: Vec<f32>,
}

impl Key {
    fn of(text: &str) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
        Self(u128::from_le_bytes(bytes))
    }
}

impl Store {
    /// Opens, or begins, what the folder `cache` holds of this origin.
    pub fn open(cache: &Path, origin: &Provenance, dim: usize) -> Result<Self> {
        let folder = folder::prepare(cache, origin, dim)?;
        let mut store = Self {
            folder,
            dim,
            segments: Vec::new(),
            pending: Pending::default(),
            flushed: Instant::now(),
            warnings: Vec::new(),
        };
        store.refresh()?;
        Ok(store)
    }

    /// What is known about texts.
    pub fn find<S: AsRef<str>>(&mut self, texts: &[S]) -> Result<Found> {
        let mut values = vec![0.0; texts.len() * self.dim];
        let mut wanted = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let key = Key::of(text.as_ref());
            match self.pending.places.get(&key) {
                Some(row) => values[index * self.dim..][..self.dim]
                    .copy_from_slice(&self.pending.values[row * self.dim..][..self.dim]),
                None => wanted.push((key, index)),
            }
        }
        wanted.sort_unstable();
        let mut at = 0;
        while at < self.segments.len() && !wanted.is_empty() {
            match self.segments[at].read(&mut wanted, &mut values) {
                Ok(()) => at += 1,
                Err(reason) => self.give_up(at, &reason)?,
            }
        }
        let mut missing: Vec<usize> = wanted.into_iter().map(|(_, index)| index).collect();
        missing.sort_unstable();
        Ok(Found { values, missing })
    }

    /// Adds vectors of texts; now and then they are written to disk.
    ///
    /// # Shapes
    /// - values: `[texts, dim]`
    pub fn insert<S: AsRef<str>>(&mut self, texts: &[S], values: &[f32]) -> Result<()> {
        let expected = texts.len() * self.dim;
        if values.len() != expected {
            return Err(Error::Shape { what: "values to store", expected, found: values.len() });
        }
        for (text, row) in texts.iter().zip(values.chunks_exact(self.dim.max(1))) {
            let place = self.pending.places.len();
            if let Slot::Vacant(slot) = self.pending.places.entry(Key::of(text.as_ref())) {
                slot.insert(place);
                self.pending.values.extend_from_slice(row);
            }
            if self.pending.places.len() >= FLUSH_ROWS {
                self.flush()?;
            }
        }
        if self.flushed.elapsed() >= FLUSH_AFTER { self.flush() } else { Ok(()) }
    }

    /// Writes what is still in memory.
    pub fn flush(&mut self) -> Result<()> {
        self.flushed = Instant::now();
        let pending = std::mem::take(&mut self.pending);
        if pending.places.is_empty() {
            return Ok(());
        }
        let _turn = folder::Turn::take(&self.folder)?;
        self.refresh()?;
        let rows = self.not_stored(&pending)?;
        if rows.is_empty() {
            return Ok(());
        }
        let path = segment::write(&self.folder, self.dim, &rows, &pending.values)?;
        self.add(path)?;
        while let Some(group) = merge::due(&self.segments) {
            let merged = merge::merge(&self.folder, self.dim, &self.segments, &group)?;
            for at in group.into_iter().rev() {
                segment::remove(&self.segments.remove(at).path)?;
            }
            self.add(merged)?;
        }
        Ok(())
    }

    /// What was found damaged since this was last asked.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The pending rows that no segment holds, sorted by key.
    fn not_stored(&mut self, pending: &Pending) -> Result<Vec<Entry>> {
        let mut keys: Vec<(Key, usize)> = pending.places.iter().map(|(key, row)| (*key, *row)).collect();
        keys.sort_unstable();
        let mut at = 0;
        while at < self.segments.len() {
            match self.segments[at].locate(&mut keys) {
                Ok(_) => at += 1,
                Err(reason) => self.give_up(at, &reason)?,
            }
        }
        let entry = |(key, row)| Entry::new(key, row, &pending.values[row * self.dim..][..self.dim]);
        Ok(keys.into_iter().map(entry).collect())
    }

    /// Opens the segments that other processes have added, and closes those that are gone.
    fn refresh(&mut self) -> Result<()> {
        let there = folder::segments(&self.folder)?;
        self.segments.retain(|segment| there.contains(&segment.path));
        for path in there {
            if !self.segments.iter().any(|segment| segment.path == path) {
                self.add(path)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf) -> Result<()> {
        match Segment::open(path.clone(), self.dim) {
            Ok(segment) => self.segments.push(segment),
            // Another process has merged it just now; what it held is computed again at worst.
            Err(_) if !path.exists() => {}
            Err(reason) => self.discard(&path, &reason)?,
        }
        Ok(())
    }

    fn give_up(&mut self, at: usize, reason: &str) -> Result<()> {
        let segment = self.segments.remove(at);
        self.discard(&segment.path, reason)
    }

    fn discard(&mut self, path: &Path, reason: &str) -> Result<()> {
        self.warnings.push(format!(
            "`{}` is damaged ({reason}): removed, and its vectors are computed again",
            path.display()
        ));
        segment::remove(path)
    }
}

fn read_error(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Read { path, source }
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Write { path, source }
}

/// Creates a file by `write` under a temporary name; it gets its own name when it is whole and on disk.
fn create_whole(folder: &Path, write: impl FnOnce(&mut File) -> std::io::Result<String>) -> Result<PathBuf> {
    let temporary = folder.join(format!("{}{}", std::process::id(), folder::TEMPORARY));
    let written = File::create(&temporary).and_then(|mut file| {
        let name = write(&mut file)?;
        file.sync_data()?;
        let path = folder.join(name);
        fs::rename(&temporary, &path)?;
        Ok(path)
    });
    written.map_err(|source| {
        // The failure that is told matters more.
        drop(fs::remove_file(&temporary));
        Error::Write { path: folder.to_owned(), source }
    })
}

#[cfg(test)]
mod tests;
