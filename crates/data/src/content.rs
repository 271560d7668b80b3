//! The content of one file: its first rows decide what the columns mean, then every row is converted.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bad_row::{BadRow, OnBadRow};
use crate::classes::Classes;
use crate::columns::{LabelColumn, Mapping, TextColumns, map_columns};
use crate::convert::{Label, convert};
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

/// Reads one file, up to `limit` examples; new classes get the next numbers.
pub(crate) fn read_file(
    path: &Path,
    file: u32,
    limit: Option<usize>,
    options: &ReadOptions,
    classes: &mut Classes,
    keep: &mut Keep<'_>,
) -> Result<FileContent, Error> {
    let mut rows = Format::of(path)?.open(path)?;
    let peeked: Vec<Row> = rows.by_ref().take(PEEKED_ROWS).collect::<Result<_, _>>()?;
    let Some(first) = peeked.first() else { return Err(Error::Empty { path: path.to_owned() }) };
    let mut content = FileContent {
        path: path.to_owned(),
        mapping: decide_mapping(path, &peeked, options)?,
        first_row: first.span,
        rows: 0,
        examples: 0,
        fewest: None,
        most: 0,
        bad: Vec::new(),
    };
    let limit = limit.unwrap_or(usize::MAX);
    let mut adding = Adding { file, limit, label_range: options.label_range, classes, keep };
    for row in peeked.into_iter().map(Ok).chain(rows) {
        content.add(row?, &mut adding)?;
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
/// names from the config may be rarer. Labels that are words are classes.
fn decide_mapping(path: &Path, rows: &[Row], options: &ReadOptions) -> Result<Mapping, Error> {
    let wanted = &options.columns;
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
    let named = |name: &str| wanted.names().any(|wanted| wanted.eq_ignore_ascii_case(name));
    let usual = counts.iter().filter(|(name, count)| count * 2 >= good_rows || named(name));
    let columns: Vec<String> = usual.map(|(name, _)| (*name).clone()).collect();
    let mut mapping = map_columns(path, &columns, wanted)?;
    if let Some(LabelColumn::Score(column)) = &mapping.label
        && (options.labels_are_classes || holds_words(rows, column))
    {
        mapping.label = Some(LabelColumn::Class(column.clone()));
    }
    Ok(mapping)
}

/// Whether more than half of the values of a column are words such as `entailment`.
fn holds_words(rows: &[Row], column: &str) -> bool {
    let values: Vec<&Value> = rows.iter().filter_map(|row| row.cells.as_ref().ok()?.get(column)).collect();
    let is_word = |value: &&&Value| {
        let text = value.as_str().unwrap_or_default().trim();
        text.starts_with(char::is_alphabetic) && text.parse::<f64>().is_err()
    };
    2 * values.iter().filter(is_word).count() > values.len()
}

/// What becomes of the examples of a file.
struct Adding<'a, 'b> {
    file: u32,
    limit: usize,
    label_range: Option<(f32, f32)>,
    classes: &'a mut Classes,
    keep: &'a mut Keep<'b>,
}

impl FileContent {
    fn add(&mut self, row: Row, to: &mut Adding<'_, '_>) -> Result<(), Error> {
        self.rows += 1;
        let (line, span) = (row.line, row.span);
        match row.cells.and_then(|cells| convert(&cells, &self.mapping, to.label_range)) {
            Ok(converted) => {
                let origin = Origin { file: to.file, line };
                let scores = converted.scores;
                let label = converted.label.map(|label| match label {
                    Label::Score(score) => score,
                    Label::Class(name) => to.classes.add(name) as f32,
                });
                for (part, texts) in converted.texts.into_iter().take(to.limit - self.examples).enumerate() {
                    self.count(texts.len(), line);
                    (to.keep)(Found {
                        example: Example { texts, label, scores: scores.clone(), origin },
                        span,
                        part,
                    })?;
                }
            }
            Err(fault) => self.bad.push(fault.at(&self.path, line)),
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

    /// What the examples of this file are.
    pub(crate) fn kind(&self) -> Kind {
        match (&self.mapping.label, self.fewest.map_or(2, |(texts, _)| texts)) {
            (Some(LabelColumn::Class(_)), _) => match self.mapping.texts {
                TextColumns::One(_) => Kind::Labelled,
                TextColumns::Named { .. } | TextColumns::List(_) => Kind::ClassifiedPairs,
            },
            (Some(LabelColumn::Score(_)), _) => Kind::Scored,
            (None, 2) => Kind::Pairs,
            (None, texts) => Kind::Triplets { negatives: texts - 2 },
        }
    }
}
