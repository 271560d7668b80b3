"""Embedding many texts in f32."""
from ..findings import Section
from ..rounds import Rounds

LENGTH = 256


def measure(bench):
    corpus = bench.corpus("texts", "texts", LENGTH)
    graph = bench.graph("f32")
    section = Section("Embedding texts, f32",
                      f"{corpus.rows} texts, {corpus.tokens} tokens, at most {LENGTH} each. Peers sort by length and "
                      "have batches of 32; onnxruntime runs its optimised graph.")
    rounds = Rounds({
        "temper": lambda _: corpus.rates(bench.temper.embed(bench.model, corpus.path, bench.scratch / "vectors.npy")),
        "sentence-transformers": lambda _: corpus.rates(
            bench.peers.run("encode_torch", "throughput", bench.model, corpus.path)),
        "onnxruntime": lambda _: corpus.rates(
            bench.peers.run("encode_onnx", "throughput", bench.model, corpus.path, "--onnx", graph)),
    }, bench.rounds)
    section.table(rounds, "seconds", "texts/s", "tokens/s", "peak MB")
    for opponent in ("sentence-transformers", "onnxruntime"):
        for what in ("texts/s", "peak MB"):
            section.ratio(rounds, what, "temper", opponent)
    return section
