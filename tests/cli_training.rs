//! From files to an exported model, and what is refused on the way, as a person types it.

use std::path::Path;

use serde_json::Value;

use crate::place::{Place, model};

fn sample(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name).to_str().unwrap().to_owned()
}

/// A place with a config that `init` wrote for the bundled sample.
fn initialised() -> Place {
    let place = Place::new();
    let (train, dev, base) = (sample("train.jsonl"), sample("dev.jsonl"), model("bert-mean-norm"));
    place.ok(&["init", &train, "--eval", &dev, "--base", &base, "-o", "x.toml"]);
    place
}

#[test]
fn from_files_to_an_exported_model() {
    let place = initialised();
    let plan = place.ok(&["config", "check", "x.toml"]);
    assert!(plan.contains("400 pairs") && plan.contains("100 queries"), "{plan}");
    let shown = place.ok(&["config", "show", "x.toml"]);
    assert!(shown.contains("learning_rate") && shown.contains("save_total_limit"), "{shown}");

    let args =
        ["train", "x.toml", "--run", "r", "--set", "train.max_steps=4", "--set", "train.learning_rate=1e-3"];
    let result = place.ok(&args);
    assert!(result.contains("cosine_ndcg@10 0.") && result.contains(" export r "), "{result}");
    let scores: Value =
        serde_json::from_str(&place.ok(&["eval", "r", &sample("dev.jsonl"), "--json"])).unwrap();
    assert!(scores["scores"]["cosine_ndcg@10"].as_f64().unwrap() > 0.0);
    place.ok(&["export", "r", "model"]);
    let of = |reference: &str| {
        let info: Value = serde_json::from_str(&place.ok(&["info", reference, "--json"])).unwrap();
        info["fingerprint"].as_str().unwrap().to_owned()
    };
    assert_eq!(of("r@last"), of("r@4"));
    let card = std::fs::read_to_string(place.path("model/README.md")).unwrap();
    assert!(card.contains("cosine_ndcg@10") && card.contains("train.jsonl"), "{card}");
}

#[test]
fn the_dashboard_needs_a_terminal_and_a_run() {
    let place = initialised();
    let errors = place.refused(&["train", "x.toml", "--run", "r", "--ui", "tui"]);
    assert!(errors.contains("needs a terminal") && errors.contains("--ui plain"), "{errors}");
    assert!(!place.path("r").exists(), "refused before anything is written");
    place.ok(&["train", "x.toml", "--run", "r", "--set", "train.max_steps=1"]);
    let errors = place.refused(&["watch", "r"]);
    assert!(errors.contains("needs a terminal"), "{errors}");
    let errors = place.refused(&["watch", "nothing"]);
    assert!(errors.contains("RUN `nothing` is no run"), "{errors}");
    let errors = place.refused(&["watch", "r", "--speed", "0"]);
    assert!(errors.contains("expected a number above 0"), "{errors}");
}

#[test]
fn prompts_of_the_config_are_in_the_export() {
    let place = initialised();
    let prompt = "prompts.anchor=query: ";
    place.ok(&["train", "x.toml", "--run", "r", "--set", "train.max_steps=1", "--set", prompt]);
    place.ok(&["export", "r@last", "model"]);
    let text = std::fs::read(place.path("model/config_sentence_transformers.json")).unwrap();
    let config: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(config["prompts"]["query"], "query: ");
}

#[test]
fn a_column_trained_without_a_prompt_is_judged_without() {
    let place = initialised();
    place.copy_model("bert-mean-norm", "e5");
    let path = place.path("e5/config_sentence_transformers.json");
    let text =
        std::fs::read_to_string(&path).unwrap().replace("\"document\": \"\"", "\"passage\": \"passage: \"");
    std::fs::write(&path, text).unwrap();
    let sets = ["--set", "model.base=e5", "--set", "prompts.anchor=query: ", "--set", "train.max_steps=1"];
    place.ok(&[&["train", "x.toml", "--run", "r"], &sets[..]].concat());
    let judged: Value =
        serde_json::from_str(&place.ok(&["eval", "r", &sample("dev.jsonl"), "--json"])).unwrap();
    assert_eq!(judged["prompts"], serde_json::json!({"first": "query: ", "second": null}));
    let events = std::fs::read_to_string(place.path("r/events.jsonl")).unwrap();
    let mut events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let last = events.rfind(|event| event["scores"].is_object()).unwrap();
    assert_eq!(last["scores"]["cosine_ndcg@10"], judged["scores"]["cosine_ndcg@10"]);
}

