//! MODEL: the one way every command names an encoder.

use std::path::{Path, PathBuf};

use temper_runs::{RunFolder, Which, parse_reference};

use crate::Error;

/// The folder of the weights inside a checkpoint.
pub const MODEL_FOLDER: &str = "model";

/// Finds the model folder that `reference` names.
///
/// - a folder with a model;
/// - a run: `runs/x` or `runs/x@best` is its best checkpoint, `runs/x@last`, `runs/x@400`.
pub fn resolve(reference: &str) -> Result<PathBuf, Error> {
    let folder = Path::new(reference);
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
             `runs/NAME@last` or `runs/NAME@STEP`"
        ))),
    }
}

fn in_run(run: &Path, which: Which) -> Result<PathBuf, Error> {
    Ok(RunFolder::open(run)?.resolve(which)?.join(MODEL_FOLDER))
}
