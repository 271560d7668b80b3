//! The cache that the hub's tools share: `models--org--name/{blobs,snapshots/COMMIT,refs,.no_exist}`.

use std::fs;
use std::path::{Component, Path, PathBuf};

use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use super::wanted::{joined, optional};
use super::{Error, HubId, Settings};
use crate::read::TRANSFORMERS;
use crate::tokenizing::Tokenizer;
use crate::weights;

/// A model's place in the cache.
pub(super) struct Place {
    repo: Repo,
    cached: CacheRepo,
    root: PathBuf,
}

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// Nothing that could be loaded.
    Part,
    /// It can be loaded, but whether it has all the settings its model has is not known.
    Loadable,
    /// Everything, and what is absent is known to be.
    Whole,
}

impl Place {
    pub(super) fn of(settings: &Settings, id: &HubId) -> Self {
        let cache = Cache::new(settings.cache.clone());
        let repo = Repo::with_revision(id.name.clone(), RepoType::Model, id.revision().to_owned());
        Self { cached: cache.repo(repo.clone()), root: settings.cache.clone(), repo }
    }

    pub(super) fn repo(&self) -> Repo {
        self.repo.clone()
    }

    fn folder(&self) -> PathBuf {
        self.root.join(self.repo.folder_name())
    }

    /// The commit that the revision was when it was last asked for.
    pub(super) fn commit(&self) -> Option<String> {
        let revision = self.repo.revision();
        if super::id::is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.folder().join("refs").join(revision)).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| super::id::is_commit(commit))
    }

    /// Remembers which commit the revision is.
    pub(super) fn remember(&self, commit: &str) -> Result<(), Error> {
        let revision = self.repo.revision();
        if super::id::is_commit(revision) {
            return Ok(());
        }
        let path = self.folder().join("refs").join(revision);
        make_parent(&path)?;
        let aside = path.with_extension(format!("{}.tmp", std::process::id()));
        let written = fs::write(&aside, commit).and_then(|()| fs::rename(&aside, &path));
        written.map_err(Error::io("write", path))
    }

    /// The folder of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.cached.pointer_path(commit)
    }

    /// Where the bytes with this hash lie.
    pub(super) fn blob(&self, hash: &str) -> PathBuf {
        self.cached.blob_path(hash)
    }

    /// Held by whoever writes the blob with this hash.
    pub(super) fn lock(&self, hash: &str) -> PathBuf {
        self.root.join(".locks").join(self.repo.folder_name()).join(format!("{hash}.lock"))
    }

    /// Gives a blob its name in a snapshot.
    pub(super) fn link(&self, commit: &str, path: &str, hash: &str) -> Result<(), Error> {
        let name = self.snapshot(commit).join(path);
        make_parent(&name)?;
        if name.exists() {
            return Ok(());
        }
        let ups = 2 + path.matches('/').count();
        let target = format!("{}blobs/{hash}", "../".repeat(ups));
        // A link to a blob that was cleared away.
        drop(fs::remove_file(&name));
        match symlink(Path::new(&target), &self.blob(hash), &name) {
            // Another process was faster.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked.map_err(Error::io("write", name)),
        }
    }

    /// Remembers that a commit does not have a file.
    pub(super) fn mark_absent(&self, commit: &str, path: &str) -> Result<(), Error> {
        let mark = self.absent(commit, path);
        make_parent(&mark)?;
        fs::write(&mark, "").map_err(Error::io("write", mark))
    }

    fn absent(&self, commit: &str, path: &str) -> PathBuf {
        self.folder().join(".no_exist").join(commit).join(path)
    }

    /// What of the model is in the snapshot.
    pub(super) fn state(&self, commit: &str) -> State {
        let snapshot = self.snapshot(commit);
        let modules = fs::read(snapshot.join("modules.json")).ok();
        if !is_loadable(&snapshot, modules.as_deref()) {
            return State::Part;
        }
        let root = modules.as_deref().map_or(String::new(), transformer_folder);
        let known = |path: &String| snapshot.join(path).exists() || self.absent(commit, path).exists();
        if optional(&root).iter().all(known) { State::Whole } else { State::Loadable }
    }
}