#[test]
fn scored_pairs_train_with_cosent_and_cosine() {
    let place = Place::new();
    let (scored, base) = (sample("scored.jsonl"), model("bert-cls"));
    place.ok(&["init", &scored, "--base", &base, "-o", "x.toml"]);
    for loss in ["cosent", "cosine_similarity"] {
        let name = format!("loss.name={loss}");
        let run = format!("run-{loss}");
        let mut args = vec!["train", "x.toml", "--run", &run, "--set", &name, "--set", "train.max_steps=2"];
        if loss == "cosine_similarity" {
            std::fs::write(
                place.path("x.toml"),
                std::fs::read_to_string(place.path("x.toml")).unwrap().replace("scale = 20.0", ""),
            )
            .unwrap();
        }
        args.extend(["--set", "data.held_out=0.3"]);
        assert!(place.ok(&args).contains("spearman_cosine"));
    }
}

#[test]
fn a_wrong_config_is_refused_by_name() {
    let place = initialised();
    let text = std::fs::read_to_string(place.path("x.toml")).unwrap();
    let refused = |from: &str, to: &str| {
        place.write("bad.toml", text.replacen(from, to, 1));
        let errors = place.refused(&["train", "bad.toml", "--run", "r"]);
        assert!(!place.path("r").exists(), "a run folder was made for a config that cannot run");
        errors
    };
    let errors = refused("scale = 20.0", "scal = 20.0");
    assert!(errors.contains("line ") && errors.contains("unknown field `scal`"), "{errors}");
    let errors = refused("learning_rate", "lr");
    assert!(errors.contains("hint: `lr` is here: train.learning_rate"), "{errors}");
    let errors = refused("anchor = \"anchor\"", "anchor = \"question\"");
    assert!(errors.contains("no column `question`\nhint: there are `anchor`, `positive`"), "{errors}");
    let errors = refused("scale = 20.0", "scale = 20.0\ntemperature = 0.05");
    assert!(errors.contains("`scale` and `temperature`"), "{errors}");
    let errors = refused("multiple_negatives_ranking", "cosent");
    assert!(errors.contains("`mask_duplicates` means nothing to cosent"), "{errors}");
    let errors = refused("mask_duplicates = true", "also = [{ weight = 1.0, loss = { name = \"cosent\" } }]");
    assert!(errors.contains("multiple_negatives_ranking"), "{errors}");
    let errors = refused("learning_rate = 2e-5", "learning_rate = nan");
    assert!(errors.contains("train.learning_rate"), "{errors}");
}

#[test]
fn data_that_cannot_be_used_is_refused_by_place() {
    let place = initialised();
    let train = |file: &str, more: &[&str]| {
        let data = format!("data.train=[\"{file}\"]");
        let mut args = vec!["train", "x.toml", "--run", "r", "--set", &data];
        args.extend(more);
        place.refused(&args)
    };
    place.write("empty.jsonl", "");
    assert!(train("empty.jsonl", &[]).contains("empty.jsonl"));
    place.write(
        "latin.jsonl",
        b"{\"anchor\": \"a\", \"positive\": \"b\"}\n{\"anchor\": \"a\", \"positive\": \"caf\xe9\"}\n",
    );
    let errors = train("latin.jsonl", &[]);
    assert!(errors.contains("latin.jsonl:2") && errors.contains("UTF-8"), "{errors}");
    place.write("scored.jsonl", "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"score\": 0.5}\n{\"sentence1\": \"a\", \"sentence2\": \"c\", \"score\": 7}\n");
    place.ok(&["init", "scored.jsonl", "--base", &model("bert-cls"), "-o", "scored.toml"]);
    let errors = place.refused(&["train", "scored.toml", "--run", "r", "--set", "data.label_range=[0, 1]"]);
    assert!(errors.contains("scored.jsonl:2") && errors.contains("label 7"), "{errors}");
    place.write("nan.jsonl", "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"score\": 0.5}\n{\"sentence1\": \"a\", \"sentence2\": \"c\", \"score\": NaN}\n");
    let errors = place.refused(&["init", "nan.jsonl", "--base", &model("bert-cls")]);
    assert!(errors.contains("nan.jsonl:2") && errors.contains("NaN"), "{errors}");
}

