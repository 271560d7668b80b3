#!/usr/bin/env python3
"""A run's event files, as TensorBoard's own reader sees them.

usage: tensorboard_check.py LOGDIR [--require TAG ...]
"""

import argparse
import math
from pathlib import Path

from peers import Checks

# The names that the HF Trainer logs under.
ALWAYS = ["train/loss", "train/learning_rate", "train/grad_norm"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logdir", type=Path)
    parser.add_argument("--require", nargs="*", default=[])
    arguments = parser.parse_args()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    checks = Checks()
    files = sorted(arguments.logdir.rglob("*tfevents*"))
    checks.note("event files", bool(files), f"{len(files)} under {arguments.logdir}")
    seen = set()
    for folder in sorted({file.parent for file in files}):
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        events.Reload()
        for tag in sorted(events.Tags()["scalars"]):
            seen.add(tag)
            scalar(checks, tag, events.Scalars(tag))
    for tag in [*ALWAYS, *arguments.require]:
        checks.note(f"tag {tag} is there", tag in seen)
    checks.note("evaluations are there", any(tag.startswith("eval/") for tag in seen))
    checks.end()


def scalar(checks, tag, events):
    steps, values = [event.step for event in events], [event.value for event in events]
    once = all(before < after for before, after in zip(steps, steps[1:]))
    good = once and all(map(math.isfinite, values))
    checks.note(tag, good, f"{len(steps)} values, steps {steps[0]} to {steps[-1]}{'' if once else ' (not in order)'}, "
                f"last {values[-1]:.4g}")


if __name__ == "__main__":
    main()
