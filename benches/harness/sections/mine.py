"""Mining hard negatives for pairs: every anchor against all positives, with the same limits."""
import json

from ..findings import Section
from ..rounds import Rounds

LENGTH = 256
NEGATIVES = 3
MARGIN = 0.05


def measure(bench):
    pairs = bench.file("pairs_train", "mined")
    section = Section("Mining hard negatives",
                      f"{NEGATIVES} negatives of every anchor, of which none may score above {1 - MARGIN:.0%} of the "
                      "positive. Times are those of the whole process, without what it takes to import.")
    out = bench.scratch / "mined.jsonl"
    rounds = Rounds({
        "temper": lambda _: bench.temper.mine(bench.model, pairs, out, NEGATIVES, MARGIN, LENGTH),
        "sentence-transformers": lambda _: bench.peers.run(
            "mine_torch", bench.model, pairs, out.with_suffix(".peer"), NEGATIVES, MARGIN, LENGTH),
    }, 1)
    section.table(rounds, "seconds", "peak MB", "rejected %")
    for what in ("seconds", "peak MB"):
        section.ratio(rounds, what, "temper", "sentence-transformers")
    section.median(rounds, "peak MB", "temper")
    section.quality("lines that both have, of temper's", agreement(out, out.with_suffix(".peer")))
    return section


def agreement(one, other):
    def read(path):
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        return {(row["anchor"], row["positive"], row["negative"]) for row in rows}

    ours, theirs = read(one), read(other)
    return len(ours & theirs) / max(len(ours), 1)