#[test]
fn an_evaluation_file_may_have_other_columns_and_shows_them() {
    let place = Place::new();
    place.write("faq.csv", "title,reply\nwhere is it,here\nwhen is it,now\nwho is it,me\n");
    place.write("dev.tsv", "question\tanswer\nwhich one\tthat\n");
    let columns = ["--columns", "anchor=title,positive=reply", "--eval", "dev.tsv"];
    place.ok(&[&["init", "faq.csv", "--base", &model("bert-cls"), "-o", "x.toml"], &columns[..]].concat());
    let plan = place.ok(&["config", "check", "x.toml"]);
    assert!(plan.contains("anchor <- \"title\"") && plan.contains("anchor <- \"question\""), "{plan}");
    let twice = ["config", "check", "x.toml", "--set", "data.eval=[\"dev.tsv\", \"./dev.tsv\"]"];
    assert!(place.refused(&twice).contains("called `dev`"));
}

#[test]
fn a_run_that_could_not_take_a_step_is_refused() {
    let place = initialised();
    let args = ["--set", "train.dataloader_drop_last=true", "--set", "train.per_device_train_batch_size=900"];
    let errors = place.refused(&[&["train", "x.toml", "--run", "r"], &args[..]].concat());
    assert!(errors.contains("no batch of 900") && !place.path("r").exists(), "{errors}");
    place.ok(&["train", "x.toml", "--run", "r", "--set", "train.max_steps=3"]);
    let errors = place.refused(&["train", "--resume", "r", "--set", "train.max_steps=2"]);
    assert!(errors.contains("is at step 3 already"), "{errors}");
}

#[test]
fn a_run_folder_that_exists_is_refused() {
    let place = initialised();
    std::fs::create_dir(place.path("r")).unwrap();
    place.write("r/notes.txt", "mine");
    let errors = place.refused(&["train", "x.toml", "--run", "r"]);
    assert!(errors.contains("`r` exists already"), "{errors}");
    assert!(place.path("r/notes.txt").exists());
}

#[test]
fn a_base_with_prompts_under_a_config_without_is_a_warning() {
    let place = initialised();
    place.copy_model("bert-mean-norm", "prompted");
    let path = place.path("prompted/config_sentence_transformers.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"query\": \"\"", "\"query\": \"query: \"");
    std::fs::write(&path, text).unwrap();
    let args =
        ["train", "x.toml", "--run", "r", "--set", "model.base=prompted", "--set", "train.max_steps=1"];
    let output = place.run(&args);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("warning: the base has prompts (query)"), "{errors}");
}

#[test]
fn a_run_is_judged_with_its_own_prompts_whatever_the_task() {
    let place = Place::new();
    let row = |i: usize| {
        format!(
            "{{\"anchor\": \"word {i} a\", \"positive\": \"text {i} b\", \"negative\": \"other {} c\"}}\n",
            90 - i
        )
    };
    place.write("train.jsonl", (0..20).map(row).collect::<String>());
    place.write("dev.jsonl", (20..40).map(row).collect::<String>());
    place.ok(&[
        "init",
        "train.jsonl",
        "--eval",
        "dev.jsonl",
        "--base",
        &model("bert-mean-norm"),
        "-o",
        "x.toml",
    ]);
    let prompt = "prompts.anchor=please find: ";
    let result = place.ok(&["train", "x.toml", "--run", "r", "--set", prompt, "--set", "train.max_steps=1"]);
    let scores: Value = serde_json::from_str(&place.ok(&["eval", "r", "dev.jsonl", "--json"])).unwrap();
    assert_eq!(scores["prompts"]["first"], "please find: ");
    let score = scores["scores"]["cosine_accuracy"].as_f64().unwrap();
    assert!(result.contains(&format!("-> {score:.4} ")), "{result} but eval says {score}");
}
