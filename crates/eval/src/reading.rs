//! Which task a file is for.

use std::path::{Path, PathBuf};

use temper_data::{BadRow, Example, ExcludedPairs, Kind, ReadOptions, Split, files_of, is_beir};

use crate::{Error, Result, Task};

/// How to read files to judge by.
#[derive(Debug, Clone, Default)]
pub struct Reading<'a> {
    /// Columns, bad rows, limits.
    pub options: ReadOptions,
    /// Which `qrels` of a BEIR folder, or files of a data set's; not those of `options`.
    pub split: Option<&'a str>,
    /// Labelled texts that classifiers are fitted on, to tell those to judge by apart.
    pub fit: &'a [PathBuf],
}

/// A task, and how its file was read.
#[derive(Debug, Clone)]
pub struct ReadTask {
    /// The task.
    pub task: Task,
    /// Which column became what, a line a file, where there are columns to choose from.
    pub mappings: Vec<String>,
    /// Rows that were left out.
    pub skipped: Vec<BadRow>,
}

impl Reading<'_> {
    /// Reads a data file, or the folder of a data set or in BEIR's form, without the excluded pairs: reranking where rows list their candidates,
    /// paraphrase mining where they list duplicates, else what [`Task::from_dataset`] says.
    pub fn read(&self, path: &Path, excluded: &mut ExcludedPairs) -> Result<ReadTask> {
        let without_columns = |task, skipped| ReadTask { task, mappings: Vec::new(), skipped };
        if path.is_dir() && is_beir(path) {
            if !self.fit.is_empty() {
                return Err(Error::NotFitted { path: path.to_owned(), kind: "queries and documents" });
            }
            let mut retrieval = temper_data::read_beir(path, self.split)?;
            excluded.leave_out_answers(&mut retrieval);
            return Ok(without_columns(Task::Retrieval(retrieval), Vec::new()));
        }
        let judged = files_of(&[path.to_owned()], &self.split_of_folders())?;
        if let ([file], []) = (judged.as_slice(), self.fit) {
            if let Some(mut texts) = temper_data::read_duplicates(file, &self.options)? {
                let skipped = std::mem::take(&mut texts.skipped);
                return Ok(without_columns(Task::Paraphrases(texts), skipped));
            }
            if let Some(mut reranking) = temper_data::read_reranking(file, &self.options)? {
                reranking.leave_out(excluded);
                let task = Task::from_reranking(&reranking);
                return Ok(ReadTask { task, mappings: vec![reranking.mapping], skipped: reranking.skipped });
            }
        }
        // As one data set, so that a class has one number.
        let fit = files_of(self.fit, &Split::Train)?;
        let mut dataset = temper_data::read(&[&fit[..], &judged[..]].concat(), &self.options)?;
        excluded.leave_out(&mut dataset);
        let mappings = dataset.files.iter().map(|file| format!("{}: {}", file.path.display(), file.mapping));
        let not_judged = || Error::NotJudged { path: path.to_owned(), kind: dataset.kind.name() };
        let (mut task, mappings) = (Task::from_dataset(&dataset).ok_or_else(not_judged)?, mappings.collect());
        if !fit.is_empty() {
            if dataset.kind != Kind::Labelled {
                return Err(Error::NotFitted { path: path.to_owned(), kind: dataset.kind.name() });
            }
            let is_fitted = |example: &Example| (example.origin.file as usize) < fit.len();
            task = task.fitted_on(dataset.examples.partition_point(is_fitted));
        }
        Ok(ReadTask { task, mappings, skipped: dataset.skipped })
    }

    fn split_of_folders(&self) -> Split {
        self.split.map_or(Split::Evaluation, |name| Split::Named(name.to_owned()))
    }
}
