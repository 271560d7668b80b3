//! Models whose weights are what `torch.save` wrote.
#![allow(clippy::unwrap_used)]

use serde_json::Value;

use crate::place::{Place, model, torch_file};

/// A copy of a golden model whose weights in this folder are `torch` instead of safetensors.
fn with_torch(place: &Place, name: &str, folder: &str, torch: &str) {
    place.copy_model(name, "torch");
    std::fs::remove_file(place.path(&format!("torch/{folder}model.safetensors"))).unwrap();
    place.write(&format!("torch/{folder}pytorch_model.bin"), torch_file(torch));
}

#[test]
fn a_model_is_the_same_from_torch_as_from_safetensors() {
    for (name, folder, torch) in
        [("bert-mean-norm", "", "bert-mean-norm"), ("bert-max-dense", "2_Dense/", "bert-max-dense-2_Dense")]
    {
        let place = Place::new();
        with_torch(&place, name, folder, torch);
        place.write("texts.txt", "a cat sits\nthe dog runs far away from here\n\nrain in the morning\n");
        let expected = place.ok(&["embed", &model(name), "texts.txt"]);
        assert_eq!(place.ok(&["embed", "torch", "texts.txt"]), expected, "{name}");
        place.ok(&["export", "torch", "exported"]);
        assert_eq!(place.ok(&["embed", "exported", "texts.txt"]), expected, "{name}");
        let info: Value = serde_json::from_str(&place.ok(&["info", "torch", "--json"])).unwrap();
        assert!(info["weight_bytes"].as_u64().unwrap() > 160_000, "{info}");
    }
}

#[test]
fn a_pickle_that_would_run_a_command_is_refused_and_runs_nothing() {
    let place = Place::new();
    with_torch(&place, "bert-mean-norm", "", "executes");
    let refused = place.refused(&["embed", "torch", "--text", "rain"]);
    assert!(refused.contains("pytorch_model.bin`: asks to run `posix.system`"), "{refused}");
    assert!(refused.contains("hint: temper executes nothing from a model file"), "{refused}");
    assert!(!place.path("executed").exists(), "the command of the pickle ran");

    place.write("torch/pytorch_model.bin", torch_file("legacy"));
    let refused = place.refused(&["embed", "torch", "--text", "rain"]);
    assert!(refused.contains("torch before 1.6") && refused.contains("hint: save it once"), "{refused}");
}
