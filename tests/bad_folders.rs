//! Model folders that are damaged, incomplete or not for temper: one error that names file and place, and code 2.
#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::{Value, json};
use temper_encoder::weights::{Precision, Weights, serialize};

use crate::place::Place;

/// A copy of the golden model `name`, damaged by `damage`, must be refused with all of `told`.
fn refuse(name: &str, damage: impl FnOnce(&Place), told: &[&str]) {
    let place = Place::new();
    place.copy_model(name, "x");
    damage(&place);
    let refused = place.refused(&["info", "x"]);
    for part in told {
        assert!(refused.contains(part), "`{part}` is not in:\n{refused}");
    }
}

/// Sets fields of `config.json`.
fn config(fields: Value) -> impl FnOnce(&Place) {
    move |place| {
        place.edit("x/config.json", |config| {
            config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        });
    }
}

/// Sets a field of a line of `modules.json`.
fn module(index: usize, field: &'static str, value: &'static str) -> impl FnOnce(&Place) {
    move |place| place.edit("x/modules.json", |modules| modules[index][field] = value.into())
}

#[test]
fn modules_that_are_not_there_or_lie_elsewhere() {
    let remove = |place: &Place| fs::remove_dir_all(place.path("x/1_Pooling")).unwrap();
    let told = [
        "x/modules.json`: the folder `1_Pooling` of its module Pooling is not there",
        "hint: copy the model",
    ];
    refuse("bert-mean-norm", remove, &told);
    let remove = |place: &Place| fs::remove_file(place.path("x/1_Pooling/config.json")).unwrap();
    refuse("bert-mean-norm", remove, &["x/1_Pooling/config.json`"]);
    let told = ["x/modules.json`: the folder `0_BERT` of its module Transformer is not there"];
    refuse("bert-mean-norm", module(0, "path", "0_BERT"), &told);
    for path in ["../x/1_Pooling", "/1_Pooling", "1_Pooling/../../x/1_Pooling"] {
        let told = format!("x/modules.json`: module path `{path}` leaves the model folder");
        refuse("bert-mean-norm", module(1, "path", path), &[&told]);
    }
    let twice = |place: &Place| {
        place.edit("x/modules.json", |modules| {
            let first = modules[0].clone();
            modules.as_array_mut().unwrap().insert(1, first);
        });
    };
    let told = ["x/modules.json`: lists two transformers, in `` and in ``", "hint: temper runs one"];
    refuse("bert-mean-norm", twice, &told);
}

#[test]
fn modules_that_temper_does_not_have() {
    let told = [
        "x/modules.json`: module `Teleport` is not supported",
        "known: Transformer, StaticEmbedding, Pooling, Dense, Normalize",
    ];
    refuse("bert-mean-norm", module(2, "type", "sentence_transformers.models.Teleport"), &told);
    let told = ["x/modules.json`: the first module must be a Transformer or a StaticEmbedding"];
    refuse("bert-mean-norm", module(0, "type", "sentence_transformers.models.Pooling"), &told);
    let told = ["x/model.safetensors`: holds neither `embedding.weight` nor `embeddings`"];
    refuse("bert-mean-norm", module(0, "type", "sentence_transformers.models.StaticEmbedding"), &told);
    let to_object = |place: &Place| place.write("x/modules.json", "{}");
    refuse("bert-mean-norm", to_object, &["x/modules.json`: expected a list of modules"]);
    let without_prompt = |place: &Place| {
        place.edit("x/1_Pooling/config.json", |pooling| pooling["include_prompt"] = false.into());
    };
    refuse("bert-mean-norm", without_prompt, &["x/1_Pooling/config.json`: field `include_prompt` is false"]);
}

