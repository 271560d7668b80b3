//! A Parquet file with columns `text` and `embedding`, written one row group at a time.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;

use super::{Format, parse_provenance};
use crate::provenance::METADATA_KEY;
use crate::{Embeddings, Error, Provenance, Result};

const SCHEMA: &str = "message vectors {
    OPTIONAL BYTE_ARRAY text (STRING);
    REQUIRED GROUP embedding (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }
}";
const COLUMN: &str = "embedding";
/// Numbers held back until they make a row group: 16 MiB.
const GROUP_VALUES: usize = 4 << 20;

/// Rows waiting to become the next row group, and the file behind them.
pub(super) struct RowGroups {
    file: SerializedFileWriter<Box<dyn Write + Send>>,
    dim: usize,
    texts: Vec<Option<ByteArray>>,
    values: Vec<f32>,
}

impl RowGroups {
    pub(super) fn new(
        output: Box<dyn Write + Send>,
        dim: usize,
        provenance: &Provenance,
    ) -> std::io::Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let origin = KeyValue::new(METADATA_KEY.to_owned(), provenance.to_json());
        // Vectors neither compress nor repeat, and nobody filters by their smallest value.
        let properties = WriterProperties::builder()
            .set_key_value_metadata(Some(vec![origin]))
            .set_column_compression("text".into(), Compression::SNAPPY)
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .build();
        let file = SerializedFileWriter::new(output, schema, Arc::new(properties))?;
        Ok(Self { file, dim, texts: Vec::new(), values: Vec::new() })
    }

    pub(super) fn write_rows(&mut self, texts: Option<&[String]>, values: &[f32]) -> std::io::Result<()> {
        for (row, vector) in values.chunks_exact(self.dim.max(1)).enumerate() {
            self.texts.push(texts.map(|texts| ByteArray::from(texts[row].as_str())));
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
        self.file.finish()?;
        self.file.inner_mut().flush()
    }

    fn write_group(&mut self) -> std::io::Result<()> {
        let has_text: Vec<i16> = self.texts.iter().map(|text| i16::from(text.is_some())).collect();
        let texts: Vec<ByteArray> = self.texts.iter().flatten().cloned().collect();
        let present = vec![1; self.values.len()];
        let continues: Vec<i16> = (0..self.values.len()).map(|at| i16::from(at % self.dim != 0)).collect();
        let mut group = self.file.next_row_group()?;
        write_column::<ByteArrayType>(&mut group, &texts, &has_text, None)?;
        write_column::<FloatType>(&mut group, &self.values, &present, Some(&continues))?;
        group.close()?;
        self.texts.clear();
        self.values.clear();
        Ok(())
    }
}

/// Writes the group's next column; `present` and `continues` are Parquet's definition and repetition levels.
fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Box<dyn Write + Send>>,
    values: &[T::T],
    present: &[i16],
    continues: Option<&[i16]>,
) -> std::io::Result<()> {
    let mut column =
        group.next_column()?.unwrap_or_else(|| panic!("this is a bug: the schema has two columns"));
    column.typed::<T>().write_batch(values, Some(present), continues)?;
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
