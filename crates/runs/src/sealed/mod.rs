//! A folder that is either whole or not there, whenever the process dies.
//!
//! It is written as `.NAME.partial`, completed by a manifest with sizes and hashes, and renamed to `NAME`. A folder
//! that is replaced waits as `.NAME.old` between the two renames. Nothing is ever deleted under a name that would be
//! trusted: what goes is first renamed to `.NAME.partial`.

mod forget;
mod recover;
mod verify;
mod writer;

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;

pub(crate) use forget::forget;
pub use recover::{clean_partials, remove};
pub use verify::{same_files, verify};
pub use writer::SealedWriter;

const MANIFEST: &str = "manifest.json";

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

fn read_manifest(folder: &Path) -> Result<Manifest, Error> {
    let path = folder.join(MANIFEST);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { path, source })
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

fn hash_file(path: &Path) -> io::Result<(u64, String)> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut hasher = blake3::Hasher::new();
    let size = io::copy(&mut reader, &mut hasher)?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_leftovers_have_another_final_name() {
        assert_eq!(final_name(".step-000400.partial"), "step-000400");
        assert_eq!(final_name(".step-000400.old"), "step-000400");
        for own in ["step-000400", ".partial", ".old", "x.old", ".lock", "index.json"] {
            assert_eq!(final_name(own), own);
        }
    }

    #[test]
    fn leftovers_lie_beside_the_final_path() {
        assert_eq!(partial_of(Path::new("a/b/")), Path::new("a/.b.partial"));
        assert_eq!(old_of(Path::new("b")), Path::new(".b.old"));
    }
}
