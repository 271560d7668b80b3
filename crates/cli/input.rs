//! Data files as a command's arguments.

use std::path::PathBuf;

use temper_data::{BadRow, ColumnMap, Dataset, OnBadRow, ReadOptions, Split};

use crate::columns;
use crate::terminal::Terminal;

/// Which files to read, and how.
#[derive(clap::Args)]
pub struct InputArgs {
    /// Files of pairs, triplets, scored pairs, classified pairs or labelled texts (JSONL, CSV, TSV, Parquet), or folders of them
    /// as on the hub, read as one data set
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// What the columns mean: `anchor=NAME,positive=NAME`, with `negative=`, `label=` or `class=`; `text=NAME,class=NAME`
    #[arg(long, value_name = "ROLE=COLUMN,..", value_parser = columns::parse)]
    columns: Option<ColumnMap>,
    /// Leave bad rows out and say how many, in place of ending at them
    #[arg(long)]
    skip_bad_rows: bool,
    /// Which split of a folder [default: train]
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
}

impl InputArgs {
    /// How the files are read.
    pub fn options(&self) -> ReadOptions {
        ReadOptions {
            columns: self.columns.clone().unwrap_or_default(),
            on_bad_row: if self.skip_bad_rows { OnBadRow::Skip } else { OnBadRow::default() },
            split: self.split.clone().map_or(Split::Train, Split::Named),
            ..ReadOptions::default()
        }
    }

    /// Reads the files.
    pub fn read(&self, terminal: &Terminal) -> anyhow::Result<Dataset> {
        Self::read_with(&self.files, &self.options(), terminal)
    }

    /// Reads files to judge by in the same way.
    pub fn read_evaluation(&self, files: &[PathBuf], terminal: &Terminal) -> anyhow::Result<Dataset> {
        Self::read_with(files, &ReadOptions { split: Split::Evaluation, ..self.options() }, terminal)
    }

    fn read_with(files: &[PathBuf], options: &ReadOptions, terminal: &Terminal) -> anyhow::Result<Dataset> {
        let dataset = temper_data::read(files, options)?;
        Self::warn_of(&dataset.skipped, terminal);
        Ok(dataset)
    }

    /// Says which rows were left out.
    pub fn warn_of(skipped: &[BadRow], terminal: &Terminal) {
        if let Some(first) = skipped.first() {
            terminal.warn(format!("bad rows left out: {}; the first: {first}", skipped.len()));
        }
    }
}
