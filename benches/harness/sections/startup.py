"""From the start of a process to its first vector: what a command line or a function that sleeps pays."""
import json

from ..findings import Section
from ..rounds import Rounds


def measure(bench):
    queries = bench.file("queries", "queries")
    with open(queries, encoding="utf-8") as lines:
        text = json.loads(next(lines))["text"]
    graph = bench.graph("f32")
    section = Section("Start to first vector", "From the start of the process until it prints the vector of one query; "
                      "files are in the page cache.")
    rounds = Rounds({
        "temper": lambda _: bench.temper.startup(bench.model, text),
        "onnxruntime": lambda _: bench.peers.startup("encode_onnx", bench.model, queries, "--onnx", graph),
        "sentence-transformers": lambda _: bench.peers.startup("encode_torch", bench.model, queries),
    }, bench.rounds)
    section.table(rounds, "seconds", "peak MB")
    section.median(rounds, "seconds", "temper")
    for opponent in ("onnxruntime", "sentence-transformers"):
        section.ratio(rounds, "seconds", "temper", opponent)
    return section
