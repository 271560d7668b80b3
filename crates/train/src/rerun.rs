//! A run once more from the beginning, from its own papers: the same bytes on the CPU, or a word on what differs.

use std::path::PathBuf;

use temper_runs::{DataFile, RunFolder, RunManifest};

use crate::config::Config;
use crate::error::Error;
use crate::parse::parse;
use crate::prepare::{Prepared, prepare};
use crate::run::Job;
use crate::start::{create_prepared, other_instructions};

/// What to repeat, and how.
#[derive(Debug, Clone, Default)]
pub struct Repeat {
    /// The run.
    pub run: PathBuf,
    /// Exact folder of the new one; named after the config and the time when not given.
    pub path: Option<PathBuf>,
    /// Config keys to change, `key=value`. What they change needs no permission.
    pub overrides: Vec<String>,
    /// What else may differ from the run.
    pub allowed: AllowedToDiffer,
}

/// What may be other than it was.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowedToDiffer {
    /// `config.toml` of the run, by hand.
    pub config: bool,
    /// Data files.
    pub data: bool,
    /// The weights that it begins from.
    pub base: bool,
}

/// Makes a new run of an old one's config, after checking that config, data and base are what they were.
pub fn rerun(repeat: &Repeat, argv: &[String]) -> Result<Job, Error> {
    let run = RunFolder::open(&repeat.run)?;
    let manifest = RunManifest::read(&run.manifest_path())?;
    let path = run.config_path();
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let config = parse(&path, &text, &repeat.overrides)?;
    let allowed = allowed(repeat, &config);
    let refuse = |allowed: bool, what, differences: Vec<String>| {
        if allowed || differences.is_empty() {
            Ok(())
        } else {
            Err(Error::Differs { run: repeat.run.clone(), what, differences })
        }
    };

    let edited = blake3::hash(text.as_bytes()).to_hex().to_string() != manifest.config_hash;
    refuse(
        allowed.config,
        "config",
        edited.then(|| "its config.toml was edited".to_owned()).into_iter().collect(),
    )?;
    // Before the data are read, which may fail for what has changed in them.
    let then = compared(repeat, &manifest.data);
    refuse(allowed.data, "data", differences(&then, &files_now(&then)))?;
    let mut prepared = prepare(&config, None)?;
    refuse(allowed.data, "data", differences(&then, &compared(repeat, &prepared.files)))?;
    refuse(allowed.base, "base", base_difference(&prepared, &manifest).into_iter().collect())?;
    prepared.warnings.extend(other_instructions(&manifest));
    prepared.warnings.extend(other_version(&manifest));
    prepared.warnings.extend(other_history(&manifest));
    create_prepared(config, prepared, repeat.path.as_deref(), argv)
}

impl Repeat {
    /// Whether `--set` changes a key that begins so.
    fn sets(&self, start: &str) -> bool {
        self.overrides.iter().any(|assignment| assignment.trim_start().starts_with(start))
    }
}

/// What was asked for with `--set`, or follows from what was allowed, may differ too.
fn allowed(repeat: &Repeat, config: &Config) -> AllowedToDiffer {
    let data = repeat.allowed.data || repeat.sets("data") || repeat.sets("sets");
    // A fresh encoder's vocabulary comes from the data, and its weights from the seed.
    let fresh = config.model.fresh.is_some() && (data || repeat.sets("seed"));
    AllowedToDiffer { data, base: repeat.allowed.base || repeat.sets("model") || fresh, ..repeat.allowed }
}

/// The files that must be what they were: those of a guide or teacher unless `--set` changes the loss, which names it.
fn compared(repeat: &Repeat, files: &[DataFile]) -> Vec<DataFile> {
    let is_of_loss = |file: &DataFile| file.role == "guide" && repeat.sets("loss");
    files.iter().filter(|file| !is_of_loss(file)).cloned().collect()
}

/// The files of a run as they are now; one that cannot be read is missing.
fn files_now(then: &[DataFile]) -> Vec<DataFile> {
    let now = |file: &DataFile| {
        let bytes = std::fs::read(&file.path).ok()?;
        let blake3 = blake3::hash(&bytes).to_hex().to_string();
        Some(DataFile { size: bytes.len() as u64, blake3, ..file.clone() })
    };
    then.iter().filter_map(now).collect()
}

/// One line for each file that is another, gone, or new.
fn differences(then: &[DataFile], now: &[DataFile]) -> Vec<String> {
    let same = |a: &DataFile, b: &DataFile| (&a.role, &a.path) == (&b.role, &b.path);
    let then_lines = then.iter().filter_map(|file| match now.iter().find(|other| same(file, other)) {
        None => Some(format!("`{}` is missing", file.path)),
        Some(other) if other == file => None,
        Some(other) => Some(format!(
            "`{}` has {} bytes with the hash {:.12}, and had {} with {:.12}",
            file.path, other.size, other.blake3, file.size, file.blake3
        )),
    });
    let new = now.iter().filter(|file| !then.iter().any(|other| same(file, other)));
    then_lines.chain(new.map(|file| format!("`{}` was not read then", file.path))).collect()
}

fn base_difference(prepared: &Prepared, manifest: &RunManifest) -> Option<String> {
    let (then, now) = (&manifest.base, prepared.encoder.fingerprint());
    (now != then.fingerprint).then(|| {
        format!("base `{}` has the fingerprint {now:.12}, and had {:.12}", then.reference, then.fingerprint)
    })
}

/// Another version may compute otherwise.
fn other_version(manifest: &RunManifest) -> Option<String> {
    let now = env!("CARGO_PKG_VERSION");
    (now != manifest.temper_version).then(|| {
        format!(
            "the run was made by temper {}, and this is {now}: it may end with other bytes",
            manifest.temper_version
        )
    })
}

/// A run that was changed on its way has no beginning with the config that it has now.
fn other_history(manifest: &RunManifest) -> Option<String> {
    manifest.was_changed().then(|| {
        "the run was extended or changed when it was resumed; repeated from the beginning with the config that it \
         has now, it may end with other bytes"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, blake3: &str) -> DataFile {
        DataFile { role: "train".into(), path: path.into(), size: 3, blake3: blake3.into() }
    }

    #[test]
    fn every_difference_is_told() {
        let then = [file("a", "1"), file("b", "2"), file("c", "3")];
        let now = [file("a", "1"), file("c", "4"), file("d", "5")];
        assert_eq!(
            differences(&then, &now),
            ["`b` is missing", "`c` has 3 bytes with the hash 4, and had 3 with 3", "`d` was not read then"]
        );
        assert!(differences(&then, &then).is_empty());
    }

    #[test]
    fn another_loss_may_have_another_guide() {
        let repeat = |set: &str| Repeat { overrides: vec![set.to_owned()], ..Repeat::default() };
        let files = [file("a", "1"), DataFile { role: "guide".into(), ..file("b", "2") }];
        assert_eq!(compared(&repeat("loss.teacher=x"), &files), files[..1]);
        assert_eq!(compared(&repeat("seed=7"), &files), files);
    }
}
