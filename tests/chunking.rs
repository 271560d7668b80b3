//! Long texts in pieces, on their own and pooled from one pass.

use serde_json::Value;
use temper_encoder::{Chunked, Chunker, Encoder, PackedBatch, Pass, ReadOptions, parameters};

use crate::place::{Place, model};

const STORY: &str = "The disk is full, and nobody knows why: how do I resize a partition? \
    Résumé of the naïve café owner's day \u{2014} 你好 world! Anti-establishment views, 3.14159, x = y + z; \
    the installer asks for a mirror, and the mirror (which was slow) answered in the end.\nOne more line here.";

fn encoder(name: &str) -> Encoder {
    let device = burn::tensor::Device::flex();
    temper_encoder::read(model(name).as_ref(), &ReadOptions::default(), &device).unwrap().encoder
}

fn lines(jsonl: &str) -> Vec<Value> {
    jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn vector(line: &Value) -> Vec<f32> {
    line["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[test]
fn pieces_are_rows_that_say_where_they_lie() {
    let place = Place::new();
    place.write(
        "texts.jsonl",
        [STORY, "short", ""].map(|t| serde_json::json!({"body": t}).to_string() + "\n").concat(),
    );
    let bert = model("bert-mean-norm");
    let asked = ["embed", &bert, "texts.jsonl", "--field", "body", "--chunk-tokens", "16", "--overlap", "4"];
    let rows = lines(&place.ok(&asked));
    let of = |row: usize| rows.iter().filter(move |line| line["row"] == row).collect::<Vec<_>>();
    assert!(of(0).len() > 3 && of(1).len() == 1 && of(2).len() == 1, "{rows:?}");
    let story: Vec<char> = STORY.chars().collect();
    let at = |line: &Value, name: &str| line[name].as_u64().unwrap() as usize;
    for line in of(0) {
        let text: String = story[at(line, "start")..at(line, "end")].iter().collect();
        assert_eq!(line["text"], text);
        // A piece is a text like any other.
        let alone = lines(&place.ok(&["embed", &bert, "--text", &text]));
        assert!(furthest(&vector(&alone[0]), &vector(line)) < 1e-6, "{text}");
    }
    let pairs = of(0);
    assert!(pairs.windows(2).all(|pair| at(pair[1], "start") < at(pair[0], "end")), "no overlap");
    place.ok(&[&asked[..], &["-o", "pieces.parquet"]].concat());
    let (read, origin) = temper_vectors::read(&place.path("pieces.parquet")).unwrap();
    assert!(read.rows() == rows.len() && origin.is_some());
    assert!(read.iter().zip(&rows).all(|(vector_of, line)| furthest(vector_of, &vector(line)) < 1e-6));
}

#[test]
fn pieces_hold_every_letter_and_no_more_tokens_than_asked_for_with_any_tokenizer() {
    let texts = [STORY.to_owned(), "a".repeat(300), "\u{1f600}\u{1f680}".repeat(40), " \n ".to_owned()];
    for name in [
        "bert-mean-norm",
        "roberta-mean-norm",
        "xlm-roberta-mean-prompts-norm",
        "qwen3-lasttoken-prompts-norm",
        "static-mean",
    ] {
        let encoder = encoder(name);
        for (prompt, size, overlap) in [(None, 9, 0), (None, 12, 5), (Some("search: "), 20, 3)] {
            let chunker = Chunker::new(&encoder, prompt, size, overlap).unwrap();
            for text in &texts {
                let Chunked { bytes, .. } = chunker.cut(text.clone()).unwrap();
                let mut covered = 0;
                for piece in &bytes {
                    let between = text.get(covered..piece.start).unwrap_or_default();
                    let lost: String = between.chars().filter(|c| !c.is_whitespace()).collect();
                    assert!(lost.is_empty(), "{name} {size}: {lost:?} of {text:?} is in no piece");
                    covered = covered.max(piece.end);
                }
                assert!(text[covered..].trim().is_empty(), "{name}: the end of {text:?} is in no piece");
                let pieces: Vec<&str> = bytes.iter().map(|range| &text[range.clone()]).collect();
                let lengths = encoder.tokenizer().lengths(&pieces, prompt).unwrap();
                assert!(
                    lengths.iter().all(|length| *length <= size),
                    "{name} {size}: {lengths:?} {pieces:?}"
                );
            }
        }
    }
}

#[test]
fn late_pieces_are_means_of_the_whole_texts_token_vectors() {
    let encoder = encoder("bert-mean-norm");
    let text = "the disk is full and nobody knows why so how do I resize a partition".to_owned();
    let ids = encoder.tokenizer().encode(&[&text], None).unwrap().remove(0);
    let hidden = encoder.network.hidden_states(&PackedBatch::new([ids.as_slice()]), &Pass::inference());
    let hidden = parameters::values(hidden.inner());
    let width = hidden.len() / ids.len();

    let chunked = Chunker::late(&encoder, None, 9, 0).unwrap().cut(text).unwrap();
    let found = encoder.embed_late(&chunked);
    let pieces: Vec<&str> = chunked.pieces().collect();
    let lengths = encoder.tokenizer().lengths(&pieces, None).unwrap();
    assert!(pieces.len() > 2 && found.rows() == pieces.len());
    let mut start = 0;
    for (i, length) in lengths.iter().enumerate() {
        // [CLS] belongs to the first piece, [SEP] to the last.
        let own = length - 2 + usize::from(i == 0) + usize::from(i + 1 == pieces.len());
        let rows = hidden[start * width..(start + own) * width].chunks_exact(width);
        let mut mean =
            rows.fold(vec![0.0; width], |sum, row| sum.iter().zip(row).map(|(s, x)| s + x).collect());
        let norm = mean.iter().map(|x| x * x).sum::<f32>().sqrt();
        for x in &mut mean {
            *x /= norm;
        }
        assert!(furthest(&mean, found.row(i)) < 1e-5, "piece {i}");
        start += own;
    }
    assert_eq!(start, ids.len());
}

#[test]
fn a_text_of_one_late_piece_has_its_usual_vector_and_a_text_longer_than_the_model_is_still_cut() {
    let place = Place::new();
    let bert = model("bert-mean-norm");
    let text = "how do I resize a partition";
    let late = |tokens| ["--chunk-tokens", tokens, "--late-chunking"];
    let alone = vector(&lines(&place.ok(&["embed", &bert, "--text", text]))[0]);
    let one = lines(&place.ok(&[&["embed", &bert, "--text", text], &late("32")[..]].concat()));
    assert_eq!(one.len(), 1);
    assert!(furthest(&alone, &vector(&one[0])) < 1e-6);

    place.write("long.txt", format!("{}\n", "word after word ".repeat(500)));
    let many = lines(&place.ok(&[&["embed", &bert, "long.txt"], &late("12")[..]].concat()));
    assert_eq!(many.last().unwrap()["end"], "word after word ".repeat(500).trim_end().len());
    let plain = ["embed", &bert, "long.txt", "--chunk-tokens", "12"];
    let on_their_own = lines(&place.ok(&plain));
    assert_eq!(many.len(), on_their_own.len());
    let shift = furthest(&vector(&many[1]), &vector(&on_their_own[1]));
    assert!(shift > 1e-5, "the context does not show: {shift}");
}

#[test]
fn what_cannot_be_cut_is_refused() {
    let place = Place::new();
    let (bert, cls) = (model("bert-mean-norm"), model("bert-cls"));
    let refused = |args: &[&str], expected: &str| {
        let errors = place.refused(&[&["embed"], args, &["--text", "x"]].concat());
        assert!(errors.contains(expected), "{errors}");
    };
    refused(&[&bert, "--chunk-tokens", "16", "-o", "x.npy"], "does not say which text a piece is of");
    refused(&[&bert, "--chunk-tokens", "100000"], "longer than the");
    refused(&[&bert, "--chunk-tokens", "16", "--overlap", "14"], "leave nothing to go on with");
    refused(
        &[&cls, "--chunk-tokens", "16", "--late-chunking"],
        "needs mean pooling, and this model's is `cls`",
    );
    refused(&[&bert, "--overlap", "3"], "--chunk-tokens");
}
