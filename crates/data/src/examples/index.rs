//! Where every example stands in its file, so that its texts can stay there until they are needed.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::classes::Classes;
use crate::columns::Mapping;
use crate::content::{FileContent, Found};
use crate::convert::{Label, convert};
use crate::error::Error;
use crate::example::{Example, Origin};
use crate::format::{Format, Span};

/// The places of examples in files of rows: 24 bytes an example.
#[derive(Debug)]
pub(crate) struct Index {
    files: Vec<Indexed>,
    places: Vec<Place>,
    label_range: Option<(f32, f32)>,
    /// The classes of all files.
    pub(crate) classes: Classes,
}

/// One file, held open: who replaces it under its name changes nothing here.
#[derive(Debug)]
struct Indexed {
    path: PathBuf,
    format: Format,
    file: Mutex<File>,
    /// What stands before the rows and says how to read them: the header of CSV and TSV.
    head: Vec<u8>,
    mapping: Option<Mapping>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    bytes: u32,
    line: u32,
    file: u32,
    /// Which of the examples that the row gives.
    part: u32,
}

impl Index {
    /// Opens files, of which no row has a place yet. Those of Parquet have no rows in one piece.
    pub(crate) fn open(paths: &[PathBuf], label_range: Option<(f32, f32)>) -> Result<Self, Error> {
        let file = |path: &PathBuf| {
            let format = Format::of(path)?;
            if format == Format::Parquet {
                return Err(Error::NotStreamed { path: path.clone() });
            }
            let file = Mutex::new(File::open(path).map_err(|source| io(path, source))?);
            Ok(Indexed { path: path.clone(), format, file, head: Vec::new(), mapping: None })
        };
        let files = paths.iter().map(file).collect::<Result<_, _>>()?;
        Ok(Self { files, places: Vec::new(), label_range, classes: Classes::default() })
    }

    /// Notes where an example stands.
    pub(crate) fn push(&mut self, found: &Found) -> Result<(), Error> {
        let (origin, span) = (found.example.origin, found.span);
        let span = span.expect("this is a bug: rows of this format are in one piece");
        let small = |number: u64| {
            let path = &self.files[origin.file as usize].path;
            u32::try_from(number).map_err(|_| Error::TooLarge { path: path.clone(), line: origin.line })
        };
        let place = Place {
            offset: span.offset,
            bytes: small(span.bytes)?,
            line: small(origin.line)?,
            file: origin.file,
            part: small(found.part as u64)?,
        };
        self.places.push(place);
        Ok(())
    }

    /// Says what the columns of a file mean, and where its rows begin.
    pub(crate) fn describe(&mut self, file: usize, content: &FileContent) -> Result<(), Error> {
        let file = &mut self.files[file];
        file.mapping = Some(content.mapping.clone());
        if let (Format::Csv | Format::Tsv, Some(first)) = (file.format, content.first_row) {
            file.head = file.bytes(Span { offset: 0, bytes: first.offset })?;
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn origin(&self, index: usize) -> Origin {
        let place = &self.places[index];
        Origin { file: place.file, line: u64::from(place.line) }
    }

    /// Reads an example; none where its row is no longer one.
    pub(crate) fn read(&self, index: usize) -> Result<Option<Example>, Error> {
        let place = self.places[index];
        let file = &self.files[place.file as usize];
        let row = file.bytes(Span { offset: place.offset, bytes: u64::from(place.bytes) })?;
        let alone = Cursor::new(file.head.clone()).chain(Cursor::new(row));
        let Some(row) = file.format.rows(alone, &file.path)?.next().transpose()? else { return Ok(None) };
        let mapping = file.mapping.as_ref().expect("this is a bug: a file with examples has a mapping");
        let converted = row.cells.and_then(|cells| convert(&cells, mapping, self.label_range)).ok();
        Ok(converted.and_then(|mut converted| {
            let part = place.part as usize;
            let texts = (part < converted.texts.len()).then(|| converted.texts.swap_remove(part))?;
            let label = converted.label.map(|label| match label {
                Label::Score(score) => Some(score),
                Label::Class(name) => self.classes.find(&name).map(|number| number as f32),
            });
            let label = label.map_or(Some(None), |known| known.map(Some))?;
            Some(Example { texts, label, scores: converted.scores, origin: self.origin(index) })
        }))
    }

    /// What is said of a row that is not what it was.
    pub(crate) fn changed(&self, index: usize) -> Error {
        let origin = self.origin(index);
        Error::Changed { path: self.files[origin.file as usize].path.clone(), line: origin.line }
    }

    /// Keeps the examples that `keep` marks.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        let mut marks = keep.iter();
        self.places.retain(|_| marks.next().is_some_and(|keep| *keep));
        self.places.shrink_to_fit();
    }
}

impl Indexed {
    /// The bytes there; fewer where the file has become shorter.
    fn bytes(&self, span: Span) -> Result<Vec<u8>, Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::with_capacity(span.bytes as usize);
        let read = file.seek(SeekFrom::Start(span.offset));
        read.and_then(|_| (&mut *file).take(span.bytes).read_to_end(&mut bytes))
            .map_err(|source| io(&self.path, source))?;
        Ok(bytes)
    }
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}
