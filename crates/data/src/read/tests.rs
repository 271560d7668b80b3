//! Files as people write them, good and bad.
#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        Self(dir)
    }

    fn read(&self, names: &[&str], options: &ReadOptions) -> Result<Dataset, String> {
        let paths: Vec<PathBuf> = names.iter().map(|name| self.0.path().join(name)).collect();
        let folder = format!("{}/", self.0.path().display());
        read(&paths, options).map_err(|error| error.to_string().replace(&folder, ""))
    }
}

fn read_one(name: &str, bytes: &[u8]) -> Result<Dataset, String> {
    Folder::new(&[(name, bytes)]).read(&[name], &ReadOptions::default())
}

fn skipping() -> ReadOptions {
    ReadOptions { on_bad_row: OnBadRow::Skip, ..ReadOptions::default() }
}

fn texts(dataset: &Dataset) -> Vec<Vec<&str>> {
    dataset.examples.iter().map(|example| example.texts.iter().map(String::as_str).collect()).collect()
}

#[test]
fn every_format_gives_the_same_pairs() {
    for (name, bytes) in [
        (
            "x.jsonl",
            "{\"question\": \"a, b\", \"answer\": \"c\"}\n\n{\"answer\": \"ö\", \"question\": \"d\"}",
        ),
        ("x.csv", "answer,question\r\nc,\"a, b\"\r\nö,d\r\n"),
        ("x.tsv", "question\tanswer\na, b\tc\nd\tö\n"),
        ("x.ndjson", "[\"a, b\", \"c\"]\n[\"d\", \"ö\"]\n"),
    ] {
        for bom in ["", "\u{feff}"] {
            let data = read_one(name, format!("{bom}{bytes}").as_bytes()).unwrap();
            assert_eq!(data.kind, Kind::Pairs);
            assert_eq!(texts(&data), [["a, b", "c"], ["d", "ö"]], "{name}");
            assert_eq!(data.files[0].rows, 2);
        }
    }
}

#[test]
fn files_are_joined_and_must_agree() {
    let folder = Folder::new(&[
        ("a.csv", b"query,positive,negative\nq1,p1,n1\n"),
        ("b.jsonl", b"{\"query\": \"q2\", \"pos\": [\"p2\"], \"neg\": [\"n2\", \"n3\"]}\n"),
        ("c.csv", b"sentence1,sentence2,score\na,b,0.5\n"),
    ]);
    let data = folder.read(&["a.csv", "b.jsonl"], &ReadOptions::default()).unwrap();
    assert_eq!(texts(&data), [["q1", "p1", "n1"], ["q2", "p2", "n2"]]);
    assert_eq!(data.examples[1].origin, crate::example::Origin { file: 1, line: 1 });
    assert_eq!(
        data.files[1].mapping,
        "anchor <- \"query\", positive <- \"pos\", negatives <- \"neg\" \
         (1 of up to 2 negatives used: another file has no more)"
    );
    let message = folder.read(&["a.csv", "c.csv"], &ReadOptions::default()).unwrap_err();
    assert!(message.starts_with("`a.csv` holds triplets but `c.csv` holds scored pairs"), "{message}");
}

#[test]
fn the_fewest_negatives_are_used_and_named() {
    let rows = b"{\"query\": \"q\", \"pos\": [\"p\", \"r\"], \"neg\": [\"a\", \"b\"]}\n\
                 {\"query\": \"s\", \"pos\": [\"t\"], \"neg\": [\"c\"]}\n";
    let data = read_one("x.jsonl", rows).unwrap();
    assert_eq!(data.kind, Kind::Triplets { negatives: 1 });
    assert_eq!(texts(&data), [["q", "p", "a"], ["q", "r", "a"], ["s", "t", "c"]]);
    assert_eq!(data.column_names, ["query", "pos", "neg"]);
    assert!(data.files[0].mapping.ends_with("(1 of up to 2 negatives used: line 2 has no more)"));
}

