//! A folder that is either whole or not there, whenever the process dies.
//!
//! It is written as `.NAME.partial`, completed by a manifest with sizes and hashes, and renamed to `NAME`. A folder
//! that is replaced waits as `.NAME.old` between the two renames. Nothing is ever deleted under a name that would be
//! trusted: what goes is first renamed to `.NAME.partial`.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::atomic::{folder_of, sync_folder};

const MANIFEST: &str = "manifest.json";

/// Writes a folder that appears under its final name only when complete; dropped unsealed, it leaves nothing.
#[derive(Debug)]
pub struct SealedWriter {
    path: PathBuf,
    partial: PathBuf,
    hashed: Vec<Entry>,
    sealed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: String,
    size: u64,
    blake3: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    files: Vec<Entry>,
    extra: serde_json::Value,
}

impl SealedWriter {
    /// Begins the folder that will be `path`, clearing what a killed writer left of an earlier try.
    pub fn new(path: &Path) -> Result<Self, Error> {
        recover(path)?;
        let partial = partial_of(path);
        fs::create_dir_all(&partial).map_err(Error::io("create", &partial))?;
        Ok(Self { path: path.to_owned(), partial, hashed: Vec::new(), sealed: false })
    }

    /// Where to write the file `name` (`a/b` for one in a subfolder) with other means; `seal` hashes it.
    pub fn file(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.partial.join(name);
        let parent = folder_of(&path);
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        Ok(path)
    }

    /// Writes the file `name`, hashing on the way, and waits until it is on the disk.
    pub fn write_file(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        let path = self.file(name)?;
        let entry = write_hashed(name, &path, write).map_err(Error::io("write", &path))?;
        self.hashed.retain(|other| other.name != name);
        self.hashed.push(entry);
        Ok(())
    }

    /// Completes the folder with its manifest and gives it its final name, replacing what had it.
    pub fn seal(mut self, extra: serde_json::Value) -> Result<(), Error> {
        self.complete(extra)?;
        put_in_place(&self.path)?;
        self.sealed = true;
        discard(&old_of(&self.path), &self.partial)
    }

    fn complete(&mut self, extra: serde_json::Value) -> Result<(), Error> {
        let mut names = Vec::new();
        list_files(&self.partial, "", &mut names)?;
        names.sort();
        let files = names.iter().map(|name| self.entry(name)).collect::<Result<Vec<_>, _>>()?;
        let path = self.partial.join(MANIFEST);
        let bytes = serde_json::to_vec_pretty(&Manifest { files, extra })
            .map_err(|source| Error::Json { path: path.clone(), source })?;
        write_hashed(MANIFEST, &path, |file| file.write_all(&bytes)).map_err(Error::io("write", &path))?;
        sync_folder(&self.partial)
    }

    /// What is known of a written file, or else read from it.
    fn entry(&self, name: &str) -> Result<Entry, Error> {
        if let Some(entry) = self.hashed.iter().find(|entry| entry.name == name) {
            return Ok(entry.clone());
        }
        let path = self.partial.join(name);
        File::open(&path).and_then(|file| file.sync_all()).map_err(Error::io("sync", &path))?;
        let (size, blake3) = hash_file(&path).map_err(Error::io("read", &path))?;
        Ok(Entry { name: name.to_owned(), size, blake3 })
    }
}

impl Drop for SealedWriter {
    fn drop(&mut self) {
        if !self.sealed {
            // A failed save must not go on filling the disk; `recover` removes it otherwise.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// Checks every file of a sealed folder against its manifest and returns the manifest's `extra`.
pub fn verify(path: &Path) -> Result<serde_json::Value, Error> {
    let remedy = || "use another checkpoint".to_owned();
    let manifest_path = path.join(MANIFEST);
    let bytes = match fs::read(&manifest_path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NotSealed { path: path.to_owned(), remedy: remedy() });
        }
        other => other.map_err(Error::io("read", &manifest_path))?,
    };
    let damaged = |file: &str, problem: String| Error::Damaged {
        path: path.to_owned(),
        file: file.to_owned(),
        problem,
        remedy: remedy(),
    };
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| damaged(MANIFEST, format!("cannot be read ({error})")))?;
    for entry in &manifest.files {
        if let Some(problem) = difference(&path.join(&entry.name), entry)? {
            return Err(damaged(&entry.name, problem));
        }
    }
    Ok(manifest.extra)
}

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

