//! A Parquet file with columns `text` and `embedding`, written one row group at a time; for pieces of texts with
//! `row`, `start` and `end` in front, which are those of [`Piece`].

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;

use super::writer::{Labels, Piece};
use super::{Format, parse_provenance};
use crate::provenance::METADATA_KEY;
use crate::{Embeddings, Error, Provenance, Result};

const TEXTS: &str = "message vectors {
    OPTIONAL BYTE_ARRAY text (STRING);
    REQUIRED GROUP embedding (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }
}";
const PIECES: &str = "message vectors {
    REQUIRED INT64 row; REQUIRED INT64 start; REQUIRED INT64 end;
    OPTIONAL BYTE_ARRAY text (STRING);
    REQUIRED GROUP embedding (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }
}";
const COLUMN: &str = "embedding";
/// Numbers held back until they make a row group: 16 MiB.
const GROUP_VALUES: usize = 4 << 20;

/// Rows waiting to become the next row group, and the file behind them.
pub(super) struct RowGroups {
    file: Output,
    provenance: String,
    dim: usize,
    pieces: Vec<Piece>,
    texts: Vec<Option<ByteArray>>,
    values: Vec<f32>,
}

/// The first row group decides the columns.
enum Output {
    Unopened(Option<Box<dyn Write + Send>>),
    Open(Box<SerializedFileWriter<Box<dyn Write + Send>>>),
}

impl RowGroups {
    pub(super) fn new(output: Box<dyn Write + Send>, dim: usize, provenance: &Provenance) -> Self {
        let (pieces, texts, values) = (Vec::new(), Vec::new(), Vec::new());
        let file = Output::Unopened(Some(output));
        Self { file, provenance: provenance.to_json(), dim, pieces, texts, values }
    }

