//! What of a run can go, and taking it away. The best and the last checkpoint stay what they are to whoever loads them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::atomic::is_temporary;
use crate::sealed::{self, final_name, names_in};
use crate::{Error, RunFolder, RunManifest, RunSummary, Which, parse_reference};

/// The file of a checkpoint that only a resume needs.
pub const OPTIMIZER_STATE: &str = "optimizer.safetensors";

/// What may go.
#[derive(Debug, Clone, Default)]
pub struct Prune {
    /// Also the optimizer state of finished runs, after which they cannot be resumed.
    pub optimizer_state: bool,
    /// Checkpoints that stay, as those that other runs began from (see [`bases_in_use`]).
    pub keep: Vec<(PathBuf, u64)>,
}

/// Something that can go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Prunable {
    /// A checkpoint of a finished run that is neither the best nor the last.
    Checkpoint {
        /// Its step.
        step: u64,
        /// Its folder.
        path: PathBuf,
        /// All of it.
        bytes: u64,
    },
    /// Optimizer state of a checkpoint that stays.
    OptimizerState {
        /// Its step.
        step: u64,
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// What a killed process left half-written.
    Leftover {
        /// The file or folder.
        path: PathBuf,
        /// All of it.
        bytes: u64,
    },
}

impl Prunable {
    /// What is freed.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Checkpoint { bytes, .. }
            | Self::OptimizerState { bytes, .. }
            | Self::Leftover { bytes, .. } => *bytes,
        }
    }

    /// What goes.
    pub fn path(&self) -> &Path {
        match self {
            Self::Checkpoint { path, .. }
            | Self::OptimizerState { path, .. }
            | Self::Leftover { path, .. } => path,
        }
    }
}

/// What can go of `run`: nothing while it is alive.
pub fn prunable(run: &RunFolder, what: &Prune) -> Result<Vec<Prunable>, Error> {
    if run.is_alive() { Ok(Vec::new()) } else { look(run, what) }
}

/// Takes away what [`prunable`] told. Says `false`, and touches nothing, when it would tell something else by now.
pub fn prune(run: &RunFolder, what: &Prune, told: &[Prunable]) -> Result<bool, Error> {
    let _lock = match run.lock() {
        Err(Error::Locked { .. }) => return Ok(false),
        lock => lock?,
    };
    if run.is_alive_elsewhere() || look(run, what)? != told {
        return Ok(false);
    }
    run.recover()?;
    let mut index = run.index()?;
    index.kept.retain(|kept| {
        !told.iter().any(|gone| matches!(gone, Prunable::Checkpoint { step, .. } if step == kept))
    });
    run.write_index(&index)?;
    run.prune(&index)?;
    for gone in told {
        match gone {
            Prunable::OptimizerState { step, .. } => {
                sealed::forget(&run.checkpoint(*step), OPTIMIZER_STATE)?;
            }
            Prunable::Leftover { path, .. } if path.is_file() => {
                fs::remove_file(path).map_err(Error::io("remove", path))?;
            }
            Prunable::Checkpoint { .. } | Prunable::Leftover { .. } => {}
        }
    }
    Ok(true)
}

/// The checkpoints that runs began from by their step: `RUN@400` must go on meaning what it meant.
pub fn bases_in_use(runs: &[RunFolder]) -> Vec<(PathBuf, u64)> {
    let base = |run: &RunFolder| {
        let reference = RunManifest::read(&run.manifest_path()).ok()?.base.reference;
        match parse_reference(&reference)? {
            (path, Which::Step(step)) => Some((path.canonicalize().ok()?, step)),
            (_, Which::Best | Which::Last) => None,
        }
    };
    runs.iter().filter_map(base).collect()
}

/// Of a run that nobody trains in.
fn look(run: &RunFolder, what: &Prune) -> Result<Vec<Prunable>, Error> {
    let summary = RunSummary::read_knowing(run, false)?;
    let mut found = leftovers(run)?;
    if !summary.status.is_finished() {
        return Ok(found);
    }
    let index = run.index()?;
    let home = run.path().canonicalize().map_err(Error::io("read", run.path()))?;
    for &step in &index.kept {
        let path = run.checkpoint(step);
        let optimizer = path.join(OPTIMIZER_STATE);
        let named = [index.best, index.last, summary.best_step].contains(&Some(step));
        if !named && !what.keep.iter().any(|(run, kept)| *run == home && *kept == step) {
            found.push(Prunable::Checkpoint { step, bytes: bytes_below(&path), path });
        } else if what.optimizer_state && optimizer.is_file() {
            found.push(Prunable::OptimizerState { step, bytes: bytes_below(&optimizer), path: optimizer });
        }
    }
    Ok(found)
}

/// Folders and files under the names that a writer gives to what is not complete.
fn leftovers(run: &RunFolder) -> Result<Vec<Prunable>, Error> {
    let mut found = Vec::new();
    for folder in [run.path().to_owned(), run.checkpoints_dir()].into_iter().filter(|folder| folder.is_dir())
    {
        let mut names = names_in(&folder)?;
        names.sort();
        for name in names {
            let finished = final_name(&name);
            // An old folder whose replacement never arrived is the checkpoint itself.
            let half = finished != name && (name.ends_with(".partial") || folder.join(finished).exists());
            if half || is_temporary(&name) {
                let path = folder.join(name);
                found.push(Prunable::Leftover { bytes: bytes_below(&path), path });
            }
        }
    }
    Ok(found)
}