/// Whether everything that a reader cannot do without is there.
fn is_loadable(snapshot: &Path, modules: Option<&[u8]>) -> bool {
    let root = modules.map_or(String::new(), transformer_folder);
    let has = |folder: &str, name: &str| snapshot.join(joined(folder, name)).is_file();
    let weights = |folder: &str| {
        weights::files(&snapshot.join(folder))
            .is_ok_and(|files| !files.is_empty() && files.iter().all(|file| file.is_file()))
    };
    let heads = modules.map(entries).unwrap_or_default();
    weights(&root)
        && has(&root, "config.json")
        && Tokenizer::is_in(|name| has(&root, name))
        && heads.iter().all(|(class, folder)| match class.as_str() {
            "Pooling" => has(folder, "config.json"),
            "Dense" => has(folder, "config.json") && weights(folder),
            _ => true,
        })
}

/// The class and the folder of every module.
fn entries(modules: &[u8]) -> Vec<(String, String)> {
    let modules: Vec<serde_json::Value> = serde_json::from_slice(modules).unwrap_or_default();
    let text =
        |module: &serde_json::Value, field: &str| module[field].as_str().unwrap_or_default().to_owned();
    let entry = |module: &serde_json::Value| {
        let class = text(module, "type").rsplit('.').next().unwrap_or_default().to_owned();
        (class, text(module, "path").trim_matches('/').to_owned())
    };
    modules.iter().map(entry).collect()
}

/// Where the Transformer of a `modules.json` lies; the root for a path that leaves it, which its reader refuses.
pub(super) fn transformer_folder(modules: &[u8]) -> String {
    let inside =
        |folder: &String| Path::new(folder).components().all(|part| matches!(part, Component::Normal(_)));
    let found = entries(modules).into_iter().find(|(class, _)| TRANSFORMERS.contains(&class.as_str()));
    found.map(|(_, folder)| folder).filter(inside).unwrap_or_default()
}

/// The models in the cache, in one sentence.
pub(super) fn told(settings: &Settings) -> String {
    const SHOWN: usize = 8;
    let folder = settings.cache.display();
    let names = models(settings);
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => format!("the cache `{folder}` holds no model"),
        n if n > SHOWN => format!("the cache `{folder}` holds {shown} and {} more", n - SHOWN),
        _ => format!("the cache `{folder}` holds {shown}"),
    }
}

/// The models that could be loaded from the cache, by name.
fn models(settings: &Settings) -> Vec<String> {
    let Ok(folders) = settings.cache.read_dir() else { return Vec::new() };
    let mut names: Vec<String> = folders
        .filter_map(|entry| {
            let folder = entry.ok()?.file_name().into_string().ok()?;
            let id = HubId::parse(&folder.strip_prefix("models--")?.replacen("--", "/", 1))?;
            let place = Place::of(settings, &id);
            let commits = place.folder().join("snapshots").read_dir().ok()?;
            let mut names = commits.filter_map(|commit| commit.ok()?.file_name().into_string().ok());
            names.any(|commit| place.state(&commit) > State::Part).then_some(id.name)
        })
        .collect();
    names.sort();
    names
}

pub(super) fn make_parent(path: &Path) -> Result<(), Error> {
    path.parent().map_or(Ok(()), |parent| fs::create_dir_all(parent).map_err(Error::io("create", parent)))
}

#[cfg(unix)]
fn symlink(target: &Path, _blob: &Path, name: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, name)
}

/// Links need a privilege there; Python's library copies too.
#[cfg(not(unix))]
fn symlink(_target: &Path, blob: &Path, name: &Path) -> std::io::Result<()> {
    fs::copy(blob, name).map(drop)
}
