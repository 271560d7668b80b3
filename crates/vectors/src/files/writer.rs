//! Writing vectors as they are computed: memory does not grow with the rows, and an interrupted run leaves no
//! half file under the final name.

use std::fs::{self, File};
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Format, floats, jsonl, npy, safetensors};
use crate::{Error, Provenance, Result};

/// Where a row's text lies in the input, when texts were cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// The number of the text in the input, from 0.
    pub row: usize,
    /// The text's first character that belongs to the piece.
    pub start: usize,
    /// The first that does not any more.
    pub end: usize,
}

/// What stands beside the vectors in the formats that keep it (JSONL and Parquet).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Labels<'a> {
    pub(super) texts: Option<&'a [String]>,
    pub(super) pieces: Option<&'a [Piece]>,
}

/// Rows go in, a file of vectors comes out at [`VectorWriter::finish`].
pub struct VectorWriter {
    sink: Sink,
    target: Target,
    dim: usize,
    rows: usize,
    provenance: Provenance,
}

enum Sink {
    Npy(BufWriter<File>),
    Safetensors(BufWriter<File>),
    Jsonl(Box<dyn Write + Send>),
    #[cfg(feature = "parquet")]
    Parquet(Box<super::parquet::RowGroups>),
}

/// Where the bytes end up: a file gets its name only when it is whole.
enum Target {
    Stream,
    File { temporary: PathBuf, path: PathBuf, finished: bool },
}

impl VectorWriter {
    /// Opens a file; nothing appears under `path` before [`VectorWriter::finish`].
    pub fn create(path: &Path, format: Format, dim: usize, provenance: &Provenance) -> Result<Self> {
        let temporary = temporary_sibling(path);
        let file =
            File::create(&temporary).map_err(|source| Error::Write { path: path.to_owned(), source })?;
        let target = Target::File { temporary, path: path.to_owned(), finished: false };
        let mut output = BufWriter::new(file);
        let started = match format {
            Format::Npy => output.write_all(&npy::header(0, dim)),
            Format::Safetensors => output.write_all(&safetensors::header(0, dim, provenance)),
            Format::Jsonl | Format::Parquet => Ok(()),
        };
        started.map_err(|source| target.failed(source))?;
        let sink = match format {
            Format::Npy => Sink::Npy(output),
            Format::Safetensors => Sink::Safetensors(output),
            Format::Jsonl | Format::Parquet => {
                Sink::forward_only(format, Box::new(output), &target, dim, provenance)?
            }
        };
        Ok(Self { sink, target, dim, rows: 0, provenance: provenance.clone() })
    }

    /// Writes to a pipe or to memory; only the formats that never look back can.
    pub fn to_stream(
        stream: Box<dyn Write + Send>,
        format: Format,
        dim: usize,
        provenance: &Provenance,
    ) -> Result<Self> {
        let target = Target::Stream;
        let sink = Sink::forward_only(format, stream, &target, dim, provenance)?;
        Ok(Self { sink, target, dim, rows: 0, provenance: provenance.clone() })
    }

    /// Adds whole rows, with their texts where the format keeps them (JSONL and Parquet).
    pub fn write_rows(&mut self, texts: Option<&[String]>, values: &[f32]) -> Result<()> {
        self.write(Labels { texts, pieces: None }, values)
    }

    /// Adds whole rows that are pieces of texts. A file holds pieces or whole texts, not both.
    pub fn write_pieces(&mut self, pieces: &[Piece], texts: &[String], values: &[f32]) -> Result<()> {
        self.write(Labels { texts: Some(texts), pieces: Some(pieces) }, values)
    }

