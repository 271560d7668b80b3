"""Embedding with the shapes of other architectures, in f32 beside PyTorch and in int8. Random weights cost the same."""
from ..findings import Section
from ..rounds import Rounds
from .embed import LENGTH

SHAPES = ("BERT-base", "ModernBERT-base", "Qwen3-0.6B")
PEER = "sentence-transformers"


def measure(bench):
    bench.temper.need_int8()
    texts = bench.corpus("texts", "base_texts", LENGTH)
    section = Section("Embedding with other shapes",
                      f"Random weights, {texts.rows} texts, {texts.tokens} tokens. temper's time is that of the whole "
                      "process, which reads and packs the weights; the peer's that of `encode`.")
    for shape in SHAPES:
        model = bench.random_encoder(shape)
        rounds = Rounds({
            f"temper {shape}": embed(bench, model, texts, "f32"),
            f"temper {shape} int8": embed(bench, model, texts, "int8"),
            f"{PEER} {shape}": lambda _, model=model: texts.rates(
                bench.peers.run("encode_torch", "throughput", model, texts.path)),
        }, bench.rounds)
        section.table(rounds, "seconds", "texts/s", "tokens/s", "peak MB")
        for what in ("tokens/s", "peak MB"):
            section.ratio(rounds, what, f"temper {shape}", f"{PEER} {shape}")
        section.ratio(rounds, "tokens/s", f"temper {shape} int8", f"temper {shape}")
        both = (vectors(bench, precision) for precision in ("int8", "f32"))
        cosine = bench.peers.run("judge_vectors", "cosine", *both)["cosine"]
        section.quality(f"mean cosine, temper {shape} int8 to f32", cosine)
    return section


def embed(bench, model, texts, precision):
    return lambda _: texts.rates(
        bench.temper.embed(model, texts.path, vectors(bench, precision), precision, LENGTH))


def vectors(bench, precision):
    return bench.scratch / f"shape-{precision}.npy"