#[test]
fn bad_rows_are_refused_with_place_and_remedy() {
    let rows = b"{\"anchor\": \"a\", \"positive\": \"b\"}\n{\"anchor\": \"a\"\n{\"anchor\": \"a\", \"positive\": \" \"}\n\
                 {\"anchor\": \"caf\xe9\", \"positive\": \"b\"}\n";
    assert_eq!(
        read_one("x.jsonl", rows).unwrap_err(),
        "3 bad rows: x.jsonl:2: invalid JSON: EOF while parsing an object at character 14; \
         x.jsonl:3: column `positive`: empty text; \
         x.jsonl:4: not UTF-8 near byte 96 of the file (convert it with `iconv -f latin1 -t utf-8`); \
         correct them, or leave them out with `data.on_bad_row = \"skip\"` (`--skip-bad-rows` where there is no config)"
    );
    let data = Folder::new(&[("x.jsonl", rows)]).read(&["x.jsonl"], &skipping()).unwrap();
    assert_eq!((data.len(), data.skipped.len(), data.files[0].rows), (1, 3, 4));
}

#[test]
fn csv_rows_keep_their_physical_lines() {
    let rows = "anchor,positive\n\"a\nb\",c\n\n\nd\n\ne,f\n\"h,i\nj,k";
    for line_end in ["\n", "\r\n"] {
        let folder = Folder::new(&[("x.csv", rows.replace('\n', line_end).as_bytes())]);
        let data = folder.read(&["x.csv"], &skipping()).unwrap();
        assert_eq!(texts(&data), [[format!("a{line_end}b").as_str(), "c"], ["e", "f"]]);
        assert_eq!(data.examples.iter().map(|example| example.origin.line).collect::<Vec<_>>(), [2, 8]);
        let bad: Vec<(u64, String)> =
            data.skipped.iter().map(|bad| (bad.line, bad.reason.to_string())).collect();
        assert_eq!(bad[0], (6, "1 fields where the header has 2".to_owned()));
        assert_eq!(bad[1].1, "1 fields where the header has 2 (an unclosed quote?)");
    }
}

#[test]
fn csv_that_is_not_utf8_names_column_and_byte() {
    let message = read_one("x.csv", b"anchor,positive\na,b\nc,\xff\n").unwrap_err();
    assert!(
        message.starts_with("1 bad row: x.csv:3: column `positive`: not UTF-8 near byte 20"),
        "{message}"
    );
    let message = read_one("x.csv", b"anchor,anchor\na,b\n").unwrap_err();
    assert!(
        message.starts_with("x.csv:1: column `anchor`: the name stands twice in the header"),
        "{message}"
    );
}

#[test]
fn labels_are_checked_against_the_range() {
    let folder = Folder::new(&[
        ("x.csv", b"text1,text2,label\na,b,0\nc,d,5\ne,f,nan\n"),
        ("y.jsonl", b"{\"text1\": \"a\", \"text2\": \"b\", \"label\": NaN}\n"),
    ]);
    let options = ReadOptions { label_range: Some((0.0, 1.0)), ..skipping() };
    let data = folder.read(&["x.csv"], &options).unwrap();
    assert_eq!((data.kind, data.examples[0].label), (Kind::Scored, Some(0.0)));
    assert_eq!(
        data.skipped[0].to_string().rsplit('/').next(),
        Some("x.csv:3: column `label`: label 5 is outside 0..=1")
    );
    assert!(data.skipped[1].to_string().ends_with("label `nan` is not a finite number"));
    let message = folder.read(&["y.jsonl"], &options).unwrap_err();
    assert!(message.contains("NaN and Infinity are no numbers"), "{message}");
}

#[test]
fn labels_that_are_words_are_classes() {
    let data =
        read_one("x.csv", b"premise,hypothesis,label\na,b,neutral\nc,d,entailment\ne,f,neutral\n").unwrap();
    assert_eq!(
        (data.kind, data.classes.as_slice()),
        (Kind::ClassifiedPairs, &["neutral".into(), "entailment".into()][..])
    );
    assert_eq!(
        data.examples.iter().map(|example| example.label).collect::<Vec<_>>(),
        [0.0, 1.0, 0.0].map(Some)
    );
    let numbers = [("x.csv", &b"premise,hypothesis,label\na,b,2\nc,d,0\n"[..])];
    assert_eq!(Folder::new(&numbers).read(&["x.csv"], &ReadOptions::default()).unwrap().kind, Kind::Scored);
    let options = ReadOptions { labels_are_classes: true, ..ReadOptions::default() };
    let data = Folder::new(&numbers).read(&["x.csv"], &options).unwrap();
    assert_eq!((data.kind, data.classes.as_slice()), (Kind::ClassifiedPairs, &["2".into(), "0".into()][..]));
}

