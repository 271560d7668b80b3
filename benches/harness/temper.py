"""temper's commands, each a process of its own; embedding is timed as a whole one, training by its loop."""
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .options import ROOT
from .process import NotMeasured, measure


@dataclass(frozen=True)
class Temper:
    binary: str
    threads: int
    environment: dict
    latency_binary: str | None = None

    def run(self, *arguments, threads=None):
        return self.tell("--quiet", *arguments, threads=threads)

    def tell(self, *arguments, threads=None):
        """Runs with what temper has to say on the way."""
        return measure([self.binary, "--threads", threads or self.threads, *arguments], self.environment)

    def embed(self, model, texts, out, precision="f32", length=256, threads=None):
        return numbers(self.run("embed", model, texts, "--field", "text", "-o", out, "--max-seq-length", length,
                                *precision_flags(precision), threads=threads))

    def clean(self, rows, out):
        """Leaves out what the doctor finds in the texts alone."""
        return numbers(self.run("data", "doctor", rows, "--cleaned", out))

    def mine(self, model, pairs, out, negatives, margin, length, *more):
        measured = self.tell("mine", pairs, "--model", model, "--no-cache", "-n", negatives, "--relative-margin", margin,
                             "--max-seq-length", length, "-o", out, *more)
        rejected = re.search(r"rejected \(([\d.]+) %\): within the relative margin", measured.errors)
        return numbers(measured) | {"rejected %": float(rejected[1]) if rejected else 0.0}

    def train(self, model, pairs, run, recipe, threads=None, changes=None):
        settings = {
            "model.base": model, "model.max_seq_length": recipe.length, "data.train": [str(pairs)], "data.held_out": 0,
            "loss.name": "multiple_negatives_ranking", "loss.scale": recipe.scale, "seed": recipe.seed,
            "train.per_device_train_batch_size": recipe.batch, "train.learning_rate": recipe.rate,
            "train.warmup_ratio": recipe.warmup, "train.weight_decay": 0.0, "train.batch_sampler": "shuffle",
            # Nobody saves a checkpoint within the time.
            "train.eval_steps": 0,
        } | (changes or {})
        config = Path(f"{run}.toml")
        config.write_text("[model]\n[data]\ntrain = []\n", encoding="utf-8")
        shutil.rmtree(run, ignore_errors=True)
        overrides = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
        measured = numbers(self.run("train", config, "--run", run, *overrides, threads=threads))
        return measured | {"seconds": loop_seconds(Path(run))}

    def scores(self, model, pairs, length, precision="f32"):
        """The judge of everyone's export."""
        found = self.judge(model, pairs, length, precision)
        return {"accuracy@1": found["cosine_accuracy@1"], "nDCG@10": found["cosine_ndcg@10"]}

    def judge(self, model, data, length, precision="f32"):
        """Every score of the data's task; the dev part of a BEIR folder."""
        split = ["--split", "dev"] if Path(data).is_dir() else []
        measured = self.run("eval", model, data, *split, "--max-seq-length", length, "--json",
                            *precision_flags(precision))
        return json.loads(measured.output)["scores"]

    def startup(self, model, text, precision="f32"):
        measured = self.run("embed", model, "--text", text, *precision_flags(precision))
        return numbers(measured) | {"seconds": measured.first_line_seconds}

    def latency(self, binary, model, queries, precision="f32"):
        measured = measure([binary, model, queries, *precision_flags(precision), "--threads", self.threads],
                           self.environment)
        found = json.loads(measured.output.splitlines()[-1])
        return numbers(measured) | {f"{what} ms": found[f"{what}_ms"] for what in ("p50", "p90", "p99", "mean")}

    def build_latency(self):
        """The bench that asks one query after the other in one process."""
        if self.latency_binary:
            return self.latency_binary
        command = ["cargo", "bench", "--locked", "--bench", "latency", "--no-run", "--message-format", "json"]
        built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if built.returncode != 0:
            raise NotMeasured("temper's bench `latency` cannot be built: " + built.stderr.strip().partition("\n")[0])
        messages = map(json.loads, built.stdout.splitlines())
        return next(message["executable"] for message in messages
                    if message.get("executable") and message["target"]["name"] == "latency")

    def need_int8(self):
        if "--precision" not in self.run("help", "embed").output:
            raise NotMeasured("this temper has no `embed --precision int8`")


def precision_flags(precision):
    # f32 is the default, and older binaries have no flag for it.
    return [] if precision == "f32" else ["--precision", precision]


def loop_seconds(run):
    """From the first batch to the last optimizer step, as the peers' loops are timed."""
    events = map(json.loads, (run / "events.jsonl").read_text(encoding="utf-8").splitlines())
    return [event["elapsed_seconds"] for event in events if event["event"] == "step"][-1]


def numbers(measured):
    return {"seconds": measured.seconds, "peak MB": measured.peak_mb, "others": measured.others_cores,
            "process seconds": measured.seconds}