    fn write(&mut self, labels: Labels<'_>, values: &[f32]) -> Result<()> {
        let rows = values.len().checked_div(self.dim).unwrap_or(0);
        let expect = |what, expected, found| {
            if expected == found { Ok(()) } else { Err(Error::Shape { what, expected, found }) }
        };
        expect("values in whole rows", rows * self.dim, values.len())?;
        expect("texts for the rows", rows, labels.texts.map_or(rows, <[String]>::len))?;
        expect("pieces for the rows", rows, labels.pieces.map_or(rows, <[Piece]>::len))?;
        if matches!(self.sink, Sink::Jsonl(_))
            && let Some(at) = values.iter().position(|value| !value.is_finite())
        {
            return Err(Error::NotFinite { row: self.rows + at / self.dim });
        }
        self.sink.write(labels, values, self.dim).map_err(|source| self.target.failed(source))?;
        self.rows += rows;
        Ok(())
    }

    /// Completes the file, gives it its name, and returns the number of rows.
    pub fn finish(mut self) -> Result<usize> {
        let finished = self.sink.finish(self.rows, self.dim, &self.provenance);
        finished.map_err(|source| self.target.failed(source))?;
        let is_npy = matches!(self.sink, Sink::Npy(_));
        if let Target::File { temporary, path, finished } = &mut self.target {
            if is_npy {
                npy::remove_provenance(path)?;
            }
            fs::rename(&*temporary, &*path).map_err(|source| Error::Write { path: path.clone(), source })?;
            *finished = true;
            if is_npy {
                npy::write_provenance(path, &self.provenance)?;
            }
        }
        Ok(self.rows)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Self::File { temporary, finished: false, .. } = self {
            // Nothing can be done about a file that cannot be removed while unwinding from another failure.
            drop(fs::remove_file(temporary));
        }
    }
}

impl Target {
    fn path(&self) -> &Path {
        match self {
            Self::Stream => Path::new("-"),
            Self::File { path, .. } => path,
        }
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Write { path: self.path().to_owned(), source }
    }
}

/// In the same folder, so that the rename stays within one file system.
fn temporary_sibling(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.partial", std::process::id()))
}

impl Sink {
    /// Of the formats that never look back, as a pipe needs.
    fn forward_only(
        format: Format,
        output: Box<dyn Write + Send>,
        #[cfg_attr(feature = "parquet", expect(unused_variables))] target: &Target,
        dim: usize,
        provenance: &Provenance,
    ) -> Result<Self> {
        match format {
            Format::Npy | Format::Safetensors => Err(Error::NeedsFile { format }),
            Format::Jsonl => Ok(Self::Jsonl(output)),
            #[cfg(feature = "parquet")]
            Format::Parquet => {
                Ok(Self::Parquet(Box::new(super::parquet::RowGroups::new(output, dim, provenance))))
            }
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => Err(Error::ParquetNotBuilt { path: target.path().to_owned() }),
        }
    }

    fn write(&mut self, labels: Labels<'_>, values: &[f32], dim: usize) -> std::io::Result<()> {
        match self {
            Self::Npy(file) | Self::Safetensors(file) => floats::write(file, values),
            Self::Jsonl(output) => {
                values.chunks_exact(dim.max(1)).enumerate().try_for_each(|(row, values)| {
                    let text = labels.texts.map(|texts| texts[row].as_str());
                    jsonl::write_row(output, labels.pieces.map(|pieces| &pieces[row]), text, values)
                })
            }
            #[cfg(feature = "parquet")]
            Self::Parquet(groups) => groups.write(labels, values),
        }
    }

    fn finish(&mut self, rows: usize, dim: usize, provenance: &Provenance) -> std::io::Result<()> {
        match self {
            Self::Npy(file) => patch(file, &npy::header(rows, dim)),
            Self::Safetensors(file) => patch(file, &safetensors::header(rows, dim, provenance)),
            Self::Jsonl(output) => output.flush(),
            #[cfg(feature = "parquet")]
            Self::Parquet(groups) => groups.finish(),
        }
    }
}

/// Replaces the header that was written before the row count was known.
fn patch(file: &mut BufWriter<File>, header: &[u8]) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(header)?;
    file.flush()
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
