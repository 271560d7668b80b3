//! Folders of data sets, as the `datasets` library and the hub lay them out: a file's name, or that of a folder around it,
//! says [which split it is of](https://huggingface.co/docs/hub/datasets-file-names-and-splits).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::format::Format;

/// Which split of a data set's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// What is learned from: `train`, or all of a folder that names no splits.
    #[default]
    Train,
    /// What is judged on: `validation`, else `test`.
    Evaluation,
    /// The one of this name; `dev` and the like are `validation`.
    Named(String),
}

/// The files to read, in order: a file is itself, a folder the files of one of its splits.
pub fn files_of(paths: &[PathBuf], split: &Split) -> Result<Vec<PathBuf>, Error> {
    let files = paths
        .iter()
        .map(|path| if path.is_dir() { files_of_split(path, split) } else { Ok(vec![path.clone()]) });
    Ok(files.collect::<Result<Vec<_>, _>>()?.concat())
}

fn files_of_split(folder: &Path, split: &Split) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    walk(folder, DEPTH, &mut files)?;
    let inside = |file: &Path| file.strip_prefix(folder).map(Path::to_owned).unwrap_or_default();
    let mut splits: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files.iter().filter(|file| Format::of(file).is_ok()) {
        splits.entry(split_of(&inside(file)).unwrap_or_default()).or_default().push(file.clone());
    }
    // Where some files name their split, others are no data of it.
    let unnamed = splits.remove("");
    if let (true, Some(files)) = (splits.is_empty(), unnamed) {
        splits.insert("train".to_owned(), files);
    }
    if splits.is_empty() {
        let arrow = files.iter().any(|file| file.extension().is_some_and(|extension| extension == "arrow"));
        let folder = folder.to_owned();
        return Err(if arrow { Error::ArrowFolder { folder } } else { Error::NoDataFiles { folder } });
    }
    let wanted: Vec<&str> = match split {
        Split::Train => vec!["train"],
        Split::Evaluation => vec!["validation", "test"],
        Split::Named(name) => vec![usual(name).unwrap_or(name)],
    };
    let Some(found) = wanted.iter().find_map(|name| splits.get(*name)) else {
        return Err(Error::NoSplit {
            folder: folder.to_owned(),
            wanted: wanted.join("` or `"),
            splits: splits.into_keys().collect(),
        });
    };
    let mut subsets: Vec<String> = found.iter().map(|file| subset_of(&inside(file))).collect();
    subsets.dedup();
    match subsets.as_slice() {
        [_] => Ok(found.clone()),
        _ => Err(Error::SeveralDataSets { folder: folder.to_owned(), subsets }),
    }
}

/// Folders within folders that are looked into.
const DEPTH: usize = 3;

/// What the library writes beside the data.
const NO_DATA: [&str; 4] = ["dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"];

/// The files in a folder and those below, by name.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |source| Error::Io { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut entries =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || NO_DATA.contains(&name.as_str()) {
            continue;
        }
        if !path.is_dir() {
            files.push(path);
        } else if depth > 0 {
            walk(&path, depth - 1, files)?;
        }
    }
    Ok(())
}

/// The split that a file's name says, or else the folders around it, the innermost first.
fn split_of(file: &Path) -> Option<String> {
    let stem = file.file_stem()?.to_string_lossy();
    if let Some(name) = before_shard(&stem) {
        return Some(usual(name).unwrap_or(name).to_owned());
    }
    let folders = file.parent()?.iter().rev().map(|folder| folder.to_string_lossy());
    let names = std::iter::once(stem).chain(folders);
    names
        .into_iter()
        .find_map(|name| name.split(|c: char| !c.is_alphabetic()).find_map(usual))
        .map(str::to_owned)
}

/// `NAME` of `NAME-00000-of-00003`, or of `NAME-00000-of-00003-` and a hash.
fn before_shard(stem: &str) -> Option<&str> {
    let (before, count) = stem.split_once("-of-")?;
    let (name, number) = before.rsplit_once('-')?;
    let count = count.split('-').next()?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    (!name.is_empty() && digits(number) && digits(count)).then_some(name)
}

/// The split that a word stands for.
fn usual(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().as_str() {
        "train" | "training" => Some("train"),
        "validation" | "valid" | "val" | "dev" => Some("validation"),
        "test" | "testing" | "eval" | "evaluation" => Some("test"),
        _ => None,
    }
}

/// The folders around a file that tell data sets apart: all but those of splits, and `data`.
fn subset_of(file: &Path) -> String {
    let folders = file.parent().into_iter().flatten().map(|folder| folder.to_string_lossy());
    folders.filter(|name| name != "data" && usual(name).is_none()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The files that a folder with these ones gives, as names, or what is wrong.
    fn found(names: &[&str], split: &Split) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let name = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
        let place = folder.path().display().to_string();
        files_of(&[folder.path().to_owned()], split)
            .map(|files| files.iter().map(name).collect())
            .map_err(|error| error.to_string().replace(&place, "F"))
    }

    #[test]
    fn names_and_folders_say_the_split() {
        let hub = [
            "README.md",
            "dataset_infos.json",
            "data/train-00001-of-00002-0123456789abcdef.parquet",
            "data/train-00000-of-00002-0123456789abcdef.parquet",
            "data/dev-00000-of-00001.parquet",
            "data/test_extra-00000-of-00001.parquet",
        ];
        let train = found(&hub, &Split::Train).unwrap();
        assert_eq!(train.len(), 2);
        assert!(train[0].starts_with("data/train-00000"), "{train:?}");
        assert_eq!(found(&hub, &Split::Evaluation).unwrap(), ["data/dev-00000-of-00001.parquet"]);
        assert_eq!(found(&hub, &Split::Named("valid".into())), found(&hub, &Split::Evaluation));
        assert_eq!(found(&hub, &Split::Named("test_extra".into())).unwrap().len(), 1);
        let missing = found(&hub, &Split::Named("test".into())).unwrap_err();
        assert!(
            missing.contains("`F` has no split `test`; it has `test_extra`, `train`, `validation`"),
            "{missing}"
        );
        let folders = ["train/a.jsonl", "train/b.jsonl", "test/a.jsonl", "notes.csv"];
        assert_eq!(found(&folders, &Split::Train).unwrap(), ["train/a.jsonl", "train/b.jsonl"]);
        assert_eq!(found(&folders, &Split::Evaluation).unwrap(), ["test/a.jsonl"]);
        assert_eq!(
            found(&["my-training_pairs.csv", "dev.csv"], &Split::Train).unwrap(),
            ["my-training_pairs.csv"]
        );
        assert_eq!(found(&["b.jsonl", "a.tsv"], &Split::Train).unwrap(), ["a.tsv", "b.jsonl"]);
    }

    #[test]
    fn what_is_unclear_is_refused() {
        let several = ["pair/train-00000-of-00001.parquet", "triplet/train-00000-of-00001.parquet"];
        let message = found(&several, &Split::Train).unwrap_err();
        assert!(
            message.contains("several data sets: `pair`, `triplet`; name the folder of one"),
            "{message}"
        );
        let message =
            found(&["train/data-00000-of-00001.arrow", "dataset_dict.json"], &Split::Train).unwrap_err();
        assert!(message.contains("`to_parquet"), "{message}");
        let message = found(&["README.md"], &Split::Evaluation).unwrap_err();
        assert!(message.contains("no data files"), "{message}");
    }
}