#[test]
fn configs_that_mean_another_graph() {
    let told = ["x/config.json`: field `model_type` is `t5`", "loads: bert, roberta, ", ", gemma3_text"];
    refuse("bert-mean-norm", config(json!({"model_type": "t5"})), &told);
    refuse("bert-mean-norm", config(json!({"model_type": null})), &["field `model_type` is `missing`"]);
    let told = ["x/config.json`: field `is_decoder` is true", "with false only"];
    refuse("bert-mean-norm", config(json!({"is_decoder": true})), &told);
    let yarn = json!({"rope_parameters": null, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}});
    let told = ["x/config.json`: rotary scaling `yarn`", "temper computes: default, linear, ntk"];
    refuse("qwen3-lasttoken-prompts-norm", config(yarn), &told);
    let told = ["x/config.json`: the width 32 is not a multiple of the 5 attention heads"];
    refuse("bert-mean-norm", config(json!({"num_attention_heads": 5})), &told);
    let told =
        ["`x`: the tokenizer has ", "but `vocab_size` in config.json is 10,", "hint: copy the tokenizer"];
    refuse("bert-mean-norm", config(json!({"vocab_size": 10})), &told);
    for text in ["[]", "7", "\"bert\""] {
        let write = |place: &Place| place.write("x/config.json", text);
        refuse("bert-mean-norm", write, &["x/config.json`: expected a JSON object"]);
    }
    let cut = |place: &Place| place.write("x/config.json", "{\"model_type\": ");
    refuse("bert-mean-norm", cut, &["x/config.json` is not the JSON that was expected"]);
}

#[test]
fn weights_that_do_not_fit() {
    const FILE: &str = "x/model.safetensors";
    let one_more = |place: &Place| {
        let mut tensors: Vec<_> = Weights::read(&place.path("x")).unwrap().rest().collect();
        let bias = tensors.iter_mut().find(|t| t.name.ends_with("layer.0.output.dense.bias")).unwrap();
        bias.shape[0] += 1;
        bias.values.push(0.0);
        place.write(FILE, serialize(&tensors, Precision::F32).unwrap());
    };
    let told = [FILE, "`encoder.layer.0.output.dense.bias` has shape [33] where config.json asks for [32]"];
    refuse("bert-mean-norm", one_more, &told);
    let integers = |place: &Place| {
        // Both types have four bytes, so that the header stays as long as it says.
        let mut bytes = fs::read(place.path(FILE)).unwrap();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let text = String::from_utf8(bytes[8..header].to_vec()).unwrap().replace("\"F32\"", "\"I32\"");
        bytes[8..header].copy_from_slice(text.as_bytes());
        place.write(FILE, bytes);
    };
    refuse(
        "bert-mean-norm",
        integers,
        &[FILE, "holds I32 numbers, but temper reads floats", "hint: take the"],
    );
    let cut = |place: &Place| {
        let bytes = fs::read(place.path(FILE)).unwrap();
        place.write(FILE, &bytes[..bytes.len() - 5]);
    };
    refuse("bert-mean-norm", cut, &[FILE, "not a whole safetensors file"]);
    let remove = |place: &Place| fs::remove_file(place.path(FILE)).unwrap();
    refuse("bert-mean-norm", remove, &["`x`: neither `model.safetensors` nor `pytorch_model.bin` here"]);
    let remove = |place: &Place| fs::remove_file(place.path("x/2_Dense/model.safetensors")).unwrap();
    refuse("bert-max-dense", remove, &["x/2_Dense`: neither `model.safetensors`"]);
}

#[test]
fn tokenizers_that_are_missing_or_of_another_kind() {
    let remove = |place: &Place| fs::remove_file(place.path("x/tokenizer.json")).unwrap();
    refuse("bert-mean-norm", remove, &["`x`: no `tokenizer.json` here", "hint: copy it from the model"]);
    let pieces = |class: &'static str| {
        move |place: &Place| {
            fs::remove_file(place.path("x/tokenizer.json")).unwrap();
            place.write("x/vocab.json", "{\"a\": 0}");
            place.write("x/merges.txt", "#version: 0.2\n");
            place.write("x/tokenizer_config.json", json!({"tokenizer_class": class}).to_string());
        }
    };
    refuse(
        "bert-mean-norm",
        pieces("Qwen2Tokenizer"),
        &["x/vocab.json`: temper does not build a `Qwen2Tok", "hint: save"],
    );
    refuse("bert-mean-norm", pieces("RobertaTokenizer"), &["x/vocab.json`: the vocabulary has no `</s>`"]);
}
