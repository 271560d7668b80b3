"""The memory that one long text takes: with ModernBERT's shape, at ever more tokens."""
import json

from ..findings import Section
from ..rounds import Rounds

LENGTHS = (1024, 2048, 4096, 8192)
SHORT = 16


def measure(bench):
    model, text = bench.random_encoder("ModernBERT-base"), one_text(bench)
    section = Section("One long text",
                      "ModernBERT-base shape, random weights: one text, cut at so many tokens. Memory is that of the "
                      f"process; MB a token are those beyond what {SHORT} tokens take.")
    rounds = Rounds({
        name(who, length): contender(bench, who, model, text, length)
        for length in (SHORT, *LENGTHS) for who in ("temper", "sentence-transformers")
    }, 1)
    section.table(rounds, "seconds", "peak MB")

    def each(who, length):
        beyond = rounds.median(name(who, length), "peak MB") - rounds.median(name(who, SHORT), "peak MB")
        return beyond / length

    for who in ("temper", "sentence-transformers"):
        section.quality(f"MB a token at {LENGTHS[-1]}, {who}", each(who, LENGTHS[-1]))
    return section


def name(who, length):
    return f"{who}, {length} tokens"


def one_text(bench):
    """All texts as one, which has more tokens than any model takes."""
    rows = bench.file("texts", "texts").read_text(encoding="utf-8").splitlines()
    path = bench.scratch / "one-text.jsonl"
    path.write_text(json.dumps({"text": " ".join(json.loads(row)["text"] for row in rows)}) + "\n", encoding="utf-8")
    return path


def contender(bench, who, model, text, length):
    if who == "temper":
        return lambda _: bench.temper.embed(model, text, bench.scratch / "long.npy", length=length)
    return lambda _: bench.peers.run("encode_torch", "throughput", model, text, "--length", length)
