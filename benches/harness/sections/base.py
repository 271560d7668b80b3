"""The shape of BERT-base, 12 x 768, where matrix products are nearly everything. Random weights cost the same."""
from .. import fine_tune
from ..findings import Section
from ..recipe import Recipe
from ..rounds import Rounds
from .embed import LENGTH


def measure(bench):
    recipe = Recipe()
    model = bench.random_encoder("BERT-base")
    pairs = bench.corpus("pairs_train", "base_pairs", recipe.length)
    texts = bench.corpus("texts", "base_texts", LENGTH)
    section = Section("BERT-base shape, 12 layers x 768",
                      f"Random weights. Training: {pairs.rows} pairs, {pairs.tokens} tokens, batch {recipe.batch}. "
                      f"Embedding: {texts.rows} texts, {texts.tokens} tokens.")
    training = Rounds({
        "temper": fine_tune.temper(bench, model, pairs, recipe),
        "PyTorch loop": fine_tune.peer(bench, "train_loop", model, pairs, recipe),
    }, bench.rounds)
    section.table(training, "seconds", "pairs/s", "tokens/s", "peak MB")
    embedding = Rounds({
        "temper": lambda _: texts.rates(bench.temper.embed(model, texts.path, bench.scratch / "vectors.npy")),
        "sentence-transformers": lambda _: texts.rates(
            bench.peers.run("encode_torch", "throughput", model, texts.path)),
    }, bench.rounds)
    section.table(embedding, "seconds", "texts/s", "tokens/s", "peak MB")
    for what in ("pairs/s", "peak MB"):
        section.ratio(training, what, "temper", "PyTorch loop")
    for what in ("texts/s", "peak MB"):
        section.ratio(embedding, what, "temper", "sentence-transformers")
    return section
