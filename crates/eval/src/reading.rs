//! Which task a file is for.

use std::path::Path;

use temper_data::{BadRow, ExcludedPairs, ReadOptions};

use crate::{Error, Result, Task};

/// How to read files to judge by.
#[derive(Debug, Clone, Default)]
pub struct Reading<'a> {
    /// Columns, bad rows, limits.
    pub options: ReadOptions,
    /// Which `qrels` of a BEIR folder.
    pub split: Option<&'a str>,
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
    /// Reads a data file, or a BEIR folder, without the excluded pairs: reranking where rows list their candidates,
    /// paraphrase mining where they list duplicates, else what [`Task::from_dataset`] says.
    pub fn read(&self, path: &Path, excluded: &mut ExcludedPairs) -> Result<ReadTask> {
        let without_columns = |task, skipped| ReadTask { task, mappings: Vec::new(), skipped };
        if path.is_dir() {
            let mut retrieval = temper_data::read_beir(path, self.split)?;
            excluded.leave_out_answers(&mut retrieval);
            return Ok(without_columns(Task::Retrieval(retrieval), Vec::new()));
        }
        if let Some(mut texts) = temper_data::read_duplicates(path, &self.options)? {
            let skipped = std::mem::take(&mut texts.skipped);
            return Ok(without_columns(Task::Paraphrases(texts), skipped));
        }
        if let Some(mut reranking) = temper_data::read_reranking(path, &self.options)? {
            reranking.leave_out(excluded);
            let task = Task::from_reranking(&reranking);
            return Ok(ReadTask { task, mappings: vec![reranking.mapping], skipped: reranking.skipped });
        }
        let mut dataset = temper_data::read(&[path.to_owned()], &self.options)?;
        excluded.leave_out(&mut dataset);
        let mappings = dataset.files.iter().map(|file| format!("{}: {}", file.path.display(), file.mapping));
        let not_judged = || Error::NotJudged { path: path.to_owned(), kind: dataset.kind.name() };
        let (task, mappings) = (Task::from_dataset(&dataset).ok_or_else(not_judged)?, mappings.collect());
        Ok(ReadTask { task, mappings, skipped: dataset.skipped })
    }
}
