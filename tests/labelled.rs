//! Texts and pairs with classes: learned from, judged by, and handled by the data commands.

use serde_json::Value;

use crate::place::{Place, model};

/// `texts` of each of some classes.
fn labelled(classes: usize, texts: usize) -> String {
    let row = |i: usize| {
        let class = i % classes;
        format!(
            "{{\"text\": \"text {i} of class {class} {}\", \"label\": \"class {class}\"}}\n",
            "word ".repeat(class)
        )
    };
    (0..classes * texts).map(row).collect()
}

const NLI: &str = "premise,hypothesis,label\na b,c d,entailment\na b,e f,neutral\ng h,i j,contradiction\n\
                   k l,m n,neutral\no p,q r,entailment\ns t,u v,contradiction\n";

#[test]
fn labelled_texts_are_told_divided_and_converted() {
    let place = Place::new();
    place.write("all.jsonl", labelled(8, 10));
    let told = place.ok(&["data", "inspect", "all.jsonl"]);
    assert!(
        told.contains("80 labelled texts") && told.contains("classes                  8: class 0 10, "),
        "{told}"
    );
    assert!(told.contains(", ..., ") && !told.contains("anchor equals positive"), "{told}");
    place.ok(&["data", "split", "all.jsonl", "-o", "parts", "--dev", "0.2"]);
    let dev = std::fs::read_to_string(place.path("parts/dev.jsonl")).unwrap();
    let rows: Vec<Value> = dev.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for class in 0..8 {
        assert_eq!(rows.iter().filter(|row| row["label"] == format!("class {class}")).count(), 2);
    }
    place.ok(&["data", "convert", "all.jsonl", "-o", "all.csv"]);
    let csv = std::fs::read_to_string(place.path("all.csv")).unwrap();
    assert!(csv.starts_with("text,label\ntext 0 of class 0 ,class 0\n"), "{csv}");
    for command in [&["mine", "--bm25"][..], &["similarity", &model("bert-mean-norm"), "--pairs"]] {
        let refused = place.refused(&[command, &["all.jsonl"]].concat());
        assert!(refused.contains("all.jsonl` holds labelled texts"), "{refused}");
    }
}

#[test]
fn classifiers_are_fitted_on_other_texts() {
    let place = Place::new();
    place.write("train.jsonl", labelled(3, 10));
    let base = model("bert-mean-norm");
    // Classes in another order, and one that nothing was fitted for.
    let judged = labelled(3, 2);
    let judged: Vec<&str> = judged.lines().rev().collect();
    place.write("test.jsonl", judged.join("\n") + "\n{\"text\": \"a new one\", \"label\": \"none\"}\n");
    let scores = place.ok(&["eval", &base, "test.jsonl", "--fit", "train.jsonl", "--json"]);
    let scores: Value = serde_json::from_str(&scores).unwrap();
    assert_eq!((&scores["metric"], &scores["texts"]), (&"logistic_accuracy".into(), &37.into()));
    for (name, expected) in
        [("knn_accuracy", 6.0 / 7.0), ("logistic_accuracy", 6.0 / 7.0), ("logistic_f1", 0.7)]
    {
        let score = scores["scores"][name].as_f64().unwrap();
        assert!((score - expected).abs() < 1e-9, "{name} is {score}, expected {expected}");
    }
    place.write("pairs.jsonl", "{\"anchor\": \"a\", \"positive\": \"b\"}\n");
    std::fs::create_dir_all(place.path("beir/qrels")).unwrap();
    let refused = place.refused(&["eval", &base, "beir", "--fit", "train.jsonl"]);
    assert!(refused.contains("beir` holds queries and documents"), "{refused}");
    let refused = place.refused(&["eval", &base, "pairs.jsonl", "--fit", "pairs.jsonl"]);
    assert!(refused.contains("classifiers are fitted on labelled texts alone"), "{refused}");
}

