#!/usr/bin/env python3
"""What temper logs, as TensorBoard's own readers see it.

usage: tensorboard_check.py TEMPER       trains small runs (to the end, interrupted, killed, on a full disk, killed there), reads each back
       tensorboard_check.py LOGDIR       reads back what is there
"""

import argparse
import json
import math
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from peers import ROOT, Checks

# The names that the HF Trainer logs under.
ALWAYS = ["train/loss", "train/learning_rate", "train/grad_norm"]
METRIC = "cosine_ndcg@10"
CONFIG = """
name = "small"
[model.fresh]
vocab_size = 500
hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 2
intermediate_size = 64
max_seq_length = 32
[data]
train = [{data}]
max_train_samples = 330
[train]
num_train_epochs = 2
per_device_train_batch_size = 8
learning_rate = 1e-3
logging_steps = 1
eval_steps = 10
save_steps = 5
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", type=Path, metavar="TEMPER|LOGDIR")
    arguments = parser.parse_args()
    checks = Checks()
    if arguments.what.is_dir():
        for folder in sorted({file.parent for file in arguments.what.rglob("*tfevents*")}):
            read_back(checks, str(folder), folder)
        checks.end()
    with tempfile.TemporaryDirectory() as scratch:
        Scenes(checks, arguments.what.resolve(), Path(scratch)).play()
    checks.end()


class Scenes:
    """Small runs under `scratch/runs`, each ended in another way."""

    def __init__(self, checks, binary, scratch):
        self.checks, self.binary, self.scratch, self.runs = checks, binary, scratch, scratch / "runs"
        data = json.dumps(str(ROOT / "data/train.jsonl"))
        (scratch / "small.toml").write_text(CONFIG.format(data=data))

    def play(self):
        ends = [("ended", 1e-3), ("resumed", 2e-3), ("killed", 3e-3), ("full", 4e-3), ("full_killed", 5e-3)]
        for name, learning_rate in ends:
            run = self.runs / name
            getattr(self, name)(run, ["small.toml", "--run", str(run), "--set", f"train.learning_rate={learning_rate}"])
        table(self.checks, self.runs, dict(ends))

    def ended(self, run, start):
        self.train(start)
        self.whole(run)

    def resumed(self, run, start):
        self.stopped(run, start, signal.SIGINT)
        self.train(["--resume", str(run)])
        self.whole(run)

    def killed(self, run, start):
        self.stopped(run, start, signal.SIGKILL)
        read_back(self.checks, "as the kill left it", run / "tensorboard", run)
        self.train(["--resume", str(run)])
        self.whole(run)

    def full(self, run, start):
        """The TensorBoard log alone lies on a disk of 16 kB; so does what is written of it after a resume."""
        self.stopped(run, start, signal.SIGINT)
        with self.small_disk(run):
            said = self.train(["--resume", str(run)])
        told = said.count("the TensorBoard log has gaps from here on")
        self.checks.note("full disk: told once", told == 1, next((line for line in said.splitlines() if "gaps" in line), ""))
        ends = [event["outcome"] for event in events_of(run, "finished")]
        self.checks.note("full disk: the run goes on", ends == ["completed"], f"{ends}")
        read_back(self.checks, "full disk", run / "tensorboard", run)

    def full_killed(self, run, start):
        """Killed while the disk is full, and resumed when it no longer is."""
        self.stopped(run, start, signal.SIGINT)
        with self.small_disk(run, "8k"):
            self.stopped(run, ["--resume", str(run)], signal.SIGKILL, 60)
        told = [event for event in events_of(run, "warned") if "the TensorBoard log has gaps" in event["message"]]
        self.checks.note("full and killed: the disk was full", len(told) == 1, f"from step {told[0]['step']}" if told else "")
        read_back(self.checks, "full and killed, as left", run / "tensorboard", run)
        self.train(["--resume", str(run)])
        shown = read_back(self.checks, "full and killed, resumed", run / "tensorboard", run)
        last = [event.step for event in shown.Scalars("train/loss")][-1]
        self.checks.note("full and killed: logged to the end", last == events_of(run, "step")[-1]["step"], f"step {last}")

    @contextmanager
    def small_disk(self, run, size="16k"):
        """A disk of this size in place of the folder of the TensorBoard log; what was written to it stays."""
        (run / "tensorboard").rename(run / "before")
        (run / "tensorboard").mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", run / "tensorboard"]
        mounted = subprocess.run(mount, capture_output=True, text=True)
        if mounted.returncode != 0:
            raise SystemExit(f"cannot mount a small disk: {mounted.stderr.strip()}")
        try:
            yield
            for file in (run / "tensorboard").iterdir():
                (run / "before" / file.name).write_bytes(file.read_bytes())
        finally:
            subprocess.run(["umount", run / "tensorboard"], check=True)
        (run / "tensorboard").rmdir()
        (run / "before").rename(run / "tensorboard")

    def train(self, arguments):
        done = subprocess.run([self.binary, "train", *arguments], cwd=self.scratch, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"exit {done.returncode}: {arguments}\n{done.stderr}")
        return done.stderr

    def stopped(self, run, start, number, step=23):
        """A run that got the signal between two steps, at `step` or later, behind its first checkpoint."""
        process = subprocess.Popen([self.binary, "train", *start], cwd=self.scratch,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and max((event["step"] for event in events_of(run, "step")), default=0) < step:
            time.sleep(0.002)
        process.send_signal(number)
        self.checks.note(f"{run.name}: stopped half way", process.wait() != 0 and not (
            number == signal.SIGKILL and events_of(run, "finished")), f"exit {process.returncode}")

    def whole(self, run):
        """Everything that the run's own log tells is in TensorBoard, once."""
        shown = read_back(self.checks, run.name, run / "tensorboard", run)
        for kind, tag, value in [("step", "train/loss", lambda event: event["loss"]),
                                 ("evaluated", f"eval/{METRIC}", lambda event: event["scores"][METRIC])]:
            told = [(event["step"], value(event)) for event in events_of(run, kind)]
            same = [step for step, _ in told] == [event.step for event in shown.Scalars(tag)] and all(
                math.isclose(a, b.value, rel_tol=1e-6) for (_, a), b in zip(told, shown.Scalars(tag)))
            self.checks.note(f"{run.name}: {tag} is that of events.jsonl", same, f"{len(told)} values")
        steps = [event["step"] for event in events_of(run, "similarities")]
        for side in ["positive", "hardest_negative"]:
            found = [event.step for event in shown.Histograms(f"similarity/{side}")]
            self.checks.note(f"{run.name}: similarity/{side} of each evaluation", found == steps, f"steps {found}")


