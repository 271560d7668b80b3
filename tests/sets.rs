//! Several data sets in one run.

use std::path::Path;

use serde_json::Value;

use crate::place::{Place, text_of};
use crate::resume::run::message;

const ENCODER: &str = r"
[model.fresh]
vocab_size = 500
hidden_size = 16
num_hidden_layers = 1
num_attention_heads = 2
intermediate_size = 32
max_seq_length = 32
dropout = 0.1
[train]
max_steps = 14
per_device_train_batch_size = 8
learning_rate = 1e-3
logging_steps = 3
eval_steps = 0
save_steps = 5
save_total_limit = 4
";

/// 48 pairs, 40 scored pairs and 36 pairs with a class, of which 4, 4 and none are held out.
const SETS: &str = r#"
[data]
held_out_max = 4
[[sets]]
name = "search"
train = ["train.jsonl"]
max_train_samples = 48
prompts = { anchor = "query: " }
[[sets]]
name = "scored"
train = ["scored.jsonl"]
loss = { name = "cosent" }
[[sets]]
name = "classes"
train = ["nli.jsonl"]
columns = { anchor = "premise", positive = "hypothesis", label = "label" }
loss = { name = "softmax" }
"#;

fn place() -> Place {
    let place = Place::new();
    for name in ["train.jsonl", "scored.jsonl", "nli.jsonl"] {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name);
        std::fs::copy(data, place.path(name)).unwrap();
    }
    place.write("several.toml", format!("{ENCODER}{SETS}"));
    place
}

fn bytes(place: &Place, run: &str, step: u64) -> [Vec<u8>; 2] {
    let checkpoint = place.path(run).join(format!("checkpoints/step-{step:06}"));
    ["model/model.safetensors", "optimizer.safetensors"]
        .map(|name| std::fs::read(checkpoint.join(name)).unwrap())
}

fn events(place: &Place, run: &str, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(place.path(run).join("events.jsonl")).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == kind).collect()
}

/// Where the texts are makes no difference.
#[test]
fn texts_left_in_their_files_give_the_same_bytes() {
    let place = place();
    place.ok(&["train", "several.toml", "--run", "memory", "--set", "data.streaming=false"]);
    place.ok(&["train", "several.toml", "--run", "files", "--set", "data.streaming=true"]);
    assert!(bytes(&place, "memory", 14) == bytes(&place, "files", 14));
}

/// Under every rule, from a step in the middle, with another number of threads.
#[test]
fn a_resume_ends_with_the_same_bytes() {
    let place = place();
    for (rule, settings) in [
        ("proportional", vec![]),
        ("round_robin", vec!["--set", "train.multi_dataset_batch_sampler=round_robin"]),
        (
            "temperature",
            vec![
                "--set",
                "train.multi_dataset_batch_sampler=temperature",
                "--set",
                "train.multi_dataset_temperature=3.0",
                "--set",
                "train.gradient_accumulation_steps=2",
            ],
        ),
    ] {
        let resumed = format!("{rule}-resumed");
        for run in [rule, &resumed] {
            place.ok(&[&["train", "several.toml", "--run", run, "--threads", "1"], &settings[..]].concat());
        }
        place.ok(&["train", "--resume", &format!("{resumed}@5"), "--threads", "2"]);
        assert!(bytes(&place, rule, 14) == bytes(&place, &resumed, 14), "{rule}");
        let losses = |run| events(&place, run, "step").into_iter().map(|e| e["set_losses"].clone()).collect();
        let [whole, again]: [Vec<Value>; 2] = [rule, &resumed].map(losses);
        assert_eq!(whole, again, "{rule}");
    }
}

