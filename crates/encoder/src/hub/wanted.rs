//! Which files of a repository make up the model; the others are copies for other libraries, samples and logs.

use std::collections::BTreeSet;

use crate::read::SETTINGS;
use crate::weights::{FORMATS, Format};

/// Files beside [`SETTINGS`] that a model, its tokenizer and its modules are read from, here or by other libraries.
const NAMES: [&str; 14] = [
    "README.md",
    "added_tokens.json",
    "config.json",
    "config_sentence_transformers.json",
    "merges.txt",
    "modules.json",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "temper.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];

/// The files that temper can do without, and must know to be absent when it does, for a transformer in `root`.
pub(super) fn optional(root: &str) -> [String; 4] {
    [
        "modules.json".to_owned(),
        "config_sentence_transformers.json".to_owned(),
        joined(root, SETTINGS[0]),
        joined(root, "tokenizer_config.json"),
    ]
}

/// What the weights of the module in `folder` come as; none for a module that has none.
pub(super) fn weights(all: &BTreeSet<&str>, folder: &str) -> Option<&'static Format> {
    let has = |name| all.contains(joined(folder, name).as_str());
    FORMATS.iter().find(|format| has(format.file) || has(format.index))
}

/// The files among `all` that the model with these module folders needs (`""` is the root).
pub(super) fn wanted<'a>(all: &BTreeSet<&'a str>, folders: &[String]) -> Vec<&'a str> {
    let is_weights = |folder: &str, name: &str| {
        weights(all, folder).is_some_and(|format| {
            let is_single = all.contains(joined(folder, format.file).as_str());
            name == format.file
                || !is_single && (name == format.index || sharded(name).as_deref() == Some(format.file))
        })
    };
    let is_wanted = |path: &&&str| {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let is_named = NAMES.contains(&name) || SETTINGS.contains(&name);
        folders.iter().any(|f| f == folder) && (is_named || is_weights(folder, name))
    };
    all.iter().filter(is_wanted).copied().collect()
}

/// Where the modules of a `modules.json` lie; the root alone for a text that is none, whose reader tells why.
pub(super) fn module_folders(modules: &[u8]) -> Vec<String> {
    let modules: Vec<serde_json::Value> = serde_json::from_slice(modules).unwrap_or_default();
    let path =
        |module: &serde_json::Value| module.get("path")?.as_str().map(|p| p.trim_matches('/').to_owned());
    let mut folders: Vec<String> = modules.iter().filter_map(path).chain([String::new()]).collect();
    folders.sort();
    folders.dedup();
    folders
}

/// `name` in `folder`, which may be the root.
pub(super) fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// `model.safetensors` for `model-00001-of-00002.safetensors`.
fn sharded(name: &str) -> Option<String> {
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (rest, extension) = name.rsplit_once('.')?;
    let (rest, of) = rest.rsplit_once("-of-")?;
    let (stem, part) = rest.rsplit_once('-')?;
    (digits(part) && digits(of)).then(|| format!("{stem}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULES: &str = r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]"#;

    fn of(files: &[&'static str]) -> Vec<&'static str> {
        wanted(&files.iter().copied().collect(), &module_folders(MODULES.as_bytes()))
    }

    #[test]
    fn copies_for_other_libraries_stay_where_they_are() {
        let model =
            ["1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "config.json"];
        let others = [
            ".gitattributes",
            "2_Dense/pytorch_model.bin",
            "checkpoint-500/model.safetensors",
            "data_config.json",
            "model.fp16.safetensors",
            "onnx/config.json",
            "onnx/model.onnx",
            "openvino/openvino_model.bin",
            "pytorch_model.bin",
            "rust_model.ot",
            "tf_model.h5",
            "train_script.py",
        ];
        let all = [&model[..], &others, &["model.safetensors", "modules.json"]].concat();
        assert_eq!(of(&all), [&model[..], &["model.safetensors", "modules.json"]].concat());
    }

    #[test]
    fn shards_come_with_their_index_unless_the_weights_are_there_in_one_file() {
        let [safetensors, torch] = [
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", FORMATS[0].index],
            ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", FORMATS[1].index],
        ];
        for (shards, format) in [(safetensors, &FORMATS[0]), (torch, &FORMATS[1])] {
            assert_eq!(of(&shards), shards);
            assert_eq!(of(&[&shards[..], &[format.file]].concat()), [format.file]);
        }
        assert_eq!(of(&[safetensors, torch].concat()), safetensors);
        assert_eq!(of(&["model-best-of-three.safetensors", FORMATS[0].index]), [FORMATS[0].index]);
    }

    #[test]
    fn a_pickle_comes_where_its_module_has_no_safetensors() {
        let files =
            ["2_Dense/pytorch_model.bin", "model.safetensors", "pytorch_model.bin", "training_args.bin"];
        assert_eq!(of(&files), files[..2]);
    }
}