#[test]
fn the_doctor_looks_at_single_texts_by_their_classes() {
    let place = Place::new();
    let rows = [
        "where is my card,card",
        "where is my card,card",
        "where is my card,fee",
        "judged before,fee",
        "x,fee",
    ];
    place.write("train.csv", format!("text,label\n{}\n", rows.join("\n")));
    place.write("dev.csv", "text,label\njudged before,fee\n");
    place.write("pairs.csv", "anchor,positive\njudged before,and answered\n");
    let base = ["data", "doctor", "train.csv", "--eval", "dev.csv"];
    let report =
        place.ok(&[&base[..], &["--json", "--html", "page.html", "--cleaned", "clean.csv"]].concat());
    let report: Value = serde_json::from_str(&report).unwrap();
    let found = report["findings"].as_array().unwrap().iter().map(|finding| {
        let text = |key: &str| finding[key].as_str().unwrap().to_owned();
        [text("check"), text("place"), text("why")]
    });
    let expected = [
        ["duplicate", "train.csv:3", "as train.csv:2"],
        ["leak", "train.csv:5", "its text is in dev.csv:2"],
        ["contradiction", "train.csv:4", "labelled fee, but card at train.csv:2"],
        ["length", "train.csv:6", "its text has 1 letters"],
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let clean = std::fs::read_to_string(place.path("clean.csv")).unwrap();
    assert_eq!(clean, "text,label\nwhere is my card,card\nx,fee\n");
    assert!(place.ok(&base).contains("\"where is my card\""));
    assert!(place.refused(&[&base[..], &["--exclusions", "wrong.jsonl"]].concat()).contains("writes pairs"));
    // Files of other kinds share texts too.
    let told = place.ok(&["data", "doctor", "pairs.csv", "--eval", "dev.csv"]);
    assert!(told.contains("its anchor is in dev.csv:2"), "{told}");
    place.ok(&[
        "data",
        "doctor",
        "dev.csv",
        "--eval",
        "pairs.csv",
        "--no-cache",
        "--model",
        &model("bert-mean-norm"),
    ]);
}

#[test]
fn classes_of_pairs_are_told_and_not_judged_by() {
    let place = Place::new();
    place.write("nli.csv", NLI);
    let told = place.ok(&["data", "inspect", "nli.csv"]);
    assert!(
        told.contains("6 classified pairs") && told.contains("contradiction 2, entailment 2, neutral 2"),
        "{told}"
    );
    place.ok(&["data", "convert", "nli.csv", "-o", "nli.jsonl"]);
    let text = std::fs::read_to_string(place.path("nli.jsonl")).unwrap();
    assert!(
        text.starts_with("{\"sentence1\":\"a b\",\"sentence2\":\"c d\",\"class\":\"entailment\"}"),
        "{text}"
    );
    place.ok(&["data", "doctor", "nli.jsonl"]);
    let refused = place.refused(&["eval", &model("bert-mean-norm"), "nli.csv"]);
    assert!(refused.contains("nli.csv` holds classified pairs, which are learned from"), "{refused}");
    place.ok(&["init", "nli.csv", "--base", &model("bert-mean-norm"), "-o", "nli.toml"]);
    place.ok(&["train", "nli.toml", "--set", "train.max_steps=2"]);
    let refused = place.refused(&["train", "nli.toml", "--set", "loss={name='cosent'}"]);
    assert!(refused.contains("use loss.name = \"softmax\""), "{refused}");
}

#[test]
fn labelled_texts_are_learned_from_and_judged_by() {
    let place = Place::new();
    let base = model("bert-mean-norm");
    place.write("train.jsonl", labelled(4, 8));
    place.write("dev.jsonl", labelled(4, 5));
    place.ok(&["init", "train.jsonl", "--base", &base, "--eval", "dev.jsonl", "-o", "x.toml"]);
    let config = std::fs::read_to_string(place.path("x.toml")).unwrap();
    assert!(
        config.contains("text = \"text\"\nclass = \"label\"") && config.contains("batch_hard_soft_margin"),
        "{config}"
    );
    place.ok(&[
        "train",
        "x.toml",
        "--set",
        "train.max_steps=3",
        "--set",
        "train.per_device_train_batch_size=8",
    ]);
    let scores = place.ok(&["eval", &base, "dev.jsonl", "--json"]);
    let scores: Value = serde_json::from_str(&scores).unwrap();
    assert_eq!((&scores["task"], &scores["metric"]), (&"classification".into(), &"knn_accuracy".into()));
    assert!(scores["scores"]["knn_accuracy"].is_f64() && scores["scores"]["v_measure"].is_f64(), "{scores}");
    for (set, expected) in [
        ("train.per_device_train_batch_size=7", "give an even number of 4 or more"),
        ("loss={name='triplet'}", "but the data has labelled texts"),
        ("data.max_train_samples=4", "needs two classes with two texts"),
    ] {
        let refused = place.refused(&["train", "x.toml", "--set", set]);
        assert!(refused.contains(expected), "{refused}");
    }
    place.write("pairs.jsonl", "{\"anchor\": \"a\", \"positive\": \"b\"}\n".repeat(8));
    let refused = place.refused(&[
        "train",
        "x.toml",
        "--set",
        "data={train=['pairs.jsonl']}",
        "--set",
        "loss={}",
        "--set",
        "train.batch_sampler=group_by_label",
    ]);
    assert!(refused.contains("needs classes, but the data has pairs"), "{refused}");
}
