//! Models by hub id, as a person uses them: against a server that answers like the hub.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::hub_server::{Fault, HubServer, Model, READER, TOKEN, commit_of, files, sha256};
use crate::place::{Place, model, text_of, torch_file};

const ID: &str = "org/tiny";

/// A person at a machine with an empty cache.
struct Desk {
    place: Place,
    server: HubServer,
}

impl Desk {
    fn new() -> Self {
        Self::at(HubServer::with(ID, &model("bert-mean-norm")))
    }

    fn at(server: HubServer) -> Self {
        Self { place: Place::new(), server }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command(args);
        for name in [
            "HF_HUB_CACHE",
            "HF_TOKEN",
            "HF_TOKEN_PATH",
            "HF_HUB_OFFLINE",
            "http_proxy",
            "HTTP_PROXY",
            "all_proxy",
            "ALL_PROXY",
        ] {
            command.env_remove(name);
        }
        command
            .env("HF_ENDPOINT", &self.server.url)
            .env("HF_HOME", self.place.path("home"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        text_of(&self.run(args)).trim().to_owned()
    }

    fn with_token(&self, token: &str, args: &[&str]) -> Output {
        self.command(args).env("HF_TOKEN", token).output().unwrap()
    }

    fn cache(&self) -> PathBuf {
        self.place.path("home/hub/models--org--tiny")
    }

    fn blobs(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.cache().join("blobs")).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The blob of the weights, while it is not whole.
    fn incomplete(&self) -> PathBuf {
        let sha = sha256(&self.server.state().models[ID].files["model.safetensors"]);
        self.cache().join(format!("blobs/{sha}.incomplete"))
    }
}

/// stderr of a command that must end with this code and one message.
fn error(output: &Output, code: i32) -> String {
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert_eq!(errors.matches("error: ").count(), 1, "{errors}");
    errors
}

fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}

#[test]
fn an_id_is_a_model_in_every_command_and_the_second_time_needs_no_network() {
    let desk = Desk::new();
    let local = model("bert-mean-norm");
    let expected = desk.ok(&["embed", &local, "--text", "a cat sits"]);
    assert!(desk.server.state().log.is_empty(), "a folder starts no network code");
    assert_eq!(desk.ok(&["embed", ID, "--text", "a cat sits"]), expected);
    let asked = desk.server.state().log.len();
    let info: Value = serde_json::from_str(&desk.ok(&["info", ID, "--json"])).unwrap();
    assert!(info["folder"].as_str().unwrap().contains("models--org--tiny/snapshots/"), "{info}");
    desk.ok(&["similarity", ID, "a cat", "a dog"]);
    desk.ok(&["export", ID, "exported"]);
    assert_eq!(desk.server.state().log.len(), asked, "what is wholly in the cache is not asked for");
    assert_eq!(desk.ok(&["embed", "exported", "--text", "a cat sits"]), expected);
}

#[test]
fn only_the_files_of_the_model_come_and_lie_where_other_tools_look() {
    let desk = Desk::new();
    let mut other = files(&model("bert-mean-norm"));
    for name in ["onnx/model.onnx", "pytorch_model.bin", "tf_model.h5", "train_script.py", ".gitattributes"] {
        other.insert(name.into(), b"not needed".to_vec());
    }
    let commit = commit_of(&other);
    desk.server.state().models.get_mut(ID).unwrap().files = other;
    let folder = PathBuf::from(desk.ok(&["pull", ID]));
    assert_eq!(folder, desk.cache().join("snapshots").join(&commit));
    assert_eq!(std::fs::read_to_string(desk.cache().join("refs/main")).unwrap(), commit);
    let names: Vec<String> = files(folder.to_str().unwrap()).into_keys().collect();
    let expected = [
        "1_Pooling/config.json",
        "2_Normalize/config.json",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(names, expected);
    assert_eq!(desk.blobs().len(), expected.len());
    let target = std::fs::read_link(folder.join("1_Pooling/config.json")).unwrap();
    assert!(target.starts_with("../../../blobs"), "{}", target.display());
}

#[test]
fn a_download_cut_half_way_continues_by_a_range_request() {
    let desk = Desk::new();
    desk.server.order("/cdn/", Fault::Cut(100_000));
    desk.server.order("/cdn/", Fault::Cut(20_000));
    desk.ok(&["info", ID]);
    let ranges: Vec<Option<String>> =
        desk.server.requests("/cdn/").iter().map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".into()), Some("bytes=120000-".into())]);
}

#[test]
fn a_server_without_ranges_and_a_part_that_is_too_long_begin_again() {
    let desk = Desk::new();
    desk.server.order("/cdn/", Fault::Cut(100_000));
    desk.server.order("/cdn/", Fault::NoRange);
    desk.ok(&["info", ID]);
    assert_eq!(desk.server.requests("/cdn/").len(), 2);
    std::fs::remove_dir_all(desk.cache()).unwrap();
    let weights = desk.server.state().models[ID].files["model.safetensors"].clone();
    let incomplete = desk.incomplete();
    std::fs::create_dir_all(incomplete.parent().unwrap()).unwrap();
    std::fs::write(&incomplete, [&weights[..], b"too long"].concat()).unwrap();
    desk.ok(&["info", ID]);
    assert_eq!(desk.server.requests("/cdn/")[2].header("range"), None, "what is too long is dropped");
    assert!(!incomplete.exists());
}

#[test]
fn a_gated_model_asks_for_access_and_a_token() {
    let desk = Desk::new();
    desk.server.state().models.get_mut(ID).unwrap().gated = true;
    let without = error(&desk.run(&["pull", ID]), 2);
    holds(
        &without,
        &["`org/tiny` is gated", "hint: ask for access at http", "/org/tiny", "HF_TOKEN or `", "home/token`"],
    );
    let with = error(&desk.with_token(READER, &["pull", ID]), 2);
    holds(&with, &["the account of the token from HF_TOKEN has no access", "fine-grained"]);
    assert!(!with.contains(READER), "a token is never printed: {with}");
}

#[test]
fn a_private_model_needs_a_token_and_a_wrong_one_is_named() {
    let desk = Desk::new();
    desk.server.state().models.get_mut(ID).unwrap().private = true;
    let without = error(&desk.run(&["pull", ID]), 2);
    holds(
        &without,
        &["has no model `org/tiny` that can be seen without a token", "a private model needs a token"],
    );
    let wrong = error(&desk.with_token("hf_old", &["pull", ID]), 2);
    holds(&wrong, &["does not know the token from HF_TOKEN", "make a token that may read `org/tiny`"]);
    desk.server.order("/revision/", Fault::Status(403, vec![("X-Error-Message", "not in this region")]));
    let forbidden = error(&desk.with_token(READER, &["pull", ID]), 2);
    holds(&forbidden, &["the token from HF_TOKEN may not read `org/tiny`: not in this region"]);
    std::fs::create_dir_all(desk.place.path("home")).unwrap();
    desk.place.write("home/token", format!("{READER}\n"));
    desk.ok(&["pull", ID]);
}

#[test]
fn a_model_that_is_not_there_is_answered_with_near_names_and_both_readings() {
    let desk = Desk::at(HubServer::with("org/all-tiny-v2", &model("bert-mean-norm")));
    let message = error(&desk.with_token(READER, &["info", "org/all-tiny-v3"]), 2);
    holds(
        &message,
        &[
            "no folder and no run `org/all-tiny-v3` is here, and as a hub id it cannot be had",
            "has no model `org/all-tiny-v3` that can be seen with the token from HF_TOKEN",
            "near it are `org/all-tiny-v2`",
        ],
    );
    let message = error(&desk.run(&["pull", "org/all-tiny-v2", "--revision", "v9"]), 2);
    holds(&message, &["`org/all-tiny-v2` has no revision `v9`"]);
    let message = error(&desk.run(&["pull", "all-tiny-v2"]), 2);
    holds(&message, &["`all-tiny-v2` is not a hub id: expected `org/name`"]);
}

#[test]
fn a_path_wins_over_an_id() {
    let desk = Desk::new();
    desk.place.copy_model("bert-max-dense", ID);
    let info: Value = serde_json::from_str(&desk.ok(&["info", ID, "--json"])).unwrap();
    assert_eq!((&info["folder"], &info["dim"]), (&ID.into(), &16.into()));
    std::fs::remove_dir_all(desk.place.path(ID)).unwrap();
    desk.place.write(ID, "no model");
    holds(&error(&desk.run(&["info", ID]), 2), &["`org/tiny` is neither a model folder nor a run"]);
    assert!(desk.server.state().log.is_empty());
}

#[test]
fn a_busy_hub_is_asked_again_when_it_says_so_and_given_up_when_it_stays_busy() {
    let desk = Desk::new();
    desk.server.order("/revision/", Fault::Status(429, vec![("Retry-After", "1")]));
    desk.server.order("/resolve/", Fault::Status(503, Vec::new()));
    let began = Instant::now();
    let output = desk.run(&["info", ID]);
    assert!(output.status.success() && began.elapsed() > Duration::from_millis(1500));
    let notes = String::from_utf8(output.stderr).unwrap();
    holds(&notes, &["answered 429; trying again in 1.0 s", "answered 503; trying again in 0.5 s"]);

    for _ in 0..6 {
        desk.server.order("/revision/", Fault::Status(503, vec![("Retry-After", "0")]));
    }
    let before = desk.server.requests("/revision/").len();
    holds(&error(&desk.run(&["pull", ID]), 1), &["status 503: as ordered", "hint: the hub has trouble"]);
    assert_eq!(desk.server.requests("/revision/").len() - before, 6);
    desk.server.order("/revision/", Fault::Status(429, vec![("Retry-After", "3600")]));
    holds(&error(&desk.run(&["pull", ID]), 1), &["status 429", "hint: wait a while"]);
}

#[test]
fn a_wrong_hash_is_refused_and_nothing_of_it_is_kept() {
    let desk = Desk::new();
    for (part, file) in [("/cdn/", "model.safetensors"), ("/resolve/", "modules.json")] {
        desk.server.order(part, Fault::Corrupt);
        let message = error(&desk.run(&["pull", ID]), 1);
        holds(&message, &[file, "where the hub lists", "nothing of it is kept"]);
        assert!(!desk.cache().join("snapshots").exists());
        if part == "/cdn/" {
            assert!(!desk.incomplete().exists());
            std::fs::remove_dir_all(desk.cache()).unwrap();
        }
    }
    // Half a file from elsewhere: what comes does not fit it, and it is fetched anew.
    std::fs::create_dir_all(desk.cache().join("blobs")).unwrap();
    std::fs::write(desk.incomplete(), [7; 1000]).unwrap();
    desk.ok(&["pull", ID]);
    let ranges: Vec<bool> =
        desk.server.requests("/cdn/").iter().map(|r| r.header("range").is_some()).collect();
    assert_eq!(ranges[ranges.len() - 2..], [true, false]);
}

#[test]
fn without_a_network_the_error_tells_what_is_in_the_cache() {
    let desk = Desk::new();
    desk.ok(&["pull", ID]);
    let without =
        |args: &[&str]| desk.command(args).env("HF_ENDPOINT", "http://127.0.0.1:9").output().unwrap();
    text_of(&without(&["info", ID]));
    let message = error(&without(&["info", "org/other"]), 1);
    holds(
        &message,
        &[
            "no folder and no run `org/other` is here",
            "cannot reach http://127.0.0.1:9",
            "home/hub` holds `org/tiny`",
        ],
    );
    holds(&error(&without(&["pull", ID]), 1), &["cannot reach http://127.0.0.1:9"]);
}

#[test]
fn offline_uses_the_cache_and_asks_nobody() {
    let desk = Desk::new();
    let offline = |args: &[&str]| desk.command(args).env("HF_HUB_OFFLINE", "1").output().unwrap();
    let message = error(&offline(&["info", ID]), 2);
    holds(&message, &["`org/tiny` is not wholly in the cache", "HF_HUB_OFFLINE", "holds no model"]);
    assert!(desk.server.state().log.is_empty());
    let folder = desk.ok(&["pull", ID]);
    let asked = desk.server.state().log.len();
    assert_eq!(text_of(&offline(&["pull", ID])).trim(), folder);
    text_of(&offline(&["info", ID]));
    std::fs::remove_file(Path::new(&folder).join("1_Pooling/config.json")).unwrap();
    holds(&error(&offline(&["info", ID]), 2), &["is not wholly in the cache"]);
    assert_eq!(desk.server.state().log.len(), asked);
    desk.ok(&["info", ID]);
}

#[test]
fn a_revision_is_pinned_while_the_branch_moves_on() {
    let desk = Desk::new();
    let (first, second) = (files(&model("bert-mean-norm")), files(&model("bert-cls")));
    desk.server.state().models.get_mut(ID).unwrap().revisions.insert("v1".into(), first.clone());
    desk.server.state().models.get_mut(ID).unwrap().files = second.clone();
    let folder = |reference: &str| -> String {
        let info: Value = serde_json::from_str(&desk.ok(&["info", reference, "--json"])).unwrap();
        info["folder"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    assert_eq!(folder("org/tiny@v1"), commit_of(&first));
    assert_eq!(folder(ID), commit_of(&second));
    assert_eq!(folder(&format!("{ID}@{}", commit_of(&first))), commit_of(&first));
    desk.server.state().models.get_mut(ID).unwrap().files = first.clone();
    assert_eq!(folder(ID), commit_of(&second), "the cache is used until it is pulled");
    assert!(desk.ok(&["pull", ID]).ends_with(&commit_of(&first)));
    assert_eq!(folder(ID), commit_of(&first));
}

#[test]
fn a_run_begins_from_an_id_and_records_its_commit() {
    let desk = Desk::new();
    let commit = commit_of(&desk.server.state().models[ID].files);
    desk.place.write("pairs.tsv", "anchor\tpositive\na cat\tsits\nrain\tfalls\nthe dog\truns\nfar\taway\n");
    desk.ok(&["init", "pairs.tsv", "--base", ID, "-o", "run.toml"]);
    let config = std::fs::read_to_string(desk.place.path("run.toml")).unwrap();
    holds(&config, &["base = \"org/tiny\"\n", &format!("# revision = \"{commit}\"\n")]);
    let args =
        ["train", "run.toml", "--run", "run", "--set", "train.max_steps=2", "--set", "data.held_out=0.0"];
    desk.ok(&[&args[..], &["--set", "model.max_seq_length=16"]].concat());
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(desk.place.path("run/manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["base"]["reference"], ID);
    assert_eq!(manifest["base"]["revision"], commit);
    let resolved = std::fs::read_to_string(desk.place.path("run/config.toml")).unwrap();
    holds(&resolved, &[&format!("revision = \"{commit}\"")]);
    desk.ok(&["export", "run@last", "out"]);
    holds(
        &std::fs::read_to_string(desk.place.path("out/README.md")).unwrap(),
        &["base_model: org/tiny\n", &commit],
    );
    let local = model("bert-mean-norm");
    let set = format!("model.base={local}");
    let message = error(&desk.run(&["config", "check", "run/config.toml", "--set", &set]), 2);
    holds(&message, &["is no hub id, so the revision", "leave it out"]);
}

#[test]
fn two_processes_pull_the_same_model_at_once() {
    let desk = Desk::new();
    desk.server.order("/cdn/", Fault::Halt(500));
    let pull = || desk.command(&["pull", ID]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let both = [pull(), pull()].map(|child| child.wait_with_output().unwrap());
    assert_eq!(text_of(&both[0]), text_of(&both[1]));
    assert_eq!(desk.server.requests("/cdn/").len(), 1, "the second waits for the first");
    desk.ok(&["info", ID]);
}

#[test]
fn a_kill_in_the_middle_of_a_download_costs_only_what_had_not_come() {
    let desk = Desk::new();
    desk.server.order("/cdn/", Fault::Halt(60_000));
    let mut child = desk.command(&["pull", ID]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let half = desk.server.state().models[ID].files["model.safetensors"].len() as u64 / 2;
    while std::fs::metadata(desk.incomplete()).map_or(0, |file| file.len()) < half {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!desk.cache().join("snapshots").exists() && !desk.cache().join("refs").exists());
    desk.ok(&["info", ID]);
    let requests = desk.server.requests("/cdn/");
    assert_eq!(requests[1].header("range"), Some(format!("bytes={half}-").as_str()));
}

#[test]
fn shards_are_pulled_by_their_index_and_a_pickle_where_there_is_nothing_else() {
    let desk = Desk::new();
    let mut sharded = files(&model("bert-mean-norm"));
    let weights = sharded.remove("model.safetensors").unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&weights).unwrap();
    let names = tensors.names().into_iter().map(str::to_owned);
    let shard = "model-00001-of-00001.safetensors";
    let map: serde_json::Map<String, Value> = names.map(|name| (name, shard.into())).collect();
    sharded.insert(
        "model.safetensors.index.json".into(),
        serde_json::json!({"weight_map": map}).to_string().into(),
    );
    sharded.insert(shard.into(), weights);
    desk.server.state().models.get_mut(ID).unwrap().files = sharded.clone();
    let expected = desk.ok(&["embed", &model("bert-mean-norm"), "--text", "rain"]);
    assert_eq!(desk.ok(&["embed", ID, "--text", "rain"]), expected);

    sharded.remove(shard);
    sharded.remove("model.safetensors.index.json");
    sharded.insert("pytorch_model.bin".into(), torch_file("bert-mean-norm"));
    desk.server.state().models.get_mut(ID).unwrap().files = sharded.clone();
    let folder = desk.ok(&["pull", ID]);
    assert_eq!(desk.ok(&["embed", &folder, "--text", "rain"]), expected);
    let asked = desk.server.state().log.len();
    assert_eq!(desk.ok(&["embed", ID, "--text", "rain"]), expected);
    assert_eq!(desk.server.state().log.len(), asked, "what is wholly in the cache is not asked for");

    sharded.remove("pytorch_model.bin");
    desk.server.state().models.get_mut(ID).unwrap().files = sharded;
    let message = error(&desk.run(&["pull", ID]), 2);
    holds(&message, &["holds neither `model.safetensors` nor `pytorch_model.bin`"]);
}

#[test]
fn a_run_is_pushed_with_its_card_to_a_repository_that_is_made() {
    let desk = Desk::new();
    desk.place.write("pairs.tsv", "anchor\tpositive\na cat\tsits\nrain\tfalls\nthe dog\truns\nfar\taway\n");
    desk.place
        .write("run.toml", "[model]\nbase = \"org/tiny\"\n[data]\ntrain = [\"pairs.tsv\"]\nheld_out = 0.0\n");
    desk.ok(&["train", "run.toml", "--run", "run", "--set", "train.max_steps=2"]);
    let output = desk.with_token(TOKEN, &["push", "run@last", "org/new", "--private"]);
    assert_eq!(text_of(&output).trim(), format!("{}/org/new", desk.server.url));
    holds(&String::from_utf8(output.stderr).unwrap(), &["made the private model org/new", "commit "]);
    let pushed = desk.server.state().models["org/new"].clone();
    assert!(pushed.private);
    let card = String::from_utf8(pushed.files["README.md"].clone()).unwrap();
    holds(
        &card,
        &["base_model: org/tiny\n", "# org/new\n", "SentenceTransformer(\"org/new\")", "## Training"],
    );
    assert_eq!(desk.server.requests("/commit/").len(), 1);
    let pulled = desk.with_token(TOKEN, &["embed", "org/new", "--text", "rain"]);
    assert_eq!(text_of(&pulled).trim(), desk.ok(&["embed", "run@last", "--text", "rain"]));
    let again = desk.with_token(TOKEN, &["push", "run@last", "org/new"]);
    text_of(&again);
    let sent = desk.server.requests("/lfs/").into_iter().filter(|request| request.method == "PUT");
    assert_eq!(sent.count(), 1, "weights that the hub has are not sent again");
}

#[test]
fn a_folder_is_pushed_as_it_is_and_large_files_in_the_parts_that_the_hub_wants() {
    let desk = Desk::new();
    desk.server.state().part_size = Some(100_000);
    desk.server.state().models.insert("me/model".into(), Model::default());
    desk.ok(&["export", &model("bert-max-dense"), "out"]);
    desk.place.write("out/optimizer.bin", "not a part of the model");
    let output = desk.with_token(TOKEN, &["push", "out", "me/model"]);
    assert!(!String::from_utf8(output.stderr.clone()).unwrap().contains("made the"));
    text_of(&output);
    let mut expected = files(desk.place.path("out").to_str().unwrap());
    expected.remove("optimizer.bin");
    assert_eq!(desk.server.state().models["me/model"].files, expected);
    assert_eq!(desk.server.requests("/complete").len(), 2, "of the encoder and of the Dense head");
}

#[test]
fn a_push_without_the_right_to_write_says_which_token_is_missing() {
    let desk = Desk::new();
    desk.ok(&["export", &model("bert-mean-norm"), "out"]);
    let message = error(&desk.run(&["push", "out", ID]), 2);
    holds(&message, &["pushing `org/tiny` to http", "needs a token that may write it", "HF_TOKEN"]);
    assert!(desk.server.state().log.is_empty());
    let message = error(&desk.with_token("hf_old", &["push", "out", ID]), 2);
    holds(&message, &["does not know the token from HF_TOKEN", "make a token that may write `org/tiny`"]);
    let message = error(&desk.with_token(READER, &["push", "out", ID]), 2);
    holds(&message, &["the token from HF_TOKEN may not write `org/tiny`: You need the write role"]);
    desk.place.write("out/config.json", "{}");
    holds(&error(&desk.with_token(TOKEN, &["push", "out", ID]), 2), &["config.json"]);
}
