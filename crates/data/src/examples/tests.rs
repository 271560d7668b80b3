//! Examples in their files are those in memory.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::bad_row::OnBadRow;
use crate::exclude::ExcludedPairs;
use crate::read::read;
use crate::sampler::{BatchSampler, epoch_batches};

/// A file of some rows: some text stands in several of them, and some bad rows and empty lines between.
fn files() -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let jsonl = |row: usize| {
        let anchor = format!("q{}", row % 40);
        let bad = if row % 11 == 5 { "{\"query\": 5}\n\n" } else { "" };
        format!(
            "{{\"query\": \"{anchor}\", \"pos\": [\"p{row}\", \"ö \\n {row}\"], \"neg\": [\"n {anchor}\"]}}\n{bad}"
        )
    };
    let csv = |row: usize| format!("\"a, b\r\n{row}\",q{}\r\n\r\n", row % 40);
    let tsv = |row: usize| match row % 7 {
        3 => format!("q{}\t\n", row % 40),
        _ => format!("q{0}\tq{0}\n", row % 40),
    };
    let rows = |of: &dyn Fn(usize) -> String| (0..60).map(of).collect::<String>();
    let json = format!("\u{feff}{}", rows(&jsonl));
    let csv = format!("positive,query\r\n{}", rows(&csv));
    let tsv = format!("\u{feff}query\tpositive\n{}", rows(&tsv));
    let paths = ["x.jsonl", "x.csv", "x.tsv"].map(|name| folder.path().join(name));
    for (path, text) in paths.iter().zip([json, csv, tsv.trim_end().to_owned()]) {
        std::fs::write(path, text).unwrap();
    }
    (folder, paths.into())
}

fn both(paths: &[PathBuf], limit: Option<usize>) -> [Examples; 2] {
    let options = ReadOptions { on_bad_row: OnBadRow::Skip, limit, ..ReadOptions::default() };
    [read(paths, &options).unwrap().into(), Examples::in_files(paths, &options).unwrap()]
}

fn all(examples: &Examples) -> Vec<Example> {
    (0..examples.len()).map(|index| examples.get(index).unwrap().into_owned()).collect()
}

fn hold_out(examples: &mut Examples, seed: u64, share: f64, max: usize) -> Dataset {
    let (places, held) = examples.to_hold_out(seed, share, max).unwrap();
    examples.take_out(&places);
    held
}

#[test]
fn whatever_is_done_to_them_is_the_same() {
    let (_folder, paths) = files();
    for (paths, limit) in
        [(&paths[..1], None), (&paths[..1], Some(31)), (&paths[1..], None), (&paths[1..], Some(70))]
    {
        let [mut memory, mut files] = both(paths, limit);
        assert!(files.are_in_files() && !memory.are_in_files());
        assert_eq!((files.kind, &files.files, &files.skipped), (memory.kind, &memory.files, &memory.skipped));
        assert_eq!((all(&files), files.texts()), (all(&memory), memory.texts()));
        let held = [&mut memory, &mut files].map(|examples| hold_out(examples, 7, 0.2, 9));
        assert_eq!(held[0], held[1]);
        assert!(!held[0].is_empty());
        let wrong =
            || [("q3", "p3"), ("q4", "q4"), ("q5", "nowhere")].map(|(a, p)| (a.to_owned(), p.to_owned()));
        for examples in [&mut memory, &mut files] {
            let mut wrong: ExcludedPairs = wrong().into_iter().collect();
            wrong.leave_out_of(examples);
            assert!(examples.excluded > 0);
        }
        assert_eq!(all(&files), all(&memory));
        let batches =
            |examples: &Examples| epoch_batches(examples, BatchSampler::NoDuplicates, 8, 42, 0, false);
        assert_eq!(batches(&files), batches(&memory));
        let texts = |examples: &Examples| examples.each_text().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(texts(&files), texts(&memory));
        let asked = ["q3", "p3", "n q3", "q4", "not there", held[0].examples[0].texts[0].as_str()];
        assert_eq!(files.which_occur(&asked), memory.which_occur(&asked));
        assert!(!files.which_occur(&asked)[5], "what is held out is not learned from");
    }
}

#[test]
fn labels_stay_with_their_examples() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tsv");
    let rows: Vec<String> = (0..30).map(|row| format!("a{row}\tb{row}\t0.{row}\n")).collect();
    std::fs::write(&path, format!("text1\ttext2\tscore\n{}", rows.concat())).unwrap();
    let [mut memory, mut files] = both(&[path], None);
    for examples in [&mut memory, &mut files] {
        hold_out(examples, 3, 0.3, 100);
    }
    assert_eq!(all(&files), all(&memory));
    assert_eq!(files.label(5), memory.label(5));
    assert!(files.label(5).is_some());
}

#[test]
fn classes_stay_with_their_examples() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tsv");
    let rows: Vec<String> = (0..60).map(|row| format!("t{row}\tclass {}\n", row % 7)).collect();
    std::fs::write(&path, format!("text\tlabel\n{}", rows.concat())).unwrap();
    let [mut memory, mut files] = both(&[path], None);
    for examples in [&mut memory, &mut files] {
        hold_out(examples, 3, 0.3, 100);
    }
    assert_eq!((all(&files), &files.classes), (all(&memory), &memory.classes));
    let batches = |examples: &Examples| epoch_batches(examples, BatchSampler::GroupByLabel, 8, 42, 1, false);
    assert_eq!(batches(&files), batches(&memory));
}

#[test]
fn a_row_that_was_changed_is_noticed_and_named() {
    let (_folder, paths) = files();
    let [_, files] = both(&paths[..1], None);
    let text = std::fs::read_to_string(&paths[0]).unwrap();
    for (changed, bad) in [
        (text.replacen("\"p1\"", "\"r1\"", 1).into_bytes(), 2),
        (text.replacen("{\"query\": \"q1\"", "[\"query\": \"q1\"", 1).into_bytes(), 2),
        (text.as_bytes()[..150].to_vec(), 5),
    ] {
        std::fs::write(&paths[0], changed).unwrap();
        assert!(files.get(0).is_ok());
        let message = files.get(bad).unwrap_err().to_string();
        let line = files.origin(bad).line;
        assert!(message.contains(&format!("x.jsonl`, line {line}: the file was changed")), "{message}");
        assert!(files.each_text().any(|text| text.is_err()));
    }
}

#[test]
fn rows_of_parquet_cannot_stay_there() {
    let path = PathBuf::from("x.parquet");
    assert!(!Examples::can_stay_in(std::slice::from_ref(&path)));
    let message = Examples::in_files(&[path], &ReadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("temper data convert x.parquet -o FILE.jsonl"), "{message}");
}