#[test]
fn labelled_texts_share_their_classes_over_files() {
    let folder = Folder::new(&[
        ("a.jsonl", b"{\"text\": \"a\", \"label\": \"lost\"}\n{\"text\": \"b\", \"label\": \"late\"}\n"),
        ("b.csv", b"text,intent\nc,late\nd,new\n"),
    ]);
    let data = folder.read(&["a.jsonl", "b.csv"], &ReadOptions::default()).unwrap();
    assert_eq!((data.kind, data.classes.join(" ").as_str()), (Kind::Labelled, "lost late new"));
    assert_eq!(
        data.examples.iter().map(|example| example.label).collect::<Vec<_>>(),
        [0.0, 1.0, 1.0, 2.0].map(Some)
    );
    assert_eq!(data.shown_label(3).as_deref(), Some("new"));
    assert_eq!(texts(&data), [["a"], ["b"], ["c"], ["d"]]);
}

#[test]
fn a_limit_ends_the_reading() {
    let folder =
        Folder::new(&[("a.csv", b"anchor,positive\na,b\nc,d\ne\n"), ("b.csv", b"anchor,positive\nf,g\n")]);
    let options = ReadOptions { limit: Some(2), ..ReadOptions::default() };
    let data = folder.read(&["a.csv", "b.csv"], &options).unwrap();
    assert_eq!(data.len(), 2);
    assert_eq!(data.files[1].mapping, "not read: the limit was reached before");
    assert_eq!(data.files[0].hash, blake3::hash(b"anchor,positive\na,b\nc,d\ne\n").to_hex().to_string());
}

#[test]
fn a_stray_key_decides_nothing() {
    let row = "{\"sentence1\": \"a\", \"sentence2\": \"b\"}\n";
    let rows = row.repeat(4) + "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 1}\n";
    assert_eq!(read_one("x.jsonl", rows.as_bytes()).unwrap().kind, Kind::Pairs);
}

#[test]
fn files_without_rows_are_refused() {
    for (name, bytes) in [("x.jsonl", "\n \n"), ("x.csv", "anchor,positive\n"), ("x.csv", "")] {
        let message = read_one(name, bytes.as_bytes()).unwrap_err();
        assert_eq!(message, format!("`{name}` is empty: it has no rows to learn from or to judge by"));
    }
    let message =
        Folder::new(&[("x.csv", b"anchor,positive\na, \n")]).read(&["x.csv"], &skipping()).unwrap_err();
    assert_eq!(
        message,
        "`x.csv`: none of the 1 rows read can be used; the first: x.csv:2: column `positive`: empty text"
    );
    assert!(read_one("x.txt", b"a").unwrap_err().starts_with("`x.txt`: unknown format `txt`"));
    assert_eq!(read(&[], &ReadOptions::default()).unwrap_err().to_string(), Error::NoFiles.to_string());
}

#[test]
fn a_json_array_is_answered_with_how_to_split_it() {
    let message = read_one("x.json", b"[\n{\"anchor\": \"a\", \"positive\": \"b\"}\n]\n").unwrap_err();
    assert!(message.contains("`jq -c '.[]'` turns an array into that"), "{message}");
}

#[test]
fn a_stray_word_among_the_scores_is_one_bad_row() {
    let rows = b"text1,text2,score\na,b,0.5\nc,d,unknown\n";
    let data = Folder::new(&[("x.csv", rows)]).read(&["x.csv"], &skipping()).unwrap();
    assert_eq!((data.len(), data.skipped.len()), (1, 1));
}

#[test]
fn bad_rows_come_before_disagreement() {
    let folder =
        Folder::new(&[("a.csv", b"text1,text2,score\na,b,1\n"), ("b.csv", b"anchor,positive\na,\n")]);
    let message = folder.read(&["a.csv", "b.csv"], &ReadOptions::default()).unwrap_err();
    assert!(
        message.starts_with("1 bad row: b.csv:2: column `positive`: empty text; correct it"),
        "{message}"
    );
}
