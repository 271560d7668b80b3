#![allow(clippy::unwrap_used)]
use std::io::{Seek as _, SeekFrom, Write as _};

use super::*;

const DIM: usize = 5;

fn origin(fingerprint: &str) -> Provenance {
    Provenance { fingerprint: fingerprint.to_owned(), ..Provenance::default() }
}

fn open(cache: &Path) -> Store {
    Store::open(cache, &origin("a"), DIM).unwrap()
}

/// Texts and vectors that belong to them.
fn rows(range: std::ops::Range<usize>) -> (Vec<String>, Vec<f32>) {
    let values = range.clone().flat_map(|row| (0..DIM).map(move |at| (row * DIM + at) as f32));
    (range.clone().map(|row| format!("text {row}")).collect(), values.collect())
}

fn add(store: &mut Store, range: std::ops::Range<usize>) {
    let (texts, values) = rows(range);
    store.insert(&texts, &values).unwrap();
}

/// Asserts that exactly these rows of the first `of` are known, with the right vectors.
fn assert_holds(store: &mut Store, of: usize, known: impl Fn(usize) -> bool) {
    let (texts, expected) = rows(0..of);
    let found = store.find(&texts).unwrap();
    assert_eq!(found.missing, (0..of).filter(|row| !known(*row)).collect::<Vec<_>>());
    for row in (0..of).filter(|row| known(*row)) {
        assert_eq!(found.values[row * DIM..][..DIM], expected[row * DIM..][..DIM], "row {row}");
    }
}

fn segments(cache: &Path) -> Vec<PathBuf> {
    let folder = list(cache).unwrap().remove(0).folder;
    folder::segments(&folder).unwrap()
}

#[test]
fn rows_are_found_before_and_after_the_flush_and_by_the_next_process() {
    let cache = tempfile::tempdir().unwrap();
    let mut store = open(cache.path());
    add(&mut store, 0..700);
    assert_holds(&mut store, 800, |row| row < 700);
    assert_holds(&mut open(cache.path()), 800, |_| false);
    store.flush().unwrap();
    assert_holds(&mut store, 800, |row| row < 700);
    assert_holds(&mut open(cache.path()), 800, |row| row < 700);
    assert!(store.take_warnings().is_empty());
}

#[test]
fn a_text_asked_for_twice_is_answered_twice_and_stored_once() {
    let cache = tempfile::tempdir().unwrap();
    let mut store = open(cache.path());
    store.insert(&["x", "x"], &[1.0; 2 * DIM]).unwrap();
    store.flush().unwrap();
    assert_eq!(store.find(&["x", "y", "x"]).unwrap().missing, [1]);
    assert_eq!(list(cache.path()).unwrap()[0].rows, 1);
}

#[test]
fn origins_do_not_mix_and_the_name_of_a_model_does_not_count() {
    let cache = tempfile::tempdir().unwrap();
    let mut store = open(cache.path());
    add(&mut store, 0..3);
    store.flush().unwrap();
    let holds = |origin: &Provenance, dim| {
        let found = Store::open(cache.path(), origin, dim).unwrap().find(&["text 1"]).unwrap();
        found.missing.is_empty()
    };
    assert!(holds(&Provenance { model: "other/name".to_owned(), ..origin("a") }, DIM));
    assert!(!holds(&origin("b"), DIM));
    assert!(!holds(&Provenance { prompt: Some("query: ".to_owned()), ..origin("a") }, DIM));
    assert!(!holds(&Provenance { truncate_dim: Some(DIM), ..origin("a") }, DIM));
    assert!(!holds(&Provenance { precision: crate::Precision::Int8, ..origin("a") }, DIM));
    assert!(!holds(&origin("a"), DIM + 1));
}

#[test]
fn many_small_additions_are_joined_and_nothing_is_lost() {
    let cache = tempfile::tempdir().unwrap();
    for at in 0..100 {
        let mut store = open(cache.path());
        add(&mut store, at * 7..at * 7 + 7);
        store.flush().unwrap();
    }
    assert!(segments(cache.path()).len() <= 2 * 7, "{:?}", segments(cache.path()));
    let mut store = open(cache.path());
    assert_holds(&mut store, 800, |row| row < 700);
    assert!(store.take_warnings().is_empty());
    assert_eq!(list(cache.path()).unwrap()[0].rows, 700);
}

