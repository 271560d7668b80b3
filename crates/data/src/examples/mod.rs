//! Examples by their number, to learn from: in memory, or left in their files behind an index.

mod index;
mod text_numbers;

use std::borrow::Cow;
use std::path::PathBuf;

use crate::bad_row::BadRow;
use crate::classes::Classes;
use crate::error::Error;
use crate::example::{Dataset, Example, FileReport, Kind, Origin};
use crate::folder::{Split, files_of};
use crate::format::Format;
use crate::read::{ReadOptions, Summary, read_each, summarise};
use crate::split;

use index::Index;
use text_numbers::Collected;
pub use text_numbers::TextNumbers;

/// Examples of one kind. Where their texts are makes no difference to what a run computes.
#[derive(Debug)]
pub struct Examples {
    /// What the columns mean.
    pub kind: Kind,
    /// The columns' names in the first file, in the order of [`Example::texts`].
    pub column_names: Vec<String>,
    /// The names of the classes, in the order in which the files have them; none where there are no classes.
    pub classes: Vec<String>,
    /// One report per file.
    pub files: Vec<FileReport>,
    /// Rows that were left out.
    pub skipped: Vec<BadRow>,
    /// Examples that were left out because a person excluded them.
    pub excluded: usize,
    texts: TextNumbers,
    stored: Stored,
}

#[derive(Debug)]
enum Stored {
    InMemory(Vec<Example>),
    /// With the labels, where examples have them.
    InFiles(Index, Vec<f32>),
}

impl From<Dataset> for Examples {
    fn from(dataset: Dataset) -> Self {
        Self {
            kind: dataset.kind,
            column_names: dataset.column_names,
            classes: dataset.classes,
            files: dataset.files,
            skipped: dataset.skipped,
            excluded: dataset.excluded,
            texts: TextNumbers::of(dataset.examples.iter().map(|example| example.texts.as_slice())),
            stored: Stored::InMemory(dataset.examples),
        }
    }
}

impl Examples {
    /// Reads files once, to check every row and to note where it stands: 24 bytes an example, 4 a text and 8 a
    /// different text. The texts are read again when they are wanted.
    pub fn in_files(paths: &[PathBuf], options: &ReadOptions) -> Result<Self, Error> {
        let paths = &files_of(paths, &options.split)?;
        let mut index = Index::open(paths, options.label_range)?;
        let (mut texts, mut labels, mut classes) = (Collected::default(), Vec::new(), Classes::default());
        let contents = read_each(paths, options, &mut classes, &mut |found| {
            texts.push(&found.example.texts);
            labels.extend(found.example.label);
            index.push(&found)
        })?;
        for (file, content) in contents.iter().enumerate() {
            index.describe(file, content)?;
        }
        let Summary { kind, column_names, files, skipped } = summarise(paths, contents, options)?;
        let texts = texts.numbered(kind.columns());
        let names = classes.names();
        index.classes = classes;
        let stored = Stored::InFiles(index, labels);
        Ok(Self { kind, column_names, classes: names, files, skipped, excluded: 0, texts, stored })
    }

    /// Whether all these files, of folders those to learn from, have rows that can be read one by one.
    pub fn can_stay_in(paths: &[PathBuf]) -> bool {
        let in_lines = |path: &PathBuf| Format::of(path).is_ok_and(|format| format != Format::Parquet);
        files_of(paths, &Split::Train).is_ok_and(|files| files.iter().all(in_lines))
    }

    /// Whether the texts are in their files.
    pub fn are_in_files(&self) -> bool {
        matches!(self.stored, Stored::InFiles(..))
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        match &self.stored {
            Stored::InMemory(examples) => examples.len(),
            Stored::InFiles(index, _) => index.len(),
        }
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An example; an error where its file cannot be read, or is not what it was.
    pub fn get(&self, index: usize) -> Result<Cow<'_, Example>, Error> {
        let (rows, labels) = match &self.stored {
            Stored::InMemory(examples) => return Ok(Cow::Borrowed(&examples[index])),
            Stored::InFiles(rows, labels) => (rows, labels),
        };
        let mut example = rows.read(index)?.ok_or_else(|| rows.changed(index))?;
        example.fit(self.kind);
        let numbers = example.texts.iter().map(|text| self.texts.number(text));
        let same = numbers.eq(self.texts.example(index).iter().map(|number| Some(*number)));
        if !same || example.label != labels.get(index).copied() {
            return Err(rows.changed(index));
        }
        Ok(Cow::Owned(example))
    }

    /// Where an example was read.
    pub fn origin(&self, index: usize) -> Origin {
        match &self.stored {
            Stored::InMemory(examples) => examples[index].origin,
            Stored::InFiles(rows, _) => rows.origin(index),
        }
    }

    /// `file:line` of an example.
    pub fn place(&self, index: usize) -> String {
        self.origin(index).place(&self.files)
    }

    /// The label of an example, where it has one.
    pub fn label(&self, index: usize) -> Option<f32> {
        match &self.stored {
            Stored::InMemory(examples) => examples[index].label,
            Stored::InFiles(_, labels) => labels.get(index).copied(),
        }
    }

    /// Every text, example after example.
    pub fn each_text(&self) -> impl Iterator<Item = Result<String, Error>> + '_ {
        (0..self.len()).flat_map(|index| {
            let (texts, error) = match self.get(index) {
                Ok(example) => (example.into_owned().texts, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            texts.into_iter().map(Ok).chain(error)
        })
    }

    /// Which texts are the same.
    pub fn texts(&self) -> &TextNumbers {
        &self.texts
    }

    /// For each of these texts whether an example has it.
    pub fn which_occur(&self, texts: &[&str]) -> Vec<bool> {
        let used = self.texts.in_use();
        texts.iter().map(|text| self.texts.number(text).is_some_and(|number| used[number as usize])).collect()
    }

    /// A seeded share to be taken out, at most `max` of them, so that no anchor or positive stands on both
    /// sides: their places, and the examples themselves.
    pub fn to_hold_out(&self, seed: u64, share: f64, max: usize) -> Result<(Vec<usize>, Dataset), Error> {
        let held = split::hold_out(&self.texts, seed, share, max);
        let examples =
            held.iter().map(|index| Ok(self.get(*index)?.into_owned())).collect::<Result<_, Error>>()?;
        let dataset = Dataset {
            kind: self.kind,
            column_names: self.column_names.clone(),
            classes: self.classes.clone(),
            examples,
            files: self.files.clone(),
            skipped: self.skipped.clone(),
            excluded: self.excluded,
        };
        Ok((held, dataset))
    }

    /// Takes the examples at these places out.
    pub fn take_out(&mut self, places: &[usize]) {
        let mut keep = vec![true; self.len()];
        for place in places {
            keep[*place] = false;
        }
        self.retain(&keep);
    }

    /// Keeps the examples that `keep` marks.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        let mut marks = keep.iter();
        let mut kept = || marks.next().is_some_and(|keep| *keep);
        self.texts.retain(keep);
        match &mut self.stored {
            Stored::InMemory(examples) => examples.retain(|_| kept()),
            Stored::InFiles(rows, labels) => {
                rows.retain(keep);
                labels.retain(|_| kept());
            }
        }
    }
}

#[cfg(test)]
mod tests;
