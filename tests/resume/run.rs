//! Small runs of the binary, and what they leave on the disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;

use temper_kernels::DeviceName;

use crate::golden::{self, Tensors};

/// Optimizer steps of the small run.
pub const STEPS: u64 = 42;

/// A tiny encoder with dropout: 162 pairs, batch 8, 2 epochs, evaluations at 10, 20, 30, 40 and 42.
const CONFIG: &str = r#"
name = "small"
[model.fresh]
vocab_size = 500
hidden_size = 16
num_hidden_layers = 2
num_attention_heads = 2
intermediate_size = 32
max_seq_length = 32
dropout = 0.1
[data]
train = ["train.jsonl"]
max_train_samples = 180
[train]
num_train_epochs = 2
per_device_train_batch_size = 8
learning_rate = 1e-3
logging_steps = 1
eval_steps = 10
save_steps = 3
save_total_limit = 2
"#;

/// The weights and the optimizer's moments of a checkpoint.
pub struct Bytes {
    model: Vec<u8>,
    optimizer: Vec<u8>,
}

/// The same bytes on the CPU; other devices add in no fixed order, so there it is numbers close to each other.
impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        if golden::device_name() == DeviceName::Cpu {
            return (&self.model, &self.optimizer) == (&other.model, &other.optimizer);
        }
        [(&self.model, &other.model), (&self.optimizer, &other.optimizer)]
            .into_iter()
            .all(|(a, b)| close(a, b))
    }
}

fn close(a: &[u8], b: &[u8]) -> bool {
    let [a, b] = [a, b].map(Tensors::of);
    let sorted = |tensors: &Tensors| tensors.names().into_iter().collect::<BTreeSet<_>>();
    sorted(&a) == sorted(&b)
        && a.names()
            .iter()
            .filter(|name| !name.starts_with("mined#"))
            .all(|name| golden::max_difference(&a.f32(name).1, &b.f32(name).1) <= 1e-4)
}

// Half a megabyte is nothing to print when two of these differ.
impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "model {} optimizer {}", blake3::hash(&self.model), blake3::hash(&self.optimizer))
    }
}

/// What the uninterrupted run ends with.
pub static REFERENCE: LazyLock<Bytes> =
    LazyLock::new(|| Place::new().finished("reference", &[]).bytes(STEPS));

/// A folder with the config and the data, where the binary runs.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/train.jsonl");
        std::fs::copy(data, place.path("train.jsonl")).unwrap();
        let config = format!("device = \"{}\"\n{CONFIG}", golden::device_name());
        std::fs::write(place.path("small.toml"), config).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn run(&self, name: &str) -> Run {
        Run(self.path(name))
    }

    /// Any command of the binary, run to its end.
    pub fn temper(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_temper"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap()
    }

    /// `temper train` with these arguments, not started yet.
    pub fn train(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_temper"));
        command.arg("train").args(args).current_dir(self.0.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// The same in a shell with `ulimit -f`, which counts 512 bytes.
    pub fn train_with_file_limit(&self, blocks: u64, args: &[&str]) -> Output {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit -f {blocks}; exec \"$0\" train \"$@\""));
        shell.arg(env!("CARGO_BIN_EXE_temper")).args(args).current_dir(self.0.path());
        shell.stdin(Stdio::null()).output().unwrap()
    }

    /// Starts the small run as `name`.
    pub fn start(&self, name: &str, args: &[&str]) -> Child {
        self.train(&[&["small.toml", "--run", name], args].concat()).spawn().unwrap()
    }

    /// The small run, from beginning to end.
    pub fn finished(&self, name: &str, args: &[&str]) -> Run {
        self.succeed(&[&["small.toml", "--run", name], args].concat());
        self.run(name)
    }

    /// Resumes until the end.
    pub fn resumed(&self, name: &str, args: &[&str]) -> Run {
        self.succeed(&[&["--resume", name], args].concat());
        self.run(name)
    }

    fn succeed(&self, args: &[&str]) {
        let output = self.train(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", message(&output));
    }

    /// What is said to bad input.
    pub fn refused(&self, args: &[&str]) -> String {
        let output = self.train(args).output().unwrap();
        let message = message(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        message
    }
}

/// What the binary printed for people.
pub fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Between two looks at a run.
pub fn pause() {
    std::thread::sleep(std::time::Duration::from_micros(300));
}

/// Sends a signal by its name.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", child.id())).status().unwrap();
    assert!(sent.success());
}

/// A run's folder, looked at from outside.
pub struct Run(pub PathBuf);

impl Run {
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.0.join(format!("checkpoints/step-{step:06}"))
    }

    pub fn bytes(&self, step: u64) -> Bytes {
        let read = |name| std::fs::read(self.checkpoint(step).join(name)).unwrap();
        Bytes { model: read("model/model.safetensors"), optimizer: read("optimizer.safetensors") }
    }

    /// The steps of the whole checkpoints, ascending.
    pub fn whole(&self) -> Vec<u64> {
        self.checkpoints("step-", "")
    }

    /// The steps of checkpoints that are being written or removed.
    pub fn half(&self) -> Vec<u64> {
        self.checkpoints(".step-", ".partial")
    }

    fn checkpoints(&self, before: &str, after: &str) -> Vec<u64> {
        let entries = std::fs::read_dir(self.0.join("checkpoints")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let step = |name: String| name.strip_prefix(before)?.strip_suffix(after)?.parse().ok();
        let mut steps: Vec<u64> = names.filter_map(step).collect();
        steps.sort_unstable();
        steps
    }

    /// The steps of the events of this kind, in the order of the file; a line that is still being written is none.
    pub fn events(&self, kind: &str) -> Vec<u64> {
        let text = std::fs::read(self.0.join("events.jsonl")).unwrap_or_default();
        let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        let events = lines.map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap());
        events.filter(|event| event["event"] == kind).map(|event| event["step"].as_u64().unwrap()).collect()
    }

    /// The sum that the last step of the log tells.
    pub fn examples(&self) -> u64 {
        let text = std::fs::read_to_string(self.0.join("events.jsonl")).unwrap();
        let last = text.lines().rfind(|line| line.contains(r#""event":"step""#)).unwrap();
        serde_json::from_str::<serde_json::Value>(last).unwrap()["examples"].as_u64().unwrap()
    }

    /// Asserts that the run ended as the uninterrupted one does, and that its log shows everything once.
    pub fn assert_as_if_nothing_had_happened(&self, what: &str) {
        assert_eq!(self.bytes(STEPS), *REFERENCE, "{what}");
        assert_eq!(self.events("step"), (1..=STEPS).collect::<Vec<_>>(), "{what}");
        assert_eq!(self.events("evaluated"), [0, 10, 20, 30, 40, 42], "{what}");
        assert_eq!(self.events("finished"), [STEPS], "{what}");
        assert_eq!(self.examples(), 2 * 162, "{what}");
        assert_eq!(self.half(), Vec::<u64>::new(), "{what}");
    }
}
