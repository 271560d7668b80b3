//! A teacher that left its scores in the data teaches as one that is there.

use serde_json::Value;

use crate::place::{Place, model};

/// The loss of each step.
fn losses(place: &Place, run: &str) -> Vec<f64> {
    let events = std::fs::read_to_string(place.path(run).join("events.jsonl")).unwrap();
    let rows = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.filter(|row| row["event"] == "step").map(|row| row["loss"].as_f64().unwrap()).collect()
}

#[test]
fn scores_in_the_data_teach_as_the_teacher_does() {
    let (place, teacher) = (Place::new(), model("bert-mean-norm"));
    let rows = include_str!("../data/train.jsonl").lines().take(40).map(|row| format!("{row}\n"));
    place.write("train.jsonl", rows.collect::<String>());
    place.ok(&[
        "mine",
        "train.jsonl",
        "--model",
        &teacher,
        "--num-negatives",
        "3",
        "--format",
        "n-tuple",
        "--scores",
        "-o",
        "tuples.jsonl",
    ]);
    let config = format!(
        "[model]\nbase = {:?}\n[data]\ntrain = [\"tuples.jsonl\"]\n[loss]\nname = \"margin_mse\"\nsimilarity = \"cosine\"\n\
         [train]\nmax_steps = 3\nper_device_train_batch_size = 8\nlogging_steps = 1\n",
        model("distilbert-mean-dense-norm")
    );
    place.write("x.toml", config);
    for name in ["margin_mse", "distill_kl_div"] {
        let run = |to: &str, more: &[&str]| {
            let name = format!("loss.name={name}");
            place.ok(&[&["train", "x.toml", "--run", to, "--set", &name], more].concat());
            losses(&place, to)
        };
        let (there, left) = (format!("{name}-there"), format!("{name}-left"));
        let with_teacher = run(&there, &["--set", &format!("loss.teacher={teacher}")]);
        let with_scores = run(&left, &["--set", "data.columns.scores=scores"]);
        assert_eq!(with_teacher.len(), 3);
        for (a, b) in with_teacher.iter().zip(&with_scores) {
            assert!((a - b).abs() < 1e-5 * a.abs().max(1e-2), "{name}: {with_teacher:?} {with_scores:?}");
        }
    }
    let refused = place.refused(&["train", "x.toml"]);
    assert!(
        refused.contains("margin_mse needs a `teacher`") && refused.contains("scores = \"scores\""),
        "{refused}"
    );
    let teacher = format!("loss.teacher={teacher}");
    let both = place.refused(&["train", "x.toml", "--set", "data.columns.scores=scores", "--set", &teacher]);
    assert!(both.contains("leave out loss.teacher, or data.columns.scores"), "{both}");
    let label = ["--set", "data.columns={scores='scores', label='scores'}"];
    let both = place.refused(&[&["train", "x.toml"], &label[..]].concat());
    assert!(both.contains("names `scores` beside a `label`"), "{both}");
}