#[test]
fn one_set_among_sets_is_the_run_of_one_set() {
    let place = place();
    let of_one = "[data]\ntrain = [\"train.jsonl\"]\nmax_train_samples = 48\n[loss]\nscale = 10.0\n";
    let among = "[[sets]]\nname = \"a\"\ntrain = [\"train.jsonl\"]\nmax_train_samples = 48\nloss = { scale = 10.0 }\n";
    for (name, data) in [("one", of_one), ("among", among)] {
        place.write(&format!("{name}.toml"), format!("{ENCODER}{data}"));
        place.ok(&["train", &format!("{name}.toml"), "--run", name]);
    }
    assert!(bytes(&place, "one", 14) == bytes(&place, "among", 14));
    let [one, among] = ["one", "among"].map(|run| events(&place, run, "step"));
    assert!(one.iter().all(|step| step.get("set_losses").is_none()));
    assert!(among.iter().all(|step| step["set_losses"]["a"] == step["loss"]));
}

#[test]
fn sets_are_planned_logged_and_judged_by_name() {
    let place = place();
    let output = place.run(&["train", "several.toml", "--run", "x", "--ui", "plain"]);
    text_of(&output);
    let told = message(&output);
    for expected in [
        "train     116 examples of 3 sets, 8 held out",
        "set       search: 44 pairs, multiple_negatives_ranking, 7 negatives per anchor, 37.5 % of the batches",
        "set       scored: 36 scored pairs, cosent, 31.2 % of the batches",
        "mixed     every batch of every set, in random order",
        "prompt    search anchor: \"query: \"",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
    let scores = events(&place, "x", "evaluated")[0]["scores"].clone();
    for task in ["search_cosine_ndcg@10", "scored_spearman_cosine"] {
        assert!(scores.get(task).is_some(), "{task} is not in {scores}");
    }
    let steps = events(&place, "x", "step");
    let last = steps.last().unwrap()["set_losses"].as_object().unwrap();
    assert!(last.values().all(|loss| loss.as_f64().unwrap() > 0.0), "{last:?}");
    let csv = place.ok(&["runs", "export", "x", "--format", "csv"]);
    assert!(
        csv.lines().next().unwrap().contains("train/loss_classes,train/loss_scored,train/loss_search"),
        "{csv}"
    );
}

#[test]
fn bad_sets_are_refused_by_name() {
    let place = place();
    place.write("empty.jsonl", "");
    for (settings, expected) in [
        (vec!["sets.scored.name=search"], "two `[[sets]]` have the `name` search"),
        (vec!["sets.scored.weight=2"], "unknown field `weight`"),
        (vec!["sets.scored.train=[\"empty.jsonl\"]"], "empty.jsonl"),
        (vec!["sets.scored.train=[\"absent.jsonl\"]"], "absent.jsonl"),
        (vec!["sets.scored.loss.name=triplet"], "set `scored`: "),
        (vec!["sets.search.max_train_samples=1"], "set `search`: "),
        (
            vec!["sets.search.loss.in_batch_negatives=false"],
            "set `search`: loss.in_batch_negatives = false leaves pairs",
        ),
        (vec!["sets.other.max_train_samples=1"], "no set is called `other`"),
        (vec!["train.multi_dataset_batch_sampler=random"], "unknown variant `random`"),
        (vec!["data.train=[\"train.jsonl\"]"], "`data.train` and `[[sets]]` exclude each other"),
        (
            vec!["train.per_device_train_batch_size=37", "train.dataloader_drop_last=true"],
            "set `scored`: no batch of 37",
        ),
        (
            vec![
                "sets.scored.train=[\"nli.jsonl\"]",
                "sets.scored.columns={anchor=\"premise\",positive=\"hypothesis\",label=\"label\"}",
                "sets.scored.loss.name=softmax",
            ],
            "set `classes`: its loss and that of another set would each own a classifier",
        ),
    ] {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let args: Vec<&str> = ["train", "several.toml", "--run", "x"].into_iter().chain(settings).collect();
        let problem = place.refused(&args);
        assert!(problem.contains(expected), "{expected} is not in {problem}");
        assert!(!place.path("x").exists(), "{expected}: nothing is left behind");
    }
}
