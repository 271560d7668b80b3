"""Kills temper at ten moments of a fine-tuning of real size, resumes, and compares the final bytes.

    cargo build --release
    python3 tests/interop/kill_minilm.py --model MODEL_FOLDER --data PAIRS.jsonl

Needs Python 3.9 or later and nothing else. MODEL_FOLDER is all-MiniLM-L6-v2 or any other BERT encoder; PAIRS.jsonl has
at least 320 pairs. Ten steps of 32 pairs with dropout, a checkpoint every second step, the last two kept. Every kill is
SIGKILL, and what lies on the disk afterwards proves where it fell; a kill that missed its moment is tried again.
"""

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = """
name = "kill"
[model]
base = {model}
max_seq_length = 128
dropout = 0.1
[data]
train = [{data}]
max_train_samples = 320
held_out = 0.0
[train]
num_train_epochs = 1
per_device_train_batch_size = 32
batch_sampler = "shuffle"
learning_rate = 2e-5
logging_steps = 1
eval_steps = 0
save_steps = 2
save_total_limit = 2
"""

FIRST, INSIDE, ROTATED, RANDOM = "before the first checkpoint", "inside the write", "after a rotation", "random"
PLAN = [
    (FIRST, 0),
    (INSIDE, 2),
    (INSIDE, 4),
    (INSIDE, 6),
    (INSIDE, 10),
    (ROTATED, 0),
    (RANDOM, 0),
    (RANDOM, 0),
    (RANDOM, 0),
    (RANDOM, 0),
]


class Run:
    """A run folder, looked at from outside."""

    def __init__(self, folder):
        self.folder = folder
        self.checkpoints = folder / "checkpoints"

    def names(self):
        return [p.name for p in self.checkpoints.iterdir()] if self.checkpoints.is_dir() else []

    def whole(self):
        return sorted(int(n.removeprefix("step-")) for n in self.names() if n.startswith("step-"))

    def half(self):
        """Steps whose checkpoint is being written, or removed."""
        return [int(n.split("-")[1].split(".")[0]) for n in self.names() if n.endswith(".partial")]

    def half_bytes(self, step):
        folder = self.checkpoints / f".step-{step:06d}.partial"
        return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())

    def events(self, kind):
        try:
            lines = (self.folder / "events.jsonl").read_text().split("\n")[:-1]
        except FileNotFoundError:
            return []
        return [e["step"] for e in map(json.loads, lines) if e["event"] == kind]

    def hashes(self, step=10):
        folder = self.checkpoints / f"step-{step:06d}"
        files = ["model/model.safetensors", "optimizer.safetensors"]
        return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files]


def reached(run, phase, step):
    """Whether the moment of `phase` is now; also true of what a kill at that moment leaves behind."""
    whole = run.whole()
    if phase == FIRST:
        return not whole and bool(run.events("step"))
    if phase == INSIDE:
        return step in run.half() and all(step > other for other in whole)
    if phase == ROTATED:
        return not run.half() and bool(whole) and min(whole) > 2 and 10 not in whole
    return bool(run.events("step")) and not run.events("finished")


class Test:
    def __init__(self, args, work):
        self.args, self.work = args, work
        self.config = work / "kill.toml"
        names = {"model": str(args.model.resolve()), "data": str(args.data.resolve())}
        self.config.write_text(CONFIG.format(**{k: json.dumps(v) for k, v in names.items()}))

    def command(self, threads, *rest):
        return [self.args.binary, "--threads", str(threads), "--quiet", "train", *map(str, rest)]

    def whole_run(self, name, threads, *rest):
        run = Run(self.work / name)
        started = time.time()
        subprocess.run(self.command(threads, self.config, "--run", run.folder, *rest), check=True, stdout=subprocess.DEVNULL)
        hashes, seconds = run.hashes(), time.time() - started
        shutil.rmtree(run.folder)
        return hashes, seconds

    def killed_run(self, name, phase, step, threads, seconds):
        """A run that was killed in `phase`."""
        for _ in range(20):
            run = Run(self.work / name)
            shutil.rmtree(run.folder, ignore_errors=True)
            process = subprocess.Popen(self.command(threads, self.config, "--run", run.folder), stdout=subprocess.DEVNULL)
            while process.poll() is None and not reached(run, phase, step):
                time.sleep(0.001)
            longest = {INSIDE: 0.5, RANDOM: seconds * 0.8}.get(phase, 0.0)
            time.sleep(random.uniform(0, longest))
            process.kill()
            process.wait()
            if reached(run, phase, step):
                return run
        sys.exit(f"no kill fell {phase} (step {step}) in 20 tries")


def describe(run):
    whole = run.whole()
    text = f"last step seen {max(run.events('step'), default=0)}, whole checkpoints {whole}"
    for step in run.half():
        what = "removal" if any(step < s for s in whole) else "write"
        text += f", inside the {what} of {step} ({run.half_bytes(step) / 1e6:.1f} MB there)"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/temper")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    args = parser.parse_args()
    args.binary = str(Path(args.binary).resolve())
    random.seed(args.seed)
    work = Path(tempfile.mkdtemp(prefix="temper-kill-"))
    try:
        test = Test(args, work)
        reference, seconds = test.whole_run("reference", 2)
        print(f"uninterrupted, 2 threads: {seconds:.1f} s\n  model {reference[0]}\n  optimizer {reference[1]}", flush=True)
        wrong = 0
        for name, threads, rest in [("1 thread", 1, []), ("save_steps 3", 2, ["--set", "train.save_steps=3"])]:
            same = test.whole_run("other", threads, *rest)[0] == reference
            wrong += not same
            print(f"uninterrupted, {name}: {'same bytes' if same else 'OTHER BYTES'}", flush=True)
        for number, (phase, step) in enumerate(PLAN, 1):
            before = 1 + number % 2
            after = before if number <= 5 else 3 - before
            run = test.killed_run("killed", phase, step, before, seconds)
            found = describe(run)
            subprocess.run(test.command(after, "--resume", run.folder), check=True, stdout=subprocess.DEVNULL)
            steps = run.events("step")
            same = run.hashes() == reference and steps == list(range(1, 11))
            wrong += not same
            result = "same bytes" if same else f"OTHER BYTES OR STEPS {steps}"
            print(f"kill {number:2} {phase}: {found}; threads {before} then {after}: {result}", flush=True)
        print(f"{len(PLAN)} kills, {wrong} differences")
        sys.exit(wrong > 0)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