    pub(super) fn write(&mut self, labels: Labels<'_>, values: &[f32]) -> std::io::Result<()> {
        for (row, vector) in values.chunks_exact(self.dim.max(1)).enumerate() {
            self.pieces.extend(labels.pieces.map(|pieces| pieces[row]));
            self.texts.push(labels.texts.map(|texts| ByteArray::from(texts[row].as_str())));
            self.values.extend_from_slice(vector);
            if self.values.len() >= GROUP_VALUES {
                self.write_group()?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> std::io::Result<()> {
        if !self.texts.is_empty() {
            self.write_group()?;
        }
        let file = self.opened()?;
        file.finish()?;
        file.inner_mut().flush()
    }

    fn write_group(&mut self) -> std::io::Result<()> {
        let has_text: Vec<i16> = self.texts.iter().map(|text| i16::from(text.is_some())).collect();
        let texts: Vec<ByteArray> = self.texts.iter().flatten().cloned().collect();
        let present = vec![1; self.values.len()];
        let continues: Vec<i16> = (0..self.values.len()).map(|at| i16::from(at % self.dim != 0)).collect();
        let [rows, starts, ends] = [|p: &Piece| p.row, |p: &Piece| p.start, |p: &Piece| p.end]
            .map(|field| self.pieces.iter().map(|piece| field(piece) as i64).collect::<Vec<_>>());
        let values = std::mem::take(&mut self.values);
        let mut group = self.opened()?.next_row_group()?;
        for numbers in [&rows, &starts, &ends].into_iter().filter(|numbers| !numbers.is_empty()) {
            write_column::<Int64Type>(&mut group, numbers, None, None)?;
        }
        write_column::<ByteArrayType>(&mut group, &texts, Some(&has_text), None)?;
        write_column::<FloatType>(&mut group, &values, Some(&present), Some(&continues))?;
        group.close()?;
        self.pieces.clear();
        self.texts.clear();
        Ok(())
    }

    fn opened(&mut self) -> std::io::Result<&mut SerializedFileWriter<Box<dyn Write + Send>>> {
        if let Output::Unopened(output) = &mut self.file {
            let output = output.take().ok_or_else(|| std::io::Error::other("the file could not be begun"))?;
            let schema = if self.pieces.is_empty() { TEXTS } else { PIECES };
            let origin = KeyValue::new(METADATA_KEY.to_owned(), self.provenance.clone());
            // Vectors neither compress nor repeat, and nobody filters by their smallest value.
            let properties = WriterProperties::builder()
                .set_key_value_metadata(Some(vec![origin]))
                .set_column_compression("text".into(), Compression::SNAPPY)
                .set_dictionary_enabled(false)
                .set_statistics_enabled(EnabledStatistics::None)
                .build();
            let schema = Arc::new(parse_message_type(schema)?);
            let file = SerializedFileWriter::new(output, schema, Arc::new(properties))?;
            self.file = Output::Open(Box::new(file));
        }
        match &mut self.file {
            Output::Open(file) => Ok(file),
            Output::Unopened(_) => unreachable!("this is a bug: it was opened above"),
        }
    }
}

/// Writes the group's next column; `present` and `continues` are Parquet's definition and repetition levels.
fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Box<dyn Write + Send>>,
    values: &[T::T],
    present: Option<&[i16]>,
    continues: Option<&[i16]>,
) -> std::io::Result<()> {
    let mut column =
        group.next_column()?.unwrap_or_else(|| panic!("this is a bug: the schema has a column for each"));
    column.typed::<T>().write_batch(values, present, continues)?;
    Ok(column.close()?)
}

pub(super) fn read(path: &Path) -> Result<(Embeddings, Option<Provenance>)> {
    let file = open(path)?;
    let all = read_vectors(&file).map_err(|reason| malformed(path, reason))?;
    Ok((all, provenance(path, &file)?))
}

pub(super) fn read_provenance(path: &Path) -> Result<Option<Provenance>> {
    provenance(path, &open(path)?)
}

fn open(path: &Path) -> Result<SerializedFileReader<File>> {
    let file = File::open(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    SerializedFileReader::new(file).map_err(|error| malformed(path, error.to_string()))
}

fn malformed(path: &Path, reason: String) -> Error {
    Error::Malformed { path: path.to_owned(), format: Format::Parquet, reason }
}

fn provenance(path: &Path, file: &SerializedFileReader<File>) -> Result<Option<Provenance>> {
    let pairs = file.metadata().file_metadata().key_value_metadata();
    let origin = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == METADATA_KEY));
    parse_provenance(path, Format::Parquet, origin.and_then(|pair| pair.value.as_deref()))
}

fn read_vectors(file: &SerializedFileReader<File>) -> std::result::Result<Embeddings, String> {
    let schema = file.metadata().file_metadata().schema_descr();
    let column = (0..schema.num_columns())
        .find(|&column| schema.get_column_root(column).name() == COLUMN)
        .ok_or(format!("it has no column `{COLUMN}`"))?;
    let mut rows = Rows::default();
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group).map_err(|error| error.to_string())?;
        let count = group.metadata().num_rows() as usize;
        let ColumnReader::FloatColumnReader(mut reader) =
            group.get_column_reader(column).map_err(|error| error.to_string())?
        else {
            return Err(format!("its column `{COLUMN}` does not hold lists of 32-bit floats"));
        };
        let mut left = count;
        while left > 0 {
            let mut page = Page::default();
            let (records, values, levels) = reader
                .read_records(
                    left.min(1024),
                    Some(&mut page.present),
                    Some(&mut page.continues),
                    &mut page.values,
                )
                .map_err(|error: ParquetError| error.to_string())?;
            if records == 0 {
                return Err(format!("row group ends {left} rows early"));
            }
            if values != levels {
                return Err(format!("its column `{COLUMN}` holds missing or empty values"));
            }
            rows.add(&page)?;
            left -= records;
        }
    }
    Ok(rows.all)
}

/// Some values of a column, with the levels that say where rows begin.
#[derive(Default)]
struct Page {
    present: Vec<i16>,
    continues: Vec<i16>,
    values: Vec<f32>,
}

#[derive(Default)]
struct Rows {
    all: Embeddings,
}

impl Rows {
    fn add(&mut self, page: &Page) -> std::result::Result<(), String> {
        let starts = page.continues.iter().enumerate().filter(|(_, level)| **level == 0).map(|(at, _)| at);
        let ends = starts.clone().skip(1).chain([page.values.len()]);
        for (start, end) in starts.zip(ends) {
            if self.all.dim == 0 {
                self.all.dim = end - start;
            }
            let row = self.all.rows();
            self.all.push(&page.values[start..end]).map_err(|error| format!("row {row}: {error}"))?;
        }
        Ok(())
    }
}
