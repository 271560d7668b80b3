//! MODEL: the one way every command names an encoder.

use std::path::{Path, PathBuf};

use temper_runs::{RunFolder, Which, parse_reference};

use crate::Error;
use crate::hub::{self, HubId, Settings};

/// The folder of the weights inside a checkpoint.
pub const MODEL_FOLDER: &str = "model";

/// Where a reference leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The model folder.
    pub folder: PathBuf,
    /// The commit it is, for a model of the hub.
    pub commit: Option<String>,
}

/// Finds the model folder that `reference` names.
///
/// - a folder with a model;
/// - a run: `runs/x` or `runs/x@best` is its best checkpoint, `runs/x@last`, `runs/x@400`;
/// - a model of the hub: `org/name`, `org/name@revision`.
pub fn resolve(reference: &str) -> Result<PathBuf, Error> {
    find(reference, None, &|_| ()).map(|found| found.folder)
}

/// The same, at a `revision` where that is not part of the reference; `listener` hears of a download.
///
/// A path that exists is never looked for on the hub.
pub fn find(reference: &str, revision: Option<&str>, listener: hub::Listener<'_>) -> Result<Found, Error> {
    let folder = Path::new(reference);
    let Some(id) = hub_id(reference) else {
        if let Some(revision) = revision {
            return Err(Error::Reference(format!(
                "MODEL `{reference}` is no hub id, so the revision `{revision}` means nothing; leave it out"
            )));
        }
        return local(reference, folder).map(|folder| Found { folder, commit: None });
    };
    let id = match (revision, &id.revision) {
        (Some(revision), None) => HubId::parse(&format!("{id}@{revision}"))
            .ok_or_else(|| Error::Reference(format!("`{revision}` is no revision of `{id}`")))?,
        (Some(revision), Some(own)) if revision != own => {
            return Err(Error::Reference(format!("`{id}` names a revision, and `{revision}` is another")));
        }
        _ => id,
    };
    match hub::find(&Settings::from_env(), &id, listener) {
        Ok(pulled) => Ok(Found { folder: pulled.folder, commit: Some(pulled.commit) }),
        Err(source) => Err(Error::Hub { reference: reference.to_owned(), source }),
    }
}

/// The id that a reference is; none for a path that exists, whatever it looks like.
pub fn hub_id(reference: &str) -> Option<HubId> {
    HubId::parse(reference).filter(|_| !Path::new(reference).exists())
}

fn local(reference: &str, folder: &Path) -> Result<PathBuf, Error> {
    let is_run = |path: &Path| path.join("events.jsonl").is_file() || path.join("checkpoints").is_dir();
    if folder.is_dir() && !is_run(folder) {
        let inner = folder.join(MODEL_FOLDER);
        return Ok(if folder.join("state.json").is_file() && inner.is_dir() {
            inner
        } else {
            folder.to_owned()
        });
    }
    match parse_reference(reference) {
        Some((run, which)) if is_run(&run) => in_run(&run, which),
        _ => Err(Error::Reference(format!(
            "MODEL `{reference}` is neither a model folder nor a run; give a folder, `runs/NAME` (its best checkpoint), \
             `runs/NAME@last` or `runs/NAME@STEP`, or a hub id, `org/name`"
        ))),
    }
}

fn in_run(run: &Path, which: Which) -> Result<PathBuf, Error> {
    Ok(RunFolder::open(run)?.resolve(which)?.join(MODEL_FOLDER))
}
