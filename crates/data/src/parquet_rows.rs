//! Rows of a Parquet file through the row API, one row group in memory at a time.

use std::fs::File;
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::reader::SerializedFileReader;
use parquet::record::{Field, Row as ParquetRow};
use serde_json::Value;

use crate::bad_row::{Fault, Reason};
use crate::error::Error;
use crate::format::{Cells, Row, Rows};

/// The rows of `file`, numbered from 1.
pub(crate) fn rows(file: File, path: &Path) -> Result<Rows, Error> {
    let path = path.to_owned();
    let failed = move |source: ParquetError| Error::Parquet { path: path.clone(), source };
    let reader = SerializedFileReader::new(file).map_err(&failed)?;
    Ok(Box::new(reader.into_iter().zip(1..).map(move |(row, line)| {
        let row = row.map_err(&failed)?;
        Ok(Row { line, span: None, cells: cells(&row) })
    })))
}

fn cells(row: &ParquetRow) -> Result<Cells, Fault> {
    row.get_column_iter()
        .map(|(name, field)| {
            let value = value(field).map_err(|reason| Fault::column(name, reason))?;
            Ok((name.clone(), value))
        })
        .collect()
}

fn value(field: &Field) -> Result<Value, Reason> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::Bool(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) => Value::from(*value),
        Field::Long(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        Field::Float16(value) => float(f64::from(*value)),
        Field::Float(value) => float(f64::from(*value)),
        Field::Double(value) => float(*value),
        Field::Str(text) => Value::String(text.clone()),
        // Writers that leave out the UTF-8 annotation give bytes.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Value::String(text.to_owned()),
            Err(error) => return Err(Reason::NotUtf8 { byte: error.valid_up_to() as u64 }),
        },
        Field::ListInternal(list) => {
            Value::Array(list.elements().iter().map(value).collect::<Result<_, _>>()?)
        }
        // Dates and structs are no text and no label; as objects they are refused where one is wanted.
        _ => Value::Object(Cells::new()),
    })
}

/// JSON has no NaN; as text it reaches the check of labels, which names it.
fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use crate::read::{ReadOptions, read};
    use crate::texts::Texts;

    /// Two scored pairs, the second with a NaN.
    fn write(path: &std::path::Path) {
        let schema = "message rows { required binary sentence1 (UTF8); required binary sentence2; required double score; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let file = std::fs::File::create(path).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        for texts in [["a", "c"], ["b", "d"]] {
            let texts = texts.map(ByteArray::from);
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
            column.close().unwrap();
        }
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[0.5, f64::NAN], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn scored_pairs_and_texts_come_from_columns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        write(&path);
        let message = read(std::slice::from_ref(&path), &ReadOptions::default()).unwrap_err().to_string();
        assert!(
            message.contains("x.parquet:2: column `score`: label `NaN` is not a finite number"),
            "{message}"
        );
        let data =
            read(std::slice::from_ref(&path), &ReadOptions { limit: Some(1), ..ReadOptions::default() })
                .unwrap();
        assert_eq!(
            (&data.examples[0].texts[..], data.examples[0].label),
            (&["a".to_owned(), "b".to_owned()][..], Some(0.5))
        );
        let texts: Vec<String> = Texts::open(&path, Some("sentence2")).unwrap().map(Result::unwrap).collect();
        assert_eq!(texts, ["b", "d"]);
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        write(&path);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let message = read(&[path], &ReadOptions::default()).unwrap_err().to_string();
        assert!(message.ends_with("is not a readable Parquet file (truncated?)"), "{message}");
    }
}
