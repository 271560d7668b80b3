//! Reading files of examples: formats, columns and bad rows come together here.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::bad_row::{BadRow, OnBadRow};
use crate::classes::Classes;
use crate::columns::ColumnMap;
use crate::content::{FileContent, Keep, read_file};
use crate::error::Error;
use crate::example::{Dataset, FileReport, Kind};
use crate::folder::{Split, files_of};

/// Bad rows shown in an error.
const SHOWN_BAD_ROWS: usize = 5;

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Columns by name; what is left out is recognised.
    pub columns: ColumnMap,
    /// What to do with rows that can't become examples.
    pub on_bad_row: OnBadRow,
    /// Stop after this many examples.
    pub limit: Option<usize>,
    /// The labels that the loss or evaluator can use, both ends included.
    pub label_range: Option<(f32, f32)>,
    /// Labels are classes where they are numbers too.
    pub labels_are_classes: bool,
    /// What is read of a folder.
    pub split: Split,
}

/// Reads files and folders of data sets, one after the other, into one data set.
pub fn read(paths: &[PathBuf], options: &ReadOptions) -> Result<Dataset, Error> {
    let paths = &files_of(paths, &options.split)?;
    let (mut examples, mut classes) = (Vec::new(), Classes::default());
    let contents = read_each(paths, options, &mut classes, &mut |found| {
        examples.push(found.example);
        Ok(())
    })?;
    let Summary { kind, column_names, files, skipped } = summarise(paths, contents, options)?;
    for example in &mut examples {
        example.fit(kind);
    }
    let classes = classes.names();
    Ok(Dataset { kind, column_names, classes, examples, files, skipped, excluded: 0 })
}

/// Reads files, one after the other, and hands on every example.
pub(crate) fn read_each(
    paths: &[PathBuf],
    options: &ReadOptions,
    classes: &mut Classes,
    keep: &mut Keep<'_>,
) -> Result<Vec<FileContent>, Error> {
    let mut files = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let taken: usize = files.iter().map(|file: &FileContent| file.examples).sum();
        let limit = options.limit.map(|limit| limit - taken);
        if limit == Some(0) {
            break;
        }
        files.push(read_file(path, index as u32, limit, options, classes, keep)?);
    }
    Ok(files)
}

/// What files have in common.
pub(crate) struct Summary {
    pub(crate) kind: Kind,
    pub(crate) column_names: Vec<String>,
    pub(crate) files: Vec<FileReport>,
    pub(crate) skipped: Vec<BadRow>,
}

/// Checks that files fit together, and that there are no bad rows, unless they may be left out.
pub(crate) fn summarise(
    paths: &[PathBuf],
    mut files: Vec<FileContent>,
    options: &ReadOptions,
) -> Result<Summary, Error> {
    let bad: Vec<BadRow> = files.iter_mut().flat_map(|file| std::mem::take(&mut file.bad)).collect();
    let skipped = check_bad(bad, options.on_bad_row)?;
    let kind = common_kind(&files)?;
    let column_names = files[0].mapping.column_names(kind);
    let reports = paths.iter().enumerate().map(|(index, path)| report(path, files.get(index), kind));
    Ok(Summary { kind, column_names, files: reports.collect::<Result<_, _>>()?, skipped })
}

/// The bad rows to leave out; an error where there must be none.
pub(crate) fn check_bad(bad: Vec<BadRow>, on_bad_row: OnBadRow) -> Result<Vec<BadRow>, Error> {
    if on_bad_row == OnBadRow::Skip || bad.is_empty() {
        return Ok(bad);
    }
    let count = bad.len();
    Err(Error::BadRows { first: bad.into_iter().take(SHOWN_BAD_ROWS).collect(), count })
}

fn common_kind(files: &[FileContent]) -> Result<Kind, Error> {
    let (first, others) = files.split_first().ok_or(Error::NoFiles)?;
    others.iter().try_fold(first.kind(), |kind, file| match (kind, file.kind()) {
        (Kind::Triplets { negatives: a }, Kind::Triplets { negatives: b }) => {
            Ok(Kind::Triplets { negatives: a.min(b) })
        }
        (kind, other) if kind == other => Ok(kind),
        (kind, other) => Err(Error::KindsDiffer {
            first: first.path.clone(),
            first_kind: kind.name(),
            second: file.path.clone(),
            second_kind: other.name(),
        }),
    })
}

fn report(path: &Path, content: Option<&FileContent>, kind: Kind) -> Result<FileReport, Error> {
    let hash = hash_file(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let path = path.to_owned();
    Ok(match content {
        None => FileReport {
            path,
            rows: 0,
            hash,
            mapping: "not read: the limit was reached before".to_owned(),
            columns: ColumnMap::default(),
        },
        Some(content) => FileReport {
            path,
            rows: content.rows,
            hash,
            mapping: content.mapping.describe(negatives_note(content, kind).as_deref()),
            columns: content.mapping.as_config(),
        },
    })
}

/// Says how many negatives are used where a row has more than that.
fn negatives_note(content: &FileContent, kind: Kind) -> Option<String> {
    let (fewest, line) = content.fewest?;
    let most = content.most;
    if most == kind.columns() {
        return None;
    }
    let (used, most) = (kind.columns() - 2, most - 2);
    Some(if fewest == kind.columns() {
        format!("{used} of up to {most} negatives used: line {line} has no more")
    } else {
        format!("{used} of up to {most} negatives used: another file has no more")
    })
}

fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests;
