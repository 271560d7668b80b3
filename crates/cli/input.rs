//! Data files as a command's arguments.

use std::path::PathBuf;

use temper_data::{ColumnMap, Dataset, OnBadRow, ReadOptions};

use crate::columns;
use crate::terminal::Terminal;

/// Which files to read, and how.
#[derive(clap::Args)]
pub struct InputArgs {
    /// Files of pairs, triplets, scored pairs, classified pairs or labelled texts (JSONL, CSV, TSV, Parquet), read as one data set
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// What the columns mean: `anchor=NAME,positive=NAME`, with `negative=`, `label=` or `class=`; `text=NAME,class=NAME`
    #[arg(long, value_name = "ROLE=COLUMN,..", value_parser = columns::parse)]
    columns: Option<ColumnMap>,
    /// Leave bad rows out and say how many, in place of ending at them
    #[arg(long)]
    skip_bad_rows: bool,
}

impl InputArgs {
    /// Reads the files.
    pub fn read(&self, terminal: &Terminal) -> anyhow::Result<Dataset> {
        self.read_others(&self.files, terminal)
    }

    /// Reads other files in the same way.
    pub fn read_others(&self, files: &[PathBuf], terminal: &Terminal) -> anyhow::Result<Dataset> {
        let columns = self.columns.clone().unwrap_or_default();
        let on_bad_row = if self.skip_bad_rows { OnBadRow::Skip } else { OnBadRow::default() };
        let dataset =
            temper_data::read(files, &ReadOptions { columns, on_bad_row, ..ReadOptions::default() })?;
        if let Some(first) = dataset.skipped.first() {
            terminal.warn(format!("bad rows left out: {}; the first: {first}", dataset.skipped.len()));
        }
        Ok(dataset)
    }
}
