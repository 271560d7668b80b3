//! The layout of one run: `config.toml`, `manifest.json`, `events.jsonl`, `tensorboard/`, `checkpoints/`.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::checkpoints::{folder_name, step_of};
use crate::{CheckpointIndex, Error, Which, clean_partials, sealed, write_atomic};

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
        let path = root.join(format!("{name}-{}", local_time(now)));
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
        let path = self.path.join(".lock");
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: self.path.clone() }),
            Err(TryLockError::Error(source)) => Err(Error::Io { action: "lock", path, source }),
        }
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

    /// The checkpoints that are there; empty for a run that has none yet.
    pub fn index(&self) -> Result<CheckpointIndex, Error> {
        let path = self.index_path();
        let written = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| Error::Json { path, source })?,
            Err(error) if error.kind() == ErrorKind::NotFound => CheckpointIndex::default(),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        Ok(written.reconciled(&self.steps_on_disk()?))
    }

    /// Writes the index, whole or not at all.
    pub fn write_index(&self, index: &CheckpointIndex) -> Result<(), Error> {
        let path = self.index_path();
        let mut bytes =
            serde_json::to_vec(index).map_err(|source| Error::Json { path: path.clone(), source })?;
        bytes.push(b'\n');
        write_atomic(&path, &bytes)
    }

    /// Removes every checkpoint that `index` does not keep. Write the index first.
    pub fn prune(&self, index: &CheckpointIndex) -> Result<(), Error> {
        for step in self.steps_on_disk()? {
            if !index.kept.contains(&step) {
                sealed::remove(&self.checkpoint(step))?;
            }
        }
        Ok(())
    }

    /// The folder of the checkpoint that `which` means.
    pub fn resolve(&self, which: Which) -> Result<PathBuf, Error> {
        let index = self.index()?;
        let step = index.step(which).ok_or_else(|| Error::NoCheckpoint {
            run: self.path.clone(),
            wanted: match which {
                Which::Step(step) => format!("step {step}"),
                other => other.to_string(),
            },
            there: self.choices(&index),
        })?;
        Ok(sealed::whole_at(&self.checkpoint(step)).unwrap_or_else(|| self.checkpoint(step)))
    }

    /// Resolves `which` and checks its bytes; a damaged one is an error that names the others.
    pub fn verify(&self, which: Which) -> Result<(PathBuf, serde_json::Value), Error> {
        let path = self.resolve(which)?;
        let extra = sealed::verify(&path).map_err(|error| error.with_remedy(self.others(&path)))?;
        Ok((path, extra))
    }

    fn with_parts(path: &Path) -> Result<Self, Error> {
        let run = Self { path: path.to_owned() };
        for part in [run.tensorboard_dir(), run.checkpoints_dir()] {
            fs::create_dir_all(&part).map_err(Error::io("create", &part))?;
        }
        Ok(run)
    }

    fn index_path(&self) -> PathBuf {
        self.checkpoints_dir().join("index.json")
    }

    /// The steps of the complete checkpoints, ascending.
    fn steps_on_disk(&self) -> Result<Vec<u64>, Error> {
        let folder = self.checkpoints_dir();
        let names = match sealed::names_in(&folder) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut steps: Vec<u64> = names
            .iter()
            .filter_map(|name| step_of(sealed::final_name(name)))
            .filter(|&step| sealed::whole_at(&self.checkpoint(step)).is_some())
            .collect();
        steps.sort_unstable();
        steps.dedup();
        Ok(steps)
    }

    fn choices(&self, index: &CheckpointIndex) -> String {
        if index.kept.is_empty() {
            return "none was saved yet".to_owned();
        }
        let there: Vec<String> = index.kept.iter().map(|&step| self.reference(Which::Step(step))).collect();
        format!("there is {}", there.join(", "))
    }

    fn others(&self, damaged: &Path) -> String {
        let mut index = self.index().unwrap_or_default();
        index.kept.retain(|&step| self.checkpoint(step) != damaged);
        if index.kept.is_empty() {
            return "the run has no other checkpoint: start it anew".to_owned();
        }
        let others: Vec<String> =
            index.kept.iter().rev().map(|&step| self.reference(Which::Step(step))).collect();
        format!("use another checkpoint: {}", others.join(", "))
    }
}

/// Where runs go: the config's folder, else `$TEMPER_RUNS`, else `./runs`.
pub fn default_root(config: Option<&Path>) -> PathBuf {
    root_from(config, std::env::var_os("TEMPER_RUNS").map(PathBuf::from))
}

fn root_from(config: Option<&Path>, environment: Option<PathBuf>) -> PathBuf {
    config
        .map(Path::to_owned)
        .or(environment.filter(|path| !path.as_os_str().is_empty()))
        .unwrap_or_else(|| PathBuf::from("runs"))
}

/// `@` separates a run from its checkpoint, and a dot hides the folder.
fn check_name(name: &str) -> Result<(), Error> {
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err(Error::BadName { name: name.to_owned() });
    }
    Ok(())
}

fn local_time(now: SystemTime) -> String {
    let timestamp = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    timestamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y%m%d-%H%M%S").to_string()
}
