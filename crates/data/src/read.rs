//! Reading files of examples: formats, columns and bad rows come together here.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::bad_row::{BadRow, OnBadRow, Reason};
use crate::columns::{ColumnMap, Mapping, TextColumns, map_columns};
use crate::convert::convert;
use crate::error::Error;
use crate::example::{Dataset, Example, FileReport, Kind, Origin};
use crate::format::{Format, Row};

/// Rows of a file that decide what its columns are.
const PEEKED_ROWS: usize = 100;
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
}

/// Reads files, one after the other, into one data set.
pub fn read(paths: &[PathBuf], options: &ReadOptions) -> Result<Dataset, Error> {
    let mut files = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let taken: usize = files.iter().map(|file: &FileContent| file.examples.len()).sum();
        let limit = options.limit.map(|limit| limit - taken);
        if limit == Some(0) {
            break;
        }
        files.push(read_file(path, index as u32, limit, options)?);
    }
    let kind = common_kind(&files)?;
    let column_names = files[0].mapping.column_names(kind);
    let bad: Vec<BadRow> = files.iter_mut().flat_map(|file| std::mem::take(&mut file.bad)).collect();
    if options.on_bad_row == OnBadRow::Refuse && !bad.is_empty() {
        let count = bad.len();
        return Err(Error::BadRows { first: bad.into_iter().take(SHOWN_BAD_ROWS).collect(), count });
    }
    let reports = paths.iter().enumerate().map(|(index, path)| report(path, files.get(index), kind));
    let reports = reports.collect::<Result<_, _>>()?;
    let mut examples: Vec<Example> = files.into_iter().flat_map(|file| file.examples).collect();
    for example in &mut examples {
        example.texts.truncate(kind.columns());
    }
    Ok(Dataset { kind, column_names, examples, files: reports, skipped: bad })
}

/// What one file gave.
struct FileContent {
    path: PathBuf,
    mapping: Mapping,
    rows: usize,
    examples: Vec<Example>,
    bad: Vec<BadRow>,
}

fn read_file(
    path: &Path,
    file: u32,
    limit: Option<usize>,
    options: &ReadOptions,
) -> Result<FileContent, Error> {
    let mut rows = Format::of(path)?.open(path)?;
    let peeked: Vec<Row> = rows.by_ref().take(PEEKED_ROWS).collect::<Result<_, _>>()?;
    if peeked.is_empty() {
        return Err(Error::Empty { path: path.to_owned() });
    }
    let mapping = decide_mapping(path, &peeked, &options.columns)?;
    let limit = limit.unwrap_or(usize::MAX);
    let mut content = FileContent { path: path.to_owned(), mapping, rows: 0, examples: vec![], bad: vec![] };
    for row in peeked.into_iter().map(Ok).chain(rows) {
        content.add(row?, file, options.label_range)?;
        if content.examples.len() >= limit {
            content.examples.truncate(limit);
            break;
        }
    }
    match content.bad.first() {
        Some(first) if content.examples.is_empty() && options.on_bad_row == OnBadRow::Skip => {
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
    if good_rows == 0 {
        let bad = rows.iter().filter_map(|row| Some(row.cells.clone().err()?.at(path, row.line)));
        return Err(Error::BadRows { first: bad.take(SHOWN_BAD_ROWS).collect(), count: rows.len() });
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
    fn add(&mut self, row: Row, file: u32, label_range: Option<(f32, f32)>) -> Result<(), Error> {
        self.rows += 1;
        let line = row.line;
        match row.cells.and_then(|cells| convert(&cells, &self.mapping, label_range)) {
            Ok(converted) => {
                let origin = Origin { file, line };
                let label = converted.label;
                let examples = converted.texts.into_iter().map(|texts| Example { texts, label, origin });
                self.examples.extend(examples);
                Ok(())
            }
            Err(fault) => {
                let bad = fault.at(&self.path, line);
                self.bad.push(self.refuse_class_name(bad)?);
                Ok(())
            }
        }
    }

    /// A label such as `entailment` is no bad row but a misunderstanding of the whole file.
    fn refuse_class_name(&self, bad: BadRow) -> Result<BadRow, Error> {
        match (&bad.reason, &self.mapping.texts) {
            (Reason::BadLabel { found }, TextColumns::Named { anchor, positive, .. })
                if found.parse::<f64>().is_err() && found.starts_with(char::is_alphabetic) =>
            {
                Err(Error::ClassLabel {
                    path: bad.file.clone(),
                    line: bad.line,
                    column: bad.column.clone().unwrap_or_default(),
                    found: found.clone(),
                    anchor: anchor.clone(),
                    positive: positive.clone(),
                })
            }
            _ => Ok(bad),
        }
    }

    fn fewest_negatives(&self) -> Option<&Example> {
        self.examples.iter().min_by_key(|example| example.texts.len())
    }

    fn kind(&self) -> Kind {
        match (&self.mapping.label, self.fewest_negatives().map_or(2, |example| example.texts.len())) {
            (Some(_), _) => Kind::Scored,
            (None, 2) => Kind::Pairs,
            (None, texts) => Kind::Triplets { negatives: texts - 2 },
        }
    }
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
    let most = content.examples.iter().map(|example| example.texts.len()).max()?;
    if most == kind.columns() {
        return None;
    }
    let (used, most) = (kind.columns() - 2, most - 2);
    let fewest = content.fewest_negatives().filter(|example| example.texts.len() == kind.columns());
    Some(match fewest {
        Some(example) => {
            format!("{used} of up to {most} negatives used: line {} has no more", example.origin.line)
        }
        None => format!("{used} of up to {most} negatives used: another file has no more"),
    })
}

fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

impl Mapping {
    fn column_names(&self, kind: Kind) -> Vec<String> {
        match &self.texts {
            TextColumns::List(_) => kind.roles(),
            TextColumns::Named { anchor, positive, negatives } => {
                let mut names = vec![anchor.clone(), positive.clone()];
                if negatives.len() == kind.columns() - 2 {
                    names.extend(negatives.iter().cloned());
                } else {
                    names.extend(kind.roles().into_iter().skip(2));
                }
                names
            }
        }
    }
}
