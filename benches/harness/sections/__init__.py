"""What is measured, one file each: `measure(bench)` gives a `Section`. The order is that of the report."""
from . import base, embed, int8, latency, long, mine, scratch, shapes, startup, tasks, threads, train

SECTIONS = {"train": train, "scratch": scratch, "embed": embed, "int8": int8, "latency": latency, "startup": startup,
            "base": base, "shapes": shapes, "long": long, "mine": mine, "tasks": tasks,
            "threads": threads}
