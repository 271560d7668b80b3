//! `temper paraphrases` and `temper communities`: what they print, and what they refuse.

use serde_json::Value;

use crate::place::{Place, model, text_of};

const TEXTS: &str =
    "how do I pay\nmy card is lost\n\nhow do I pay\nthe sky is blue today\nmy card is lost\nhow do I pay\n";

fn place() -> (Place, String) {
    let place = Place::new();
    place.write("texts.txt", TEXTS);
    (place, model("bert-mean-norm"))
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn equal_texts_are_the_closest_pairs() {
    let (place, model) = place();
    let found = rows(&place.ok(&["paraphrases", &model, "texts.txt", "--no-cache", "--min-score", "0.9999"]));
    let ids = found.iter().map(|pair| (pair["id1"].as_str().unwrap(), pair["id2"].as_str().unwrap()));
    let ids: std::collections::BTreeSet<_> = ids.collect();
    assert_eq!(ids, [("1", "4"), ("1", "7"), ("2", "6"), ("4", "7")].into());
    let all = place.ok(&["paraphrases", &model, "texts.txt", "--no-cache", "--tsv"]);
    assert_eq!(all.lines().count(), 15, "all pairs of the six texts: {all}");
    let scores: Vec<f32> =
        all.lines().map(|line| line.split('\t').next().unwrap().parse().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(all.lines().all(|line| line.split('\t').count() == 5), "{all}");
    let few = place.ok(&["paraphrases", &model, "texts.txt", "--no-cache", "--max-pairs", "2", "--tsv"]);
    assert!(all.starts_with(&few) && few.lines().count() == 2, "{few}");
    let piped = place.run_with(&["paraphrases", &model, "-", "--no-cache", "--tsv"], TEXTS);
    assert_eq!(text_of(&piped), all);
    let one = place.ok(&["--threads", "1", "paraphrases", &model, "texts.txt", "--no-cache", "--tsv"]);
    assert_eq!(one, all);
}

#[test]
fn groups_hold_the_texts_that_are_close_largest_first() {
    let (place, model) = place();
    let command = ["communities", &model, "texts.txt", "--no-cache", "--threshold", "0.9999"];
    let found = rows(&place.ok(&command));
    assert_eq!(found.iter().map(|group| &group["size"]).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(found[0]["ids"], serde_json::json!(["1", "4", "7"]));
    assert_eq!(found[1]["texts"], serde_json::json!(["my card is lost", "my card is lost"]));
    let table = place.ok(&[&command[..], &["--tsv", "--min-size", "3"]].concat());
    assert_eq!(table, "1\t1\thow do I pay\n1\t4\thow do I pay\n1\t7\thow do I pay\n");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let (place, model) = place();
    place.write("one.txt", "alone\n\n");
    place.write("two.csv", "id,a,b\n1,x,y\n");
    for command in ["paraphrases", "communities"] {
        assert!(
            place
                .refused(&[command, &model, "one.txt"])
                .contains("`one.txt` holds 1 texts, and two are needed")
        );
        assert!(place.refused(&[command, &model, "two.csv"]).contains("name one with `--field`"));
        assert!(place.refused(&[command, &model, "none.txt"]).contains("none.txt"));
    }
}