/// Where the whole folder of this final path lies right now: there, or still waiting as the old one.
pub(crate) fn whole_at(path: &Path) -> Option<PathBuf> {
    [path.to_owned(), old_of(path)].into_iter().find(|folder| folder.join(MANIFEST).is_file())
}

/// The final name behind `.NAME.partial` and `.NAME.old`; any other name is its own.
pub(crate) fn final_name(name: &str) -> &str {
    name.strip_prefix('.')
        .and_then(|rest| rest.strip_suffix(".partial").or(rest.strip_suffix(".old")))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(name)
}

pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, Error> {
    fs::read_dir(folder)
        .and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        })
        .map_err(Error::io("read", folder))
}

fn recover(path: &Path) -> Result<(), Error> {
    let (partial, old) = (partial_of(path), old_of(path));
    remove_tree(&partial)?;
    if old.exists() && !path.exists() {
        fs::rename(&old, path).map_err(Error::io("restore", path))?;
        return sync_folder(folder_of(path));
    }
    discard(&old, &partial)
}

/// The two renames; between them the old folder waits under a name that `recover` understands.
fn put_in_place(path: &Path) -> Result<(), Error> {
    let old = old_of(path);
    if path.exists() {
        discard(&old, &old.with_extension("discarded.partial"))?;
        fs::rename(path, &old).map_err(Error::io("replace", path))?;
    }
    if let Err(source) = fs::rename(partial_of(path), path) {
        let _ = fs::rename(&old, path);
        return Err(Error::Io { action: "complete", path: path.to_owned(), source });
    }
    sync_folder(folder_of(path))
}

/// Deletes `folder` by way of the name `doomed`, which is never trusted.
fn discard(folder: &Path, doomed: &Path) -> Result<(), Error> {
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

/// Lists every file below `folder` as `a/b`, and makes the names in each subfolder durable.
fn list_files(folder: &Path, prefix: &str, names: &mut Vec<String>) -> Result<(), Error> {
    for name in names_in(folder)? {
        let path = folder.join(&name);
        let full_name = format!("{prefix}{name}");
        if path.is_dir() {
            list_files(&path, &format!("{full_name}/"), names)?;
            sync_folder(&path)?;
        } else if full_name != MANIFEST {
            names.push(full_name);
        }
    }
    Ok(())
}

fn write_hashed(
    name: &str,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Entry> {
    let mut file = Hashing { inner: File::create(path)?, hasher: blake3::Hasher::new(), size: 0 };
    let mut buffered = BufWriter::with_capacity(1 << 20, &mut file);
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    file.inner.sync_all()?;
    Ok(Entry { name: name.to_owned(), size: file.size, blake3: file.hasher.finalize().to_hex().to_string() })
}

struct Hashing {
    inner: File,
    hasher: blake3::Hasher,
    size: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// How the file differs from its entry, if it does.
fn difference(path: &Path, entry: &Entry) -> Result<Option<String>, Error> {
    let size = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some("is missing".to_owned())),
        other => other.map_err(Error::io("read", path))?.len(),
    };
    if size != entry.size {
        return Ok(Some(format!("is {size} bytes, manifest says {}", entry.size)));
    }
    let (_, blake3) = hash_file(path).map_err(Error::io("read", path))?;
    Ok((blake3 != entry.blake3).then(|| "does not have the hash the manifest says".to_owned()))
}

fn hash_file(path: &Path) -> io::Result<(u64, String)> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut hasher = blake3::Hasher::new();
    let size = io::copy(&mut reader.by_ref(), &mut hasher)?;
    Ok((size, hasher.finalize().to_hex().to_string()))
}

fn partial_of(path: &Path) -> PathBuf {
    sibling(path, "partial")
}

fn old_of(path: &Path) -> PathBuf {
    sibling(path, "old")
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{suffix}"))
}
