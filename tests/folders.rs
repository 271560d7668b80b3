//! Folders as people bring them: of old versions, without what newer ones say, and what `info` tells about them.
#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::{Value, json};

use crate::golden_models;
use crate::place::{Place, model, torch_file};

const TEXTS: &str = "a cat sits\nthe dog runs far away from here\n\nRain, in the morning!\n";

fn info(place: &Place, args: &[&str]) -> Value {
    serde_json::from_str(&place.ok(&[&["info", "--json"], args].concat())).unwrap()
}

fn rename(place: &Place, from: &str, to: &str) {
    fs::rename(place.path(from), place.path(to)).unwrap();
}

/// What `info` says that `reader` does differently, a statement a line.
fn told_of(info: &Value, reader: &str) -> String {
    let of_it = |other: &&Value| other["reader"] == reader;
    let said = info["other_readers"].as_array().unwrap().iter().filter(of_it);
    said.map(|other| other["difference"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn settings_are_read_under_all_their_old_names() {
    for name in ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"] {
        let place = Place::new();
        place.copy_model("bert-mean-norm", "x");
        fs::remove_file(place.path("x/sentence_bert_config.json")).unwrap();
        let file = format!("sentence_{name}_config.json");
        place.write(&format!("x/{file}"), "{\"max_seq_length\": 16}");
        let info = info(&place, &["x"]);
        assert_eq!(info["contract"]["max_seq_length"], 16, "{name}");
        assert_eq!(info["origins"]["max_seq_length"], file);
    }
}

#[test]
fn a_folder_of_2019_is_the_same_model() {
    let place = Place::new();
    place.write("texts.txt", TEXTS);
    let expected = place.ok(&["embed", &model("bert-mean-norm"), "texts.txt"]);
    for (folder, class) in [("0_BERT", "BERT"), ("0_Transformer", "Transformer")] {
        place.copy_model("bert-mean-norm", "x");
        let inner = |name: &str| format!("x/{folder}/{name}");
        fs::create_dir(place.path(&inner(""))).unwrap();
        rename(&place, "x/config.json", &inner("config.json"));
        place
            .write(&inner("sentence_bert_config.json"), "{\"max_seq_length\": 32, \"do_lower_case\": false}");
        place.write(&inner("pytorch_model.bin"), torch_file("bert-mean-norm"));
        let tokenizer: Value =
            serde_json::from_slice(&fs::read(place.path("x/tokenizer.json")).unwrap()).unwrap();
        place.write(&inner("vocab.txt"), lines_of(&tokenizer["model"]["vocab"]));
        for gone in [
            "tokenizer.json",
            "tokenizer_config.json",
            "model.safetensors",
            "config_sentence_transformers.json",
        ] {
            fs::remove_file(place.path(&format!("x/{gone}"))).unwrap();
        }
        fs::remove_file(place.path("x/sentence_bert_config.json")).unwrap();
        fs::remove_dir_all(place.path("x/2_Normalize")).unwrap();
        place.edit("x/modules.json", |modules| {
            modules[0]["path"] = folder.into();
            modules[0]["type"] = format!("sentence_transformers.models.{class}").into();
        });
        assert_eq!(place.ok(&["embed", "x", "texts.txt"]), expected, "{folder}");
        let info = info(&place, &["x"]);
        assert_eq!(info["origins"]["max_seq_length"], format!("{folder}/sentence_bert_config.json"));
        assert_eq!(info["weight_format"], "torch");
        for reader in ["text-embeddings-inference", "llama.cpp"] {
            assert!(told_of(&info, reader).contains(&format!("not in `{folder}`")), "{info}");
        }
        fs::remove_dir_all(place.path("x")).unwrap();
    }
}

/// The keys of a vocabulary in the order of their ids, a line each.
fn lines_of(vocabulary: &Value) -> String {
    let mut words: Vec<_> = vocabulary.as_object().unwrap().iter().collect();
    words.sort_by_key(|(_, id)| id.as_u64());
    words.into_iter().flat_map(|(word, _)| [word.as_str(), "\n"]).collect()
}

#[test]
fn roberta_reads_vocab_json_and_merges_txt_as_transformers_does() {
    let place = Place::new();
    place.copy_model("roberta-mean-norm", "x");
    let tokenizer: Value =
        serde_json::from_slice(&fs::read(place.path("x/tokenizer.json")).unwrap()).unwrap();
    place.write("x/vocab.json", tokenizer["model"]["vocab"].to_string());
    let merge = |merge: &Value| format!("{} {}\n", merge[0].as_str().unwrap(), merge[1].as_str().unwrap());
    let merges: String = tokenizer["model"]["merges"].as_array().unwrap().iter().map(merge).collect();
    place.write("x/merges.txt", format!("#version: 0.2\n{merges}"));
    fs::remove_file(place.path("x/tokenizer.json")).unwrap();
    place.edit("x/tokenizer_config.json", |config| config["tokenizer_class"] = "RobertaTokenizer".into());
    golden_models::check(&place.path("x"));
    assert!(told_of(&info(&place, &["x"]), "text-embeddings-inference").contains("needs a tokenizer.json"));

    // Older still: nothing describes the tokenizer, and the export must.
    fs::remove_file(place.path("x/tokenizer_config.json")).unwrap();
    place.write("texts.txt", TEXTS);
    let expected = place.ok(&["embed", &model("roberta-mean-norm"), "texts.txt"]);
    assert_eq!(place.ok(&["embed", "x", "texts.txt"]), expected);
    place.ok(&["export", "x", "exported"]);
    let described = fs::read_to_string(place.path("exported/tokenizer_config.json")).unwrap();
    assert!(described.contains("\"RobertaTokenizer\""), "{described}");
    assert_eq!(place.ok(&["embed", "exported", "texts.txt"]), expected);
}

/// A copy of a golden model without what sentence-transformers adds.
fn plain(place: &Place, name: &str, to: &str) {
    place.copy_model(name, to);
    fs::remove_dir_all(place.path(&format!("{to}/1_Pooling"))).unwrap();
    for file in ["modules.json", "config_sentence_transformers.json"] {
        fs::remove_file(place.path(&format!("{to}/{file}"))).unwrap();
    }
}

#[test]
fn a_well_known_model_brings_its_prompts_and_pooling() {
    let place = Place::new();
    plain(&place, "bert-cls", "e5-base-v2");
    let output = place.run(&["info", "e5-base-v2", "--json"]);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(notes.contains("pooling of intfloat/e5-base-v2 from temper's presets: mean"), "{notes}");
    let prompts =
        r#"prompts of intfloat/e5-base-v2 from temper's presets: query = "query: ", document = "passage: ""#;
    assert!(notes.contains(prompts), "{notes}");
    let info_of = |args: &[&str]| info(&place, args);
    let found = info_of(&["e5-base-v2"]);
    assert_eq!(found["origins"]["prompts"], "temper's preset of intfloat/e5-base-v2");
    assert_eq!(found["contract"]["prompts"], json!({"query": "query: ", "document": "passage: "}));
    let embed = |args: &[&str]| place.ok(&[&["embed", "--text", "rain"], args].concat());
    assert_eq!(
        embed(&["e5-base-v2", "--prompt", "query"]),
        embed(&["e5-base-v2", "--prompt-text", "query: "])
    );

    // An export carries both, and needs no preset any more.
    place.ok(&["export", "e5-base-v2", "exported"]);
    let exported = info_of(&["exported"]);
    assert_eq!(exported["contract"], found["contract"]);
    assert_eq!(exported["origins"]["prompts"], "config_sentence_transformers.json");
    assert_eq!(exported["origins"]["pooling"], "1_Pooling/config.json");
    assert_eq!(exported["warnings"], json!([]));

    // Whoever says something is heard.
    assert_eq!(info_of(&["e5-base-v2", "--pooling", "cls"])["origins"]["pooling"], "as asked for");
    place.write("e5-base-v2/config_sentence_transformers.json", "{\"prompts\": {}}");
    assert_eq!(info_of(&["e5-base-v2"])["contract"]["prompts"], json!({}));

    place.edit("e5-base-v2/config.json", |config| config["_name_or_path"] = "BAAI/bge-small-en-v1.5".into());
    let bge = info_of(&["e5-base-v2"]);
    assert_eq!(bge["summary"], "BERT 2x32 > cls");
    assert!(told_of(&bge, "sentence-transformers").contains("takes the mean where there is no modules.json"));
}

#[test]
fn a_plain_folder_has_the_width_of_its_transformer() {
    for name in ["distilbert-mean-dense-norm", "nomic-mean-norm-published", "mpnet-mean-norm"] {
        let place = Place::new();
        plain(&place, name, "x");
        assert_eq!(info(&place, &["x"])["dim"], 32, "{name}");
        // The pooling alone, as text-embeddings-inference takes it too.
        fs::create_dir(place.path("x/1_Pooling")).unwrap();
        let pooling = json!({"word_embedding_dimension": 32, "pooling_mode_cls_token": true});
        place.write("x/1_Pooling/config.json", pooling.to_string());
        let info = info(&place, &["x"]);
        assert_eq!(info["origins"]["pooling"], "1_Pooling/config.json");
        assert_eq!(info["contract"]["modules"][1]["pools"], json!(["cls"]));
    }
}

#[test]
fn info_says_what_where_from_and_what_others_do() {
    let place = Place::new();
    let text = place.ok(&["info", &model("bert-mean-norm")]);
    for line in [
        "architecture   BERT (model_type bert in config.json)",
        "pooling        mean (1_Pooling/config.json)",
        "normalisation  vectors have length 1 (modules.json)",
        "dense          none",
        "longest input  32 tokens (tokenizer_config.json)",
        "weights        safetensors, f32, ",
        "prompts        2 (config_sentence_transformers.json)",
        "\nWith this folder, other readers\n  transformers: gives token vectors, and leaves pooling and",
        "  sentence-transformers: versions before 5.4 cannot load it",
        "  text-embeddings-inference: cannot read `pooling_mode` in 1_Pooling/config.json; give --pooling mean",
    ] {
        assert!(text.contains(line), "`{line}` is not in:\n{text}");
    }
    let of = |name: &str, reader: &str| told_of(&info(&place, &[&model(name)]), reader);
    let server = of("bert-max-dense", "text-embeddings-inference");
    assert!(
        server.contains("has no max pooling") && server.contains("leave the dense layer out"),
        "{server}"
    );
    assert!(of("bert-max-dense", "llama.cpp").contains("leaves the dense layer out"));
    assert!(of("bert-mean-cls-concat", "text-embeddings-inference").contains("takes one pooling, not "));
    assert_eq!(of("mpnet-mean-norm", "llama.cpp"), "does not convert MPNet");
    assert_eq!(of("eurobert-mean", "text-embeddings-inference"), "does not load EuroBERT");
    let prompted = "xlm-roberta-mean-prompts-norm";
    assert!(of(prompted, "text-embeddings-inference").contains("puts no prompt in front unless asked"));
    assert!(of(prompted, "llama.cpp").contains("keeps no prompts"));

    // What temper writes itself is for everybody.
    place.ok(&["export", &model("bert-mean-norm"), "exported"]);
    let exported = info(&place, &["exported"]);
    for reader in ["sentence-transformers", "text-embeddings-inference", "llama.cpp"] {
        assert_eq!(told_of(&exported, reader), "", "{reader}");
    }
}

#[test]
fn a_static_models_limit_is_its_tokenizers_and_is_kept() {
    let place = Place::new();
    let fixture = model("static-mean");
    place.ok(&["export", &fixture, "cut", "--max-seq-length", "5"]);
    place.ok(&["export", "cut", "again"]);
    place.ok(&["export", &fixture, "whole"]);
    for (folder, limit, origin) in [
        ("cut", 5, "tokenizer.json"),
        ("again", 5, "tokenizer.json"),
        ("whole", 1 << 30, "as every model of this kind"),
    ] {
        let info = info(&place, &[folder]);
        assert_eq!(info["contract"]["max_seq_length"], limit, "{folder}");
        assert_eq!(info["origins"]["max_seq_length"], origin, "{folder}");
    }
    let long = "one two three four five six seven eight nine ten";
    let vector = |folder: &str, text: &str| place.ok(&["embed", folder, "--text", text, "--format", "jsonl"]);
    let part = |line: &str| line[line.find("embedding").unwrap()..].to_owned();
    assert_ne!(part(&vector("cut", long)), part(&vector("whole", long)));
}
