//! Every supported model against the reference's ids, hidden states and embeddings.

use std::path::Path;

use serde_json::Value;
use temper_encoder::{Contract, Encoder, PackedBatch, Pass, ReadOptions, parameters, read};
use temper_kernels::DeviceName;

use crate::golden::{self, Tensors, max_difference};

#[test]
fn golden_models() {
    let mut checked = 0;
    for entry in std::fs::read_dir(golden::folder().join("models")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let architecture = architecture(&folder);
        if golden::UNSUPPORTED_MODELS.contains(&architecture.as_str()) {
            golden::leave_out(&name, &architecture, golden::UNSUPPORTED_MODELS);
            continue;
        }
        check(&folder);
        checked += 1;
    }
    assert!(checked > 0, "no supported model in {}", golden::folder().display());
}

/// `model_type`, or the class of the first module where there is none.
fn architecture(folder: &Path) -> String {
    let json = |name: &str| -> Value {
        std::fs::read(folder.join(name)).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap())
    };
    let class = || json("modules.json")[0]["type"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
    json("config.json")["model_type"].as_str().map_or_else(class, str::to_owned)
}

/// Holds the model in `folder` against the numbers that lie there too.
pub fn check(folder: &Path) {
    let encoder = load(folder);
    let expected = Tensors::read(&folder.join("expected.safetensors"));
    // Python writes the static model's missing limit as no JSON has it.
    let inputs = std::fs::read_to_string(folder.join("inputs.json")).unwrap().replace(": Infinity", ": null");
    let inputs: Value = serde_json::from_str(&inputs).unwrap();
    let texts: Vec<String> = serde_json::from_value(inputs["texts"].clone()).unwrap();
    let name = folder.display();
    let tolerance = if encoder.contract.normalizes() { 1e-5 } else { 1e-4 };

    for key in expected.names() {
        if let Some(prompt) = key.strip_prefix("input_ids") {
            let prompt = encoder.contract.prompt(prompt.strip_prefix('.')).unwrap();
            assert_eq!(
                encoder.tokenizer().encode(&texts, prompt).unwrap(),
                ids(&expected, &key),
                "{name} {key}"
            );
        } else if let Some(which) = key.strip_prefix("embeddings") {
            let (shape, values) = expected.f32(&key);
            let found = embeddings(&encoder, &texts, which);
            assert_eq!(shape, [texts.len(), found.len() / texts.len()], "{name} {key}");
            let difference = max_difference(&found, &values);
            assert!(difference <= tolerance, "{name} {key}: differs by {difference}");
        }
    }
    if !encoder.contract.is_static() {
        hidden_states(&encoder, &texts, &expected, &name.to_string());
    }
    neighbours(&encoder, &texts, &name.to_string());
}

pub fn load(folder: &Path) -> Encoder {
    read(folder, &ReadOptions::default(), &golden::device()).unwrap().encoder
}

/// The rows of `key` without padding.
fn ids(expected: &Tensors, key: &str) -> Vec<Vec<u32>> {
    let (shape, ids) = expected.i64(key);
    let offsets = key.replace("input_ids", "offsets");
    if expected.names().contains(&offsets) {
        // A static model's, end to end.
        let mut starts: Vec<usize> = expected.i64(&offsets).1.iter().map(|start| *start as usize).collect();
        starts.push(ids.len());
        let sequence = |ends: &[usize]| ids[ends[0]..ends[1]].iter().map(|id| *id as u32).collect();
        return starts.windows(2).map(sequence).collect();
    }
    let (_, mask) = expected.i64(&key.replace("input_ids", "attention_mask"));
    let real = |(ids, mask): (&[i64], &[i64])| {
        ids.iter().zip(mask).filter(|(_, m)| **m == 1).map(|(id, _)| *id as u32).collect()
    };
    ids.chunks(shape[1]).zip(mask.chunks(shape[1])).map(real).collect()
}

/// What `embeddings<which>` of the golden file means.
fn embeddings(encoder: &Encoder, texts: &[String], which: &str) -> Vec<f32> {
    if let Some(rest) = which.strip_prefix(".truncate_dim_") {
        let dim = rest.trim_end_matches("_normalized").parse().unwrap();
        let contract = Contract { truncate_dim: Some(dim), ..encoder.contract.clone() };
        let cut = encoder.with_contract(contract).unwrap().embed(texts, None, &mut |_| ()).unwrap();
        return if rest.ends_with("_normalized") { cut.normalized().values } else { cut.values };
    }
    let prompt = encoder.contract.prompt(which.strip_prefix('.')).unwrap();
    encoder.embed(texts, prompt, &mut |_| ()).unwrap().values
}

/// Token vectors of the first texts.
fn hidden_states(encoder: &Encoder, texts: &[String], expected: &Tensors, name: &str) {
    let (shape, values) = expected.f32("last_hidden_state");
    let (_, mask) = expected.i64("last_hidden_state.attention_mask");
    let ids = encoder.tokenizer().encode(&texts[..shape[0]], None).unwrap();
    let packed = PackedBatch::new(ids.iter().map(Vec::as_slice));
    let found = parameters::values(encoder.network.hidden_states(&packed, &Pass::inference()));
    let real: Vec<f32> = values
        .chunks(shape[2])
        .zip(mask)
        .filter(|(_, m)| *m == 1)
        .flat_map(|(row, _)| row.to_vec())
        .collect();
    let difference = max_difference(&found, &real);
    assert!(difference <= 1e-4, "{name} last_hidden_state differs by {difference}");
}

/// A text's vector does not depend on the texts it is embedded with.
fn neighbours(encoder: &Encoder, texts: &[String], name: &str) {
    let together = encoder.embed(texts, None, &mut |_| ()).unwrap();
    for (i, text) in texts.iter().enumerate() {
        let alone = encoder.embed(&[text], None, &mut |_| ()).unwrap();
        let difference = max_difference(alone.row(0), together.row(i));
        let tolerance = if golden::device_name() == DeviceName::Cpu { 1e-6 } else { 1e-5 };
        assert!(difference <= tolerance, "{name}: text {i} differs by {difference} when embedded alone");
    }
}
