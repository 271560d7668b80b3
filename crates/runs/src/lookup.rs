//! Finding a run's checkpoints: the index, what lies on the disk, and the errors that list what there is.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::checkpoints::step_of;
use crate::{CheckpointIndex, Error, RunFolder, Which, sealed, write_atomic};

impl RunFolder {
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
            run: self.path().to_owned(),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::SealedWriter;

    fn save(run: &RunFolder, step: u64) {
        let mut writer = SealedWriter::new(&run.checkpoint(step)).unwrap();
        writer.write_file("model", |file| file.write_all(&[1; 10])).unwrap();
        writer.seal(serde_json::json!({ "step": step })).unwrap();
    }

    fn run_with(root: &Path, steps: &[u64]) -> RunFolder {
        let run = RunFolder::create_exact(&root.join("x")).unwrap();
        let mut index = CheckpointIndex::default();
        for &step in steps {
            save(&run, step);
            index = index.after_save(step, step == steps[0], 9);
        }
        run.write_index(&index).unwrap();
        run
    }

    #[test]
    fn references_resolve_to_folders() {
        let root = tempfile::tempdir().unwrap();
        let run = run_with(root.path(), &[400, 800]);
        assert_eq!(run.resolve(Which::Best).unwrap(), run.checkpoint(400));
        assert_eq!(run.resolve(Which::Last).unwrap(), run.checkpoint(800));
        assert_eq!(run.resolve(Which::Step(400)).unwrap(), run.checkpoint(400));
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let root = tempfile::tempdir().unwrap();
        let run = run_with(root.path(), &[400, 800]);
        let path = run.path().display().to_string();
        let message = run.resolve(Which::Step(300)).unwrap_err().to_string();
        assert_eq!(message, format!("`{path}` has no step 300 checkpoint: there is {path}@400, {path}@800"));
        let empty = RunFolder::create_exact(&root.path().join("y")).unwrap();
        let message = empty.resolve(Which::Best).unwrap_err().to_string();
        assert!(message.ends_with("y` has no best checkpoint: none was saved yet"), "{message}");
    }

    #[test]
    fn a_damaged_checkpoint_is_answered_with_the_others_newest_first() {
        let root = tempfile::tempdir().unwrap();
        let run = run_with(root.path(), &[100, 200, 300]);
        assert_eq!(run.verify(Which::Last).unwrap().1, serde_json::json!({"step": 300}));
        fs::write(run.checkpoint(300).join("model"), [1; 9]).unwrap();
        let message = run.verify(Which::Last).unwrap_err().to_string();
        let path = run.path().display();
        assert!(
            message.ends_with(&format!(
                "model is 9 bytes, manifest says 10: it was cut off or changed; \
                 use another checkpoint: {path}@200, {path}@100"
            )),
            "{message}"
        );
    }

    #[test]
    fn a_save_whose_index_was_never_written_is_found() {
        let root = tempfile::tempdir().unwrap();
        let run = run_with(root.path(), &[100]);
        save(&run, 200);
        assert_eq!(run.resolve(Which::Last).unwrap(), run.checkpoint(200));
        fs::remove_file(run.checkpoints_dir().join("index.json")).unwrap();
        assert_eq!(run.index().unwrap().kept, [100, 200]);
    }

    #[test]
    fn a_checkpoint_is_found_between_the_renames_of_its_replacement() {
        let root = tempfile::tempdir().unwrap();
        let run = run_with(root.path(), &[100]);
        let waiting = run.checkpoints_dir().join(".step-000100.old");
        fs::rename(run.checkpoint(100), &waiting).unwrap();
        assert_eq!(run.resolve(Which::Last).unwrap(), waiting);
        run.recover().unwrap();
        assert_eq!(run.resolve(Which::Last).unwrap(), run.checkpoint(100));
    }

    #[test]
    fn pruning_removes_what_the_index_does_not_keep() {
        let root = tempfile::tempdir().unwrap();
        let run = run_with(root.path(), &[100, 200, 300]);
        let index = run.index().unwrap().cut_back_to(200);
        run.write_index(&index).unwrap();
        run.prune(&index).unwrap();
        assert_eq!(run.index().unwrap().kept, [100, 200]);
    }
}
