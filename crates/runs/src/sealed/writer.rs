//! Writing a sealed folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::recover::{discard, put_in_place, recover};
use super::{Entry, MANIFEST, Manifest, hash_file, names_in, old_of, partial_of};
use crate::Error;
use crate::atomic::{folder_of, sync_folder};

/// Writes a folder that appears under its final name only when complete; dropped unsealed, it leaves nothing.
#[derive(Debug)]
pub struct SealedWriter {
    path: PathBuf,
    partial: PathBuf,
    hashed: Vec<Entry>,
    sealed: bool,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::mem;

    use super::*;
    use crate::{clean_partials, remove, verify};

    /// A writer that has written all it has, with `content` in it.
    fn writer(path: &Path, content: &str) -> SealedWriter {
        let mut writer = SealedWriter::new(path).unwrap();
        writer.write_file("model", |file| file.write_all(content.as_bytes())).unwrap();
        writer
    }

    fn extra(content: &str) -> serde_json::Value {
        serde_json::json!({ "content": content })
    }

    fn seal(path: &Path, content: &str) {
        writer(path, content).seal(extra(content)).unwrap();
    }

    /// What a process leaves that dies right after each system call of replacing "old" by "new", in order.
    fn die_after(cut: usize, path: &Path) {
        let mut writer = writer(path, "new");
        if cut >= 1 {
            fs::write(writer.partial.join(MANIFEST), "{\"fil").unwrap();
        }
        if cut >= 2 {
            writer.complete(extra("new")).unwrap();
        }
        if cut >= 3 {
            fs::rename(path, old_of(path)).unwrap();
        }
        if cut >= 4 {
            fs::rename(partial_of(path), path).unwrap();
        }
        if cut >= 5 {
            fs::rename(old_of(path), partial_of(path)).unwrap();
        }
        if cut >= 6 {
            fs::remove_file(partial_of(path).join(MANIFEST)).unwrap();
        }
        mem::forget(writer);
    }

    #[test]
    fn a_kill_at_any_instant_of_a_replacement_leaves_a_whole_folder() {
        for cut in 0..=6 {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("step-000400");
            seal(&path, "old");
            die_after(cut, &path);
            let expected = extra(if cut >= 4 { "new" } else { "old" });
            let found = crate::sealed::whole_at(&path).unwrap();
            assert_eq!(verify(&found).unwrap(), expected, "before recovery, cut {cut}");
            clean_partials(root.path()).unwrap();
            assert_eq!(verify(&path).unwrap(), expected, "after recovery, cut {cut}");
            assert_eq!(names_in(root.path()).unwrap(), ["step-000400"], "cut {cut}");
        }
    }

    #[test]
    fn a_kill_at_any_instant_of_a_first_save_leaves_nothing_or_all() {
        for cut in 0..=2 {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("step-000400");
            die_after(cut, &path);
            assert_eq!(crate::sealed::whole_at(&path), None);
            clean_partials(root.path()).unwrap();
            assert!(names_in(root.path()).unwrap().is_empty());
            seal(&path, "new");
            assert_eq!(verify(&path).unwrap(), extra("new"));
        }
    }

    #[test]
    fn the_next_writer_recovers_by_itself() {
        for cut in 0..=6 {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("step-000400");
            seal(&path, "old");
            die_after(cut, &path);
            seal(&path, "newer");
            assert_eq!(verify(&path).unwrap(), extra("newer"));
            assert_eq!(names_in(root.path()).unwrap(), ["step-000400"]);
        }
    }

    #[test]
    fn a_kill_while_removing_never_brings_an_older_folder_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("step-000400");
        seal(&path, "old");
        die_after(4, &path);
        remove(&path).unwrap();
        clean_partials(root.path()).unwrap();
        assert!(names_in(root.path()).unwrap().is_empty());
    }

    #[test]
    fn a_full_disk_keeps_what_was_there_and_frees_the_rest() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("step-000400");
        seal(&path, "old");
        let mut writer = SealedWriter::new(&path).unwrap();
        let error = writer.write_file("model", |file| {
            file.write_all(&[0; 5000])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(error.unwrap_err().to_string().starts_with("failed to write"));
        drop(writer);
        assert_eq!(verify(&path).unwrap(), extra("old"));
        assert_eq!(names_in(root.path()).unwrap(), ["step-000400"]);
    }
}