/// The size of a file, or of all files below a folder; what cannot be looked at counts nothing.
pub(crate) fn bytes_below(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| bytes_below(&entry.path())).sum()
        }
        metadata => metadata.map_or(0, |metadata| metadata.len()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::made_up::{self, evaluated, finished, started, step};
    use crate::{Event, Outcome, verify};

    const CHECKPOINT: u64 = 300;

    fn run(root: &Path, end: Option<Event>) -> RunFolder {
        let mut events = vec![started(0, 40), evaluated(20, 0.8, true), step(40)];
        events.extend(end);
        let run = made_up::run(&root.join("x"), &events);
        made_up::checkpoints(&run, &[10, 20, 30, 40], Some(20));
        let partial = run.checkpoints_dir().join(".step-000050.partial");
        fs::create_dir(&partial).unwrap();
        fs::write(partial.join("model"), [0; 70]).unwrap();
        fs::write(run.path().join(".events.jsonl.tmp"), [0; 9]).unwrap();
        run
    }

    fn completed() -> Event {
        finished(40, Outcome::Completed, Some(20))
    }

    fn names(found: &[Prunable]) -> Vec<String> {
        found.iter().map(|one| one.path().file_name().unwrap().display().to_string()).collect()
    }

    #[test]
    fn a_finished_run_keeps_its_best_and_its_last() {
        let root = tempfile::tempdir().unwrap();
        let run = run(root.path(), Some(completed()));
        let what = Prune::default();
        let found = prunable(&run, &what).unwrap();
        assert_eq!(
            names(&found),
            [".events.jsonl.tmp", ".step-000050.partial", "step-000010", "step-000030"]
        );
        assert_eq!((found[0].bytes(), found[1].bytes()), (9, 70));
        assert!(found[2].bytes() > CHECKPOINT);
        let before = bytes_below(run.path());
        assert!(prune(&run, &what, &found).unwrap());
        let freed: u64 = found.iter().map(Prunable::bytes).sum();
        let index_shrank = 2 * "10,".len() as u64;
        assert_eq!(bytes_below(run.path()), before - freed - index_shrank);
        assert_eq!(run.index().unwrap().kept, [20, 40]);
        for which in [Which::Best, Which::Last] {
            run.verify(which).unwrap();
        }
        assert_eq!(prunable(&run, &what).unwrap(), []);
    }

    #[test]
    fn optimizer_state_goes_only_when_asked_and_the_seal_holds() {
        let root = tempfile::tempdir().unwrap();
        let run = run(root.path(), Some(completed()));
        let what = Prune { optimizer_state: true, ..Prune::default() };
        let found = prunable(&run, &what).unwrap();
        assert_eq!(names(&found).iter().filter(|name| *name == OPTIMIZER_STATE).count(), 2);
        assert!(prune(&run, &what, &found).unwrap());
        let best = run.resolve(Which::Best).unwrap();
        assert_eq!(verify(&best).unwrap(), serde_json::json!({"step": 20}));
        assert!(best.join("model/model.safetensors").is_file() && !best.join(OPTIMIZER_STATE).exists());
    }

    #[test]
    fn a_run_that_may_go_on_loses_only_what_is_half_written() {
        let root = tempfile::tempdir().unwrap();
        for (name, end) in [("a", None), ("b", Some(finished(40, Outcome::Interrupted, Some(20))))] {
            let run = run(&root.path().join(name), end);
            let what = Prune { optimizer_state: true, ..Prune::default() };
            let found = prunable(&run, &what).unwrap();
            assert_eq!(names(&found), [".events.jsonl.tmp", ".step-000050.partial"]);
            assert!(prune(&run, &what, &found).unwrap());
            assert_eq!(run.index().unwrap().kept, [10, 20, 30, 40]);
        }
    }

    #[test]
    fn a_live_run_is_not_touched() {
        let root = tempfile::tempdir().unwrap();
        let run = run(root.path(), Some(completed()));
        let found = prunable(&run, &Prune::default()).unwrap();
        let held = run.lock().unwrap();
        assert_eq!(prunable(&run, &Prune::default()).unwrap(), []);
        assert!(!prune(&run, &Prune::default(), &found).unwrap());
        drop(held);
        made_up::checkpoints(&run, &[10, 20, 30, 40, 50], Some(20));
        assert!(!prune(&run, &Prune::default(), &found).unwrap(), "it went on meanwhile");
        assert_eq!(run.index().unwrap().kept.len(), 5);
    }

    #[test]
    fn what_another_run_began_from_stays() {
        let root = tempfile::tempdir().unwrap();
        let run = run(root.path(), Some(completed()));
        let other = made_up::run(&root.path().join("y"), &[]);
        let mut manifest = RunManifest::read(&other.manifest_path()).unwrap();
        manifest.base.reference = run.reference(Which::Step(30));
        manifest.write(&other.manifest_path()).unwrap();
        let keep = bases_in_use(&[run.clone(), other]);
        let found = prunable(&run, &Prune { keep, ..Prune::default() }).unwrap();
        assert_eq!(names(&found).last().map(String::as_str), Some("step-000010"));
    }

    #[test]
    fn an_old_checkpoint_whose_replacement_never_came_is_no_leftover() {
        let root = tempfile::tempdir().unwrap();
        let run = run(root.path(), None);
        let old = run.checkpoints_dir().join(".step-000040.old");
        fs::rename(run.checkpoint(40), &old).unwrap();
        let found = prunable(&run, &Prune::default()).unwrap();
        assert!(!names(&found).contains(&".step-000040.old".to_owned()));
        assert!(prune(&run, &Prune::default(), &found).unwrap());
        run.verify(Which::Last).unwrap();
    }
}
