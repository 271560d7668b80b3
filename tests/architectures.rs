//! Every architecture, on its golden model: gradients, fine-tuning, resuming and exporting.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use temper_encoder::parameters::{Place as At, values};
use temper_encoder::{Contract, Network, PackedBatch, Pass, ReadOptions, read};

use crate::golden;
use crate::place::{Place, model};

/// A golden model of each architecture, and of each variant that takes another way through one.
const MODELS: [&str; 13] = [
    "bert-mean-norm",
    "distilbert-mean-dense-norm",
    "eurobert-mean",
    "gemma3-causal-lasttoken",
    "gemma3-mean-dense-norm",
    "gte-cls-norm",
    "jina-mean-norm",
    "modernbert-cls-norm",
    "mpnet-mean-norm",
    "nomic-mean-norm",
    "qwen3-lasttoken-prompts-norm",
    "static-mean",
    "xlm-roberta-mean-prompts-norm",
];

/// The fused ops and their hand-written gradients against plain Burn in double precision.
#[test]
fn gradients_are_those_of_plain_burn() {
    for name in MODELS {
        let folder = golden::folder().join("models").join(name);
        let device = Device::flex().autodiff();
        let encoder = read(&folder, &ReadOptions::default(), &device).unwrap().encoder;
        let texts =
            ["how do I true a wheel", "spokes", "brakes squeal when it rains, what now? I changed the pads"];
        let ids = encoder.tokenizer().encode(&texts, None).unwrap();
        let batch = PackedBatch::new(ids.iter().map(Vec::as_slice));
        let network = encoder.network.clone().train();
        let fused = gradients(&network, &encoder.contract, &batch);
        let plain = gradients(&network.map(&mut Double), &encoder.contract, &batch);
        assert_eq!(fused.keys().collect::<Vec<_>>(), plain.keys().collect::<Vec<_>>(), "{name}");
        for (parameter, expected) in &plain {
            let largest = expected.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
            let difference = golden::max_difference(&fused[parameter], expected);
            // A shift of every key moves no softmax: that gradient is rounding alone.
            let tolerance = (1e-4 * largest).max(2e-6);
            assert!(difference <= tolerance, "{name} {parameter}: differs by {difference} of {largest}");
        }
    }
}

/// The gradient of every parameter that has one.
fn gradients(network: &Network, contract: &Contract, batch: &PackedBatch) -> BTreeMap<String, Vec<f32>> {
    let output = network.forward(contract, batch, &Pass::inference());
    let count: usize = output.dims().iter().product();
    let weights: Vec<f32> = (0..count).map(|i| ((i * 37) % 19) as f32 / 9.0 - 1.0).collect();
    let weights =
        Tensor::from_data(TensorData::new(weights, output.dims()), (&output.device(), output.dtype()));
    let mut taker =
        Taker { at: At::default(), gradients: (output * weights).sum().backward(), found: BTreeMap::new() };
    network.visit(&mut taker);
    taker.found
}

struct Taker {
    at: At,
    gradients: Gradients,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Taker {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.at.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.at.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(&mut self.gradients) {
            self.found.insert(self.at.name(), values(gradient.cast(DType::F32)));
        }
    }
}

/// The fused ops are f32 only: other parameters take the plain path.
struct Double;

impl ModuleMapper for Double {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| Tensor::from_inner(tensor.inner().cast(DType::F64)).require_grad())
    }
}

/// The last step of the run below.
const STEPS: usize = 24;

const CONFIG: &str = r#"
[data]
train = ["pairs.jsonl"]
max_eval_samples = 4
[train]
num_train_epochs = 4
per_device_train_batch_size = 8
learning_rate = 1e-3
logging_steps = 1
eval_steps = 0
save_steps = 3
save_total_limit = 2
"#;

#[test]
fn every_architecture_fine_tunes_resumes_and_exports() {
    let data = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/data/train.jsonl")).unwrap();
    let pairs: String = data.split_inclusive('\n').take(52).collect();
    for name in MODELS {
        let place = Place::new();
        place.write("pairs.jsonl", &pairs);
        place.write("c.toml", format!("[model]\nbase = {:?}\n{CONFIG}", model(name)));
        place.ok(&["train", "c.toml", "--run", "whole"]);
        let losses = losses(&place.path("whole"));
        assert_eq!(losses.len(), STEPS, "{name}");
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        assert!(mean(&losses[STEPS - 6..]) < mean(&losses[..6]), "{name}: {losses:?}");

        killed_in_the_middle(&place);
        place.ok(&["train", "--resume", "half"]);
        for file in ["model/model.safetensors", "optimizer.safetensors"] {
            let hash = |run| blake3::hash(&fs::read(checkpoint(&place, run, STEPS).join(file)).unwrap());
            assert_eq!(hash("whole"), hash("half"), "{name} {file}");
        }

        place.ok(&["export", "whole@last", "out"]);
        let embed = |from: &str| place.ok(&["embed", from, "pairs.jsonl", "--field", "anchor"]);
        assert_eq!(embed("whole@last"), embed("out"), "{name}");
    }
}

fn checkpoint(place: &Place, run: &str, step: usize) -> PathBuf {
    place.path(run).join(format!("checkpoints/step-{step:06}"))
}

fn losses(run: &Path) -> Vec<f64> {
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.filter(|event| event["event"] == "step").map(|event| event["loss"].as_f64().unwrap()).collect()
}

/// The run `half`, killed between its first checkpoint and its last.
fn killed_in_the_middle(place: &Place) {
    for _ in 0..100 {
        let _ = fs::remove_dir_all(place.path("half"));
        let mut command = place.command(&["train", "c.toml", "--run", "half"]);
        let mut child =
            command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        while !checkpoint(place, "half", 3).is_dir() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(300));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if !checkpoint(place, "half", STEPS).is_dir() {
            return;
        }
    }
    panic!("no kill fell into the run in 100 tries");
}
