//! The content of one file: its first rows decide what the columns mean, then every row is converted.

use std::path::{Path, PathBuf};

use crate::bad_row::{BadRow, OnBadRow, Reason};
use crate::columns::{ColumnMap, Mapping, TextColumns, map_columns};
use crate::convert::convert;
use crate::error::Error;
use crate::example::{Example, Kind, Origin};
use crate::format::{Format, Row, Span};
use crate::read::ReadOptions;

/// Rows of a file that decide what its columns are.
const PEEKED_ROWS: usize = 100;

/// What one file gave, beside the examples.
pub(crate) struct FileContent {
    pub(crate) path: PathBuf,
    pub(crate) mapping: Mapping,
    /// Where the first row stands, good or bad.
    pub(crate) first_row: Option<Span>,
    pub(crate) rows: usize,
    pub(crate) examples: usize,
    /// The first example with the fewest texts: how many, and its line.
    pub(crate) fewest: Option<(usize, u64)>,
    /// Texts of the example that has most.
    pub(crate) most: usize,
    pub(crate) bad: Vec<BadRow>,
}

/// An example, and the part of which row it is.
pub(crate) struct Found {
    pub(crate) example: Example,
    pub(crate) span: Option<Span>,
    /// Its number among those of the row, from 0.
    pub(crate) part: usize,
}

/// What is done with every example.
pub(crate) type Keep<'a> = dyn FnMut(Found) -> Result<(), Error> + 'a;

/// Reads one file, up to `limit` examples.
pub(crate) fn read_file(
    path: &Path,
    file: u32,
    limit: Option<usize>,
    options: &ReadOptions,
    keep: &mut Keep<'_>,
) -> Result<FileContent, Error> {
    let mut rows = Format::of(path)?.open(path)?;
    let peeked: Vec<Row> = rows.by_ref().take(PEEKED_ROWS).collect::<Result<_, _>>()?;
    let Some(first) = peeked.first() else { return Err(Error::Empty { path: path.to_owned() }) };
    let mut content = FileContent {
        path: path.to_owned(),
        mapping: decide_mapping(path, &peeked, &options.columns)?,
        first_row: first.span,
        rows: 0,
        examples: 0,
        fewest: None,
        most: 0,
        bad: Vec::new(),
    };
    let limit = limit.unwrap_or(usize::MAX);
    for row in peeked.into_iter().map(Ok).chain(rows) {
        content.add(row?, file, limit, options.label_range, keep)?;
        if content.examples >= limit {
            break;
        }
    }
    match content.bad.first() {
        Some(first) if content.examples == 0 && options.on_bad_row == OnBadRow::Skip => {
            Err(Error::NoUsableRows {
                path: path.to_owned(),
                count: content.rows,
                first: Box::new(first.clone()),
            })
        }
        _ => Ok(content),
    }
}

/// Recognition looks at the columns that half of the first rows have, so that a stray key decides nothing;
/// names from the config may be rarer.
fn decide_mapping(path: &Path, rows: &[Row], wanted: &ColumnMap) -> Result<Mapping, Error> {
    let mut counts: Vec<(&String, usize)> = Vec::new();
    let mut good_rows = 0;
    for cells in rows.iter().filter_map(|row| row.cells.as_ref().ok()) {
        good_rows += 1;
        for name in cells.keys() {
            match counts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name, 1)),
            }
        }
    }
    let first_bad = || rows.iter().find_map(|row| Some(row.cells.clone().err()?.at(path, row.line)));
    if good_rows == 0
        && let Some(first) = first_bad()
    {
        return Err(Error::NoUsableRows { path: path.to_owned(), count: rows.len(), first: Box::new(first) });
    }
    let named = |name: &str| {
        let fields = [&wanted.anchor, &wanted.positive, &wanted.label];
        let mut names = fields.into_iter().flatten().chain(&wanted.negatives);
        names.any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    let usual = counts.iter().filter(|(name, count)| count * 2 >= good_rows || named(name));
    let columns: Vec<String> = usual.map(|(name, _)| (*name).clone()).collect();
    map_columns(path, &columns, wanted)
}

impl FileContent {
    fn add(
        &mut self,
        row: Row,
        file: u32,
        limit: usize,
        label_range: Option<(f32, f32)>,
        keep: &mut Keep<'_>,
    ) -> Result<(), Error> {
        self.rows += 1;
        let (line, span) = (row.line, row.span);
        match row.cells.and_then(|cells| convert(&cells, &self.mapping, label_range)) {
            Ok(converted) => {
                let origin = Origin { file, line };
                let label = converted.label;
                for (part, texts) in converted.texts.into_iter().take(limit - self.examples).enumerate() {
                    self.count(texts.len(), line);
                    keep(Found { example: Example { texts, label, origin }, span, part })?;
                }
            }
            Err(fault) => {
                let bad = fault.at(&self.path, line);
                self.bad.push(self.refuse_class_name(bad)?);
            }
        }
        Ok(())
    }

    fn count(&mut self, texts: usize, line: u64) {
        self.examples += 1;
        self.most = self.most.max(texts);
        if self.fewest.is_none_or(|(fewest, _)| texts < fewest) {
            self.fewest = Some((texts, line));
        }
    }

    /// A label such as `entailment` from the start is no bad row but a misunderstanding of the whole file.
    fn refuse_class_name(&self, bad: BadRow) -> Result<BadRow, Error> {
        match (&bad.reason, &self.mapping.texts) {
            (Reason::BadLabel { found }, TextColumns::Named { anchor, positive, .. })
                if self.examples == 0
                    && found.parse::<f64>().is_err()
                    && found.starts_with(char::is_alphabetic) =>
            {
                Err(Error::ClassLabel {
                    path: bad.file.clone(),
                    line: bad.line,
                    column: bad.column.clone().unwrap_or_default(),
                    found: found.clone(),
                    remedy: format!("[data.columns] anchor = \"{anchor}\", positive = \"{positive}\""),
                })
            }
            _ => Ok(bad),
        }
    }

    /// What the examples of this file are.
    pub(crate) fn kind(&self) -> Kind {
        match (&self.mapping.label, self.fewest.map_or(2, |(texts, _)| texts)) {
            (Some(_), _) => Kind::Scored,
            (None, 2) => Kind::Pairs,
            (None, texts) => Kind::Triplets { negatives: texts - 2 },
        }
    }
}
