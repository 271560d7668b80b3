//! All runs of a folder. One that cannot be read is shown with the reason, and hides no other.

use std::error::Error as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{Error, RunFolder, RunSummary, sealed::names_in};

/// What lies in a folder of runs.
#[derive(Debug, Default, PartialEq)]
pub struct Listing {
    /// Runs and broken ones, the oldest first; broken ones last.
    pub runs: Vec<Listed>,
    /// Folders that have nothing of a run.
    pub others: Vec<PathBuf>,
}

/// A run of a folder.
#[derive(Debug, PartialEq)]
pub enum Listed {
    /// As it can be read.
    Whole(Box<RunSummary>),
    /// A folder that was to be a run.
    Broken {
        /// The folder.
        path: PathBuf,
        /// Why it cannot be read.
        reason: String,
    },
}

/// Looks at every folder in `root`, and at nothing where there is no such folder. Hidden ones are left out.
pub fn list(root: &Path) -> Result<Listing, Error> {
    let names = match names_in(root) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    let mut listing = Listing::default();
    for path in names.iter().filter(|name| !name.starts_with('.')).map(|name| root.join(name)) {
        if !path.is_dir() {
            continue;
        }
        if was_to_be_a_run(&path) {
            listing.runs.push(look(&path));
        } else {
            listing.others.push(path);
        }
    }
    listing.runs.sort_by_cached_key(|listed| match listed {
        Listed::Whole(summary) => (false, summary.created.clone(), summary.path.clone()),
        Listed::Broken { path, .. } => (true, String::new(), path.clone()),
    });
    listing.others.sort();
    Ok(listing)
}

fn was_to_be_a_run(path: &Path) -> bool {
    // A model folder has a `config.json`, a sealed folder a manifest with other fields; neither has these.
    ["config.toml", "events.jsonl", "checkpoints"].iter().any(|part| path.join(part).exists())
}

fn look(path: &Path) -> Listed {
    match RunFolder::open(path).and_then(|run| RunSummary::read(&run)) {
        Ok(summary) => Listed::Whole(Box::new(summary)),
        Err(error) => {
            let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            Listed::Broken { path: path.to_owned(), reason: format!("{error}{cause}") }
        }
    }
}

/// The run that `name` means: a folder, or one in `root`.
pub fn find(name: &Path, root: &Path) -> Result<RunFolder, Error> {
    let inside = root.join(name);
    RunFolder::open(if !name.exists() && inside.is_dir() { &inside } else { name })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::made_up::{self, started, step};

    #[test]
    fn broken_runs_and_other_folders_hide_nothing() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        made_up::run(&at("whole"), &[started(0, 4), step(1)]);
        made_up::run(&at("killed-early"), &[]);
        let broken = made_up::run(&at("broken"), &[]);
        fs::write(broken.manifest_path(), "{\"seed\": 4").unwrap();
        fs::create_dir_all(at("half-made/checkpoints")).unwrap();
        fs::create_dir(at("empty")).unwrap();
        fs::create_dir(at("photos")).unwrap();
        fs::write(at("photos/cat.png"), "").unwrap();
        fs::write(at("README.md"), "").unwrap();
        fs::create_dir(at(".hidden")).unwrap();

        let listing = list(root.path()).unwrap();
        assert_eq!(listing.others, [at("empty"), at("photos")]);
        let told: Vec<String> = listing
            .runs
            .iter()
            .map(|listed| match listed {
                Listed::Whole(summary) => format!("{} {}", summary.run, summary.status.name()),
                Listed::Broken { path, reason } => {
                    format!("{} {}", path.file_name().unwrap().display(), reason.rsplit('/').next().unwrap())
                }
            })
            .collect();
        assert_eq!(
            told,
            [
                "killed-early died",
                "whole died",
                "broken manifest.json`: EOF while parsing an object at line 1 column 10",
                "half-made half-made` is not a run folder: it has no manifest.json",
            ]
        );
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_runs() {
        assert_eq!(list(Path::new("/nonexistent/runs")).unwrap(), Listing::default());
    }

    #[test]
    fn a_run_is_found_by_path_and_by_name() {
        let root = tempfile::tempdir().unwrap();
        let run = made_up::run(&root.path().join("x"), &[]);
        assert_eq!(find(run.path(), Path::new("elsewhere")).unwrap(), run);
        assert_eq!(find(Path::new("x"), root.path()).unwrap(), run);
        assert!(find(Path::new("y"), root.path()).is_err());
    }
}
