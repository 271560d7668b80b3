"""Embedding many texts in int8: how fast, and what is lost beside f32."""
import json

from ..findings import Section
from ..rounds import Rounds
from .embed import LENGTH


def measure(bench):
    bench.temper.need_int8()
    corpus, sts, pairs = bench.corpus("texts", "texts", LENGTH), bench.file("sts", "sts"), bench.file("pairs_dev", "dev")
    section = Section("Embedding texts, int8",
                      f"{corpus.rows} texts, {corpus.tokens} tokens; onnxruntime runs its dynamic quantisation. "
                      "Quality: mean cosine of the vectors to the same tool's f32 vectors, and Spearman correlation "
                      "on STS pairs; for temper also retrieval of every positive by its anchor on the dev pairs.")
    rounds = Rounds({
        f"{who} int8": lambda _, who=who: corpus.rates(embed(bench, who, "int8", corpus.path))
        for who in ("temper", "onnxruntime")
    }, bench.rounds)
    section.table(rounds, "seconds", "texts/s", "tokens/s", "peak MB")
    for what in ("texts/s", "peak MB"):
        section.ratio(rounds, what, "temper int8", "onnxruntime int8")
    for who in ("temper", "onnxruntime"):
        section.quality(f"mean cosine, {who} int8 to f32", cosine(bench, who, corpus.path))
    for who in ("temper", "onnxruntime"):
        f32, int8 = (spearman(bench, who, precision, sts) for precision in ("f32", "int8"))
        section.quality(f"STS Spearman, {who} f32", f32)
        section.change(f"STS Spearman, {who} int8 - f32", int8 - f32)
    f32, int8 = (bench.temper.scores(bench.model, pairs, LENGTH, precision) for precision in ("f32", "int8"))
    section.quality("nDCG@10, temper f32", f32["nDCG@10"])
    section.change("nDCG@10, temper int8 - f32", int8["nDCG@10"] - f32["nDCG@10"])
    return section


def embed(bench, who, precision, texts):
    out = vectors(bench, who, precision)
    if who == "temper":
        return bench.temper.embed(bench.model, texts, out, precision, LENGTH)
    graph = bench.graph(precision)
    return bench.peers.run("encode_onnx", "throughput", bench.model, texts, "--onnx", graph, "--out", out)


def vectors(bench, who, precision):
    return bench.scratch / f"{who}-{precision}.npy"


def cosine(bench, who, texts):
    """Of the int8 vectors that the rounds left behind."""
    embed(bench, who, "f32", texts)
    both = (vectors(bench, who, precision) for precision in ("f32", "int8"))
    return bench.peers.run("judge_vectors", "cosine", *both)["cosine"]


def spearman(bench, who, precision, sts):
    rows = [json.loads(line) for line in sts.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps({"text": row[side]}) for side in ("sentence1", "sentence2") for row in rows]
    texts = bench.scratch / "sts-texts.jsonl"
    texts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    embed(bench, who, precision, texts)
    return bench.peers.run("judge_vectors", "spearman", vectors(bench, who, precision), sts)["spearman"]
