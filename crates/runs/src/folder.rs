//! The layout of one run: `config.toml`, `manifest.json`, `events.jsonl`, `tensorboard/`, `checkpoints/`.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::checkpoints::folder_name;
use crate::naming::{check_name, folder_name_at};
use crate::{Error, Which, clean_partials};

const LOCK_TRIES: usize = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// One run's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes `root/<name>-<local time>`; an existing one is refused.
    pub fn create(root: &Path, name: &str, now: SystemTime) -> Result<Self, Error> {
        check_name(name)?;
        fs::create_dir_all(root).map_err(Error::io("create", root))?;
        let path = root.join(folder_name_at(name, now));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Error::Exists { path }),
            Err(error) => Err(Error::io("create", &path)(error)),
            Ok(()) => Self::with_parts(&path),
        }
    }

    /// Makes the run at exactly `path`, which must be absent or empty.
    pub fn create_exact(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
        let mut entries = fs::read_dir(path).map_err(Error::io("read", path))?;
        if entries.next().is_some() {
            return Err(Error::Exists { path: path.to_owned() });
        }
        Self::with_parts(path)
    }

    /// An existing run, only looked at: it may be one that another process is writing.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let run = Self { path: path.to_owned() };
        if run.manifest_path().is_file() { Ok(run) } else { Err(Error::NotARun { path: path.to_owned() }) }
    }

    /// Claims the run for writing until the returned handle is dropped or the process ends.
    pub fn lock(&self) -> Result<File, Error> {
        let path = self.lock_path();
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                // Whoever only looks whether the run is alive holds the lock for an instant.
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(source)) => return Err(Error::Io { action: "lock", path, source }),
            }
        }
        Err(Error::Locked { path: self.path.clone() })
    }

    /// Clears what a killed process left half-written; only for the process that will write (see `lock`).
    pub fn recover(&self) -> Result<(), Error> {
        clean_partials(&self.checkpoints_dir())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder's name.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Held by the process that trains.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.path.join(".lock")
    }

    /// The sign of life for other machines.
    pub(crate) fn heartbeat_path(&self) -> PathBuf {
        self.path.join("heartbeat.json")
    }

    /// The resolved config.
    pub fn config_path(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// The provenance.
    pub fn manifest_path(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    /// The event stream.
    pub fn events_path(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The pairs that a person marked as wrong.
    pub fn exclusions_path(&self) -> PathBuf {
        self.path.join("exclusions.jsonl")
    }

    /// What a dashboard kept off the screen: notes and warnings.
    pub fn log_path(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    /// The TensorBoard log.
    pub fn tensorboard_dir(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    /// Every checkpoint, and `index.json`.
    pub fn checkpoints_dir(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Where the checkpoint of `step` lies, or would.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.checkpoints_dir().join(folder_name(step))
    }

    /// How people name the checkpoint of this run: `runs/x@400`.
    pub fn reference(&self, which: Which) -> String {
        format!("{}@{which}", self.path.display())
    }

    fn with_parts(path: &Path) -> Result<Self, Error> {
        let run = Self { path: path.to_owned() };
        for part in [run.tensorboard_dir(), run.checkpoints_dir()] {
            fs::create_dir_all(&part).map_err(Error::io("create", &part))?;
        }
        Ok(run)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_run_that_exists_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&root.path().join("runs"), "nli", SystemTime::UNIX_EPOCH).unwrap();
        assert!(run.name().starts_with("nli-19"), "{}", run.name());
        let again = RunFolder::create(&root.path().join("runs"), "nli", SystemTime::UNIX_EPOCH);
        assert!(matches!(again, Err(Error::Exists { .. })));
        assert!(matches!(RunFolder::create_exact(run.path()), Err(Error::Exists { .. })));
        assert!(RunFolder::create_exact(tempfile::tempdir().unwrap().path()).is_ok());
    }

    #[test]
    fn only_a_folder_with_a_manifest_opens() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create_exact(&root.path().join("x")).unwrap();
        let message = RunFolder::open(run.path()).unwrap_err().to_string();
        assert!(message.contains("is not a run folder"), "{message}");
        fs::write(run.manifest_path(), "{}").unwrap();
        assert_eq!(RunFolder::open(run.path()).unwrap(), run);
    }

    #[test]
    fn one_process_writes_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create_exact(&root.path().join("x")).unwrap();
        let held = run.lock().unwrap();
        assert!(matches!(run.lock(), Err(Error::Locked { .. })));
        drop(held);
        run.lock().unwrap();
    }
}