#[test]
fn two_writers_store_each_text_once() {
    let cache = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (open(cache.path()), open(cache.path()));
    for at in 0..20 {
        for store in [&mut first, &mut second] {
            add(store, at * 10..at * 10 + 10);
            store.flush().unwrap();
        }
    }
    assert_eq!(list(cache.path()).unwrap()[0].rows, 200);
    for store in [&mut first, &mut second, &mut open(cache.path())] {
        assert_holds(store, 210, |row| row < 200);
        assert!(store.take_warnings().is_empty());
    }
}

#[test]
fn writers_on_many_threads_lose_nothing() {
    let cache = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let cache = cache.path();
            scope.spawn(move || {
                let mut store = open(cache);
                for at in 0..30 {
                    // Half of the rows are also another writer's.
                    let start = writer * 150 + at * 10;
                    add(&mut store, start..start + 10);
                    store.flush().unwrap();
                    let (texts, _) = rows(start..start + 10);
                    assert_eq!(store.find(&texts).unwrap().missing, [0; 0]);
                }
                assert!(store.take_warnings().is_empty());
            });
        }
    });
    assert_holds(&mut open(cache.path()), 800, |row| row < 3 * 150 + 300);
    assert_eq!(list(cache.path()).unwrap()[0].rows, 3 * 150 + 300);
}

#[test]
fn what_a_killed_writer_left_is_ignored_and_removed_by_the_next() {
    let cache = tempfile::tempdir().unwrap();
    let mut store = open(cache.path());
    let left = store.folder.join("4711.partial");
    std::fs::write(&left, b"half").unwrap();
    assert_holds(&mut open(cache.path()), 10, |_| false);
    add(&mut store, 0..10);
    store.flush().unwrap();
    assert!(!left.exists());
}

/// Damages the first of two segments, and expects a warning, the other segment's rows, and a repaired store.
fn damaged(damage: impl Fn(&mut File, u64)) {
    let cache = tempfile::tempdir().unwrap();
    let mut store = open(cache.path());
    add(&mut store, 0..300);
    store.flush().unwrap();
    let path = segments(cache.path()).remove(0);
    add(&mut store, 300..400);
    store.flush().unwrap();
    let mut file = File::options().read(true).write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    damage(&mut file, length);
    let mut store = open(cache.path());
    assert_holds(&mut store, 400, |row| row >= 300);
    let warnings = store.take_warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("damaged"), "{warnings:?}");
    add(&mut store, 0..300);
    store.flush().unwrap();
    let mut store = open(cache.path());
    assert_holds(&mut store, 400, |_| true);
    assert!(store.take_warnings().is_empty());
}

#[test]
fn a_cut_segment_is_told_and_computed_again() {
    damaged(|file, length| file.set_len(length - 1).unwrap());
    damaged(|file, _| file.set_len(17).unwrap());
    damaged(|file, _| file.set_len(0).unwrap());
}

#[test]
fn a_changed_byte_anywhere_is_told_and_never_a_wrong_vector() {
    for at in [0, 9, 17, 25, 33, 40, 60, 70, 40 + 300 * 32, 40 + 300 * (32 + DIM as u64 * 4) - 1] {
        damaged(|file, _| {
            let mut byte = [0];
            file.seek(SeekFrom::Start(at)).unwrap();
            std::io::Read::read_exact(file, &mut byte).unwrap();
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&[byte[0] ^ 4]).unwrap();
        });
    }
}

#[test]
fn vectors_keep_every_bit() {
    let cache = tempfile::tempdir().unwrap();
    let mut store = open(cache.path());
    let values = [-0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE / 2.0, 0.1];
    store.insert(&["x"], &values).unwrap();
    store.flush().unwrap();
    let found = open(cache.path()).find(&["x"]).unwrap().values;
    assert_eq!(found.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), values.map(f32::to_bits));
}

#[test]
fn an_empty_cache_lists_nothing() {
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(list(&cache.path().join("none")).unwrap(), []);
}