def events_of(run, kind):
    try:
        lines = (run / "events.jsonl").read_text().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def read_back(checks, name, folder, run=None):
    """Scalars, histograms and texts of one run as its EventAccumulator gives them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util
    shown = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "tensors": 0})
    shown.Reload()
    tags = shown.Tags()
    for tag in sorted(tags["scalars"]):
        scalar(checks, f"{name}: {tag}", shown.Scalars(tag))
    for tag in sorted(tags["histograms"]):
        histogram(checks, f"{name}: {tag}", shown.Histograms(tag))
    texts = {tag: tensor_util.make_ndarray(shown.Tensors(tag)[-1].tensor_proto)[0].decode()
             for tag in tags["tensors"] if shown.SummaryMetadata(tag).plugin_data.plugin_name == "text"}
    for tag, file in [("config", "config.toml"), ("manifest", "manifest.json")]:
        text = texts.get(tag, "")
        good = text.startswith("```") and (run is None or (run / file).read_text().strip() in text)
        checks.note(f"{name}: text {tag}", good, f"{len(text)} characters")
    missing = [tag for tag in ALWAYS if tag not in tags["scalars"]]
    checks.note(f"{name}: the HF Trainer's tags", not missing and any(t.startswith("eval/") for t in tags["scalars"]),
                f"missing: {missing}" if missing else f"{len(tags['scalars'])} tags")
    return shown


def scalar(checks, name, events):
    steps, values = [event.step for event in events], [event.value for event in events]
    once = all(before < after for before, after in zip(steps, steps[1:]))
    good = once and all(map(math.isfinite, values))
    checks.note(name, good, f"{len(steps)} values, steps {steps[0]} to {steps[-1]}{'' if once else ' (not in order)'}, "
                f"last {values[-1]:.4g}")


def histogram(checks, name, events):
    last = events[-1].histogram_value
    good = all(sum(v.bucket) == v.num and len(v.bucket) == len(v.bucket_limit) and v.bucket_limit == sorted(v.bucket_limit)
               and v.min * v.num <= v.sum <= v.max * v.num for v in (event.histogram_value for event in events))
    checks.note(name, good, f"{len(events)} histograms, last of {last.num:.0f} values in {last.min:.2f} to {last.max:.2f}, "
                f"mean {last.sum / last.num:.3f}")


def table(checks, runs, learning_rates):
    """The HPARAMS page over all runs, as the server makes it."""
    from tensorboard import context
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.backend_context import Context
    from tensorboard.plugins.hparams.list_session_groups import Handler
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(runs))
    multiplexer.Reload()
    backend = Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(runs)), logdir=str(runs)))
    ctx = context.RequestContext()
    experiment = backend.experiment_from_metadata(ctx, "", True, backend.hparams_metadata(ctx, ""), None)
    columns = {column.name for column in experiment.hparam_infos}
    differ = [column.name for column in experiment.hparam_infos if column.differs]
    checks.note("HPARAMS: every key of the config", {"seed", "train.learning_rate", "data.train"} <= columns, f"{len(columns)}")
    checks.note("HPARAMS: only the learning rate differs", differ == ["train.learning_rate"], f"{differ}")
    statuses = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]
    request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=100, allowed_statuses=statuses)
    groups = Handler(ctx, backend, "", request).run().session_groups
    rows = {Path(group.name).parts[0]: group for group in groups}
    checks.note("HPARAMS: a row for each run", set(rows) == set(learning_rates), f"{sorted(rows)}")
    for name, learning_rate in learning_rates.items():
        row = rows[name]
        scores = {value.name.tag: value.value for value in row.metric_values}
        evaluated = events_of(runs / name, "evaluated")
        best = [event for event in evaluated if event["best"]][-1]["scores"][METRIC]
        last = evaluated[-1]["scores"][METRIC]
        # What a full disk kept away from TensorBoard cannot be in its table.
        same = name.startswith("full") or all(math.isclose(scores[tag], value, rel_tol=1e-6)
                                     for tag, value in [(f"best/{METRIC}", best), (f"eval/{METRIC}", last)])
        done = row.sessions[0].status == (api_pb2.STATUS_UNKNOWN if name == "full" else api_pb2.STATUS_SUCCESS)
        checks.note(f"HPARAMS: {name}", same and done and row.hparams["train.learning_rate"].number_value == learning_rate,
                    f"learning rate {row.hparams['train.learning_rate'].number_value}, best {METRIC} "
                    f"{scores.get(f'best/{METRIC}', math.nan):.4f}, last {scores.get(f'eval/{METRIC}', math.nan):.4f}, "
                    f"{api_pb2.Status.Name(row.sessions[0].status)}")


if __name__ == "__main__":
    main()
