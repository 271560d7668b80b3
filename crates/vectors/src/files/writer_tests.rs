//! Every format written in pieces and read back whole, and what is left after a failure.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use super::*;
use crate::{Embeddings, Precision, read, read_provenance};

const FORMATS: [(Format, &str); 4] = [
    (Format::Npy, "v.npy"),
    (Format::Safetensors, "v.safetensors"),
    (Format::Jsonl, "v.jsonl"),
    (Format::Parquet, "v.parquet"),
];

fn origin() -> Provenance {
    Provenance {
        model: "models/tiny \"quoted\"".to_owned(),
        fingerprint: "b3:00ff".to_owned(),
        prompt: Some("query: ".to_owned()),
        truncate_dim: Some(3),
        precision: Precision::F16,
        ..Provenance::default()
    }
}

/// The formats this build has, as files in a fresh folder.
fn files(folder: &Path) -> Vec<(Format, PathBuf)> {
    let built = |format: &Format| cfg!(feature = "parquet") || *format != Format::Parquet;
    FORMATS
        .iter()
        .filter(|(format, _)| built(format))
        .map(|(format, name)| (*format, folder.join(name)))
        .collect()
}

#[test]
fn rows_written_in_pieces_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for (format, path) in files(folder.path()) {
        let mut writer = VectorWriter::create(&path, format, 3, &origin()).unwrap();
        let texts = ["a".to_owned(), "ü\n\"".to_owned()];
        writer.write_rows(Some(&texts), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        writer.write_rows(None, &[]).unwrap();
        writer.write_rows(None, &[0.1, -0.0, 1e-30]).unwrap();
        assert!(!path.exists(), "{format}: a name before the end");
        assert_eq!(writer.finish().unwrap(), 3);

        let (read_back, provenance) = read(&path).unwrap();
        let expected = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.1, -0.0, 1e-30];
        assert_eq!(read_back, Embeddings::from_values(3, expected).unwrap(), "{format}");
        let expected = (format != Format::Jsonl).then(origin);
        assert_eq!(provenance, expected, "{format}");
        assert_eq!(read_provenance(&path).unwrap(), expected, "{format}");
    }
    let hidden = fs::read_dir(folder.path()).unwrap();
    let hidden =
        hidden.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0, "temporary files are left");
}

#[test]
fn no_rows_make_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    for (format, path) in files(folder.path()) {
        VectorWriter::create(&path, format, 3, &origin()).unwrap().finish().unwrap();
        assert_eq!(read(&path).unwrap().0.rows(), 0, "{format}");
    }
}

#[test]
fn an_unfinished_writer_leaves_the_old_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (format, path) in files(folder.path()) {
        fs::write(&path, "old").unwrap();
        let mut writer = VectorWriter::create(&path, format, 3, &origin()).unwrap();
        writer.write_rows(None, &[1.0, 2.0, 3.0]).unwrap();
        drop(writer);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old", "{format}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), files(folder.path()).len());
}

#[test]
fn a_file_cut_short_is_named_malformed_or_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    for (format, path) in files(folder.path()) {
        let mut writer = VectorWriter::create(&path, format, 3, &origin()).unwrap();
        writer.write_rows(None, &[1.5; 30]).unwrap();
        writer.finish().unwrap();
        let whole = fs::read(&path).unwrap();
        for keep in [0, 5, 9, whole.len() / 2, whole.len() - 5] {
            fs::write(&path, &whole[..keep]).unwrap();
            match read(&path) {
                Err(error) => assert!(error.to_string().contains("v."), "{error}"),
                // JSONL has no end mark: a cut between lines is a shorter file.
                Ok((rows, _)) => assert!(format == Format::Jsonl && rows.rows() < 10, "{format} at {keep}"),
            }
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let stream = || Box::new(Vec::new());
    let mut writer = VectorWriter::to_stream(stream(), Format::Jsonl, 2, &origin()).unwrap();
    assert!(writer.write_rows(None, &[1.0; 3]).is_err());
    assert!(writer.write_rows(Some(&["a".to_owned()]), &[1.0; 4]).is_err());
    assert!(matches!(writer.write_rows(None, &[1.0, 1.0, f32::NAN, 1.0]), Err(Error::NotFinite { row: 1 })));
}

#[test]
fn formats_with_a_patched_header_need_a_file() {
    for format in [Format::Npy, Format::Safetensors] {
        let error = VectorWriter::to_stream(Box::new(Vec::new()), format, 2, &origin()).err().unwrap();
        assert!(error.to_string().contains("JSONL"), "{error}");
    }
}

#[test]
fn lines_go_to_a_stream_as_they_come() {
    let shared = Shared::default();
    let mut writer = VectorWriter::to_stream(Box::new(shared.clone()), Format::Jsonl, 2, &origin()).unwrap();
    writer.write_rows(Some(&["a".to_owned()]), &[1.0, 0.5]).unwrap();
    writer.write_rows(None, &[2.0, 0.25]).unwrap();
    writer.finish().unwrap();
    let written = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
    assert_eq!(written, "{\"text\":\"a\",\"embedding\":[1.0,0.5]}\n{\"embedding\":[2.0,0.25]}\n");
}

/// What a pipe would have received.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
