"""temper with one thread beside temper with all of them."""
from .. import fine_tune
from ..findings import Section
from ..recipe import Recipe
from ..rounds import Rounds
from .embed import LENGTH


def measure(bench):
    recipe = Recipe()
    pairs = bench.corpus("pairs_train", "pairs", recipe.length)
    texts = bench.corpus("texts", "texts", LENGTH)
    counts = {"all threads": bench.threads, "1 thread": 1}
    section = Section("temper by threads",
                      f"Fine-tuning on {pairs.rows} pairs, then embedding {texts.rows} texts, with {bench.threads} "
                      "threads and with 1.")
    training = Rounds({name: fine_tune.temper(bench, bench.model, pairs, recipe, threads=count)
                       for name, count in counts.items()}, bench.rounds)
    section.table(training, "seconds", "pairs/s", "tokens/s", "peak MB")
    embedding = Rounds({
        name: lambda _, count=count: texts.rates(
            bench.temper.embed(bench.model, texts.path, bench.scratch / "vectors.npy", threads=count))
        for name, count in counts.items()
    }, bench.rounds)
    section.table(embedding, "seconds", "texts/s", "tokens/s", "peak MB")
    section.ratio(training, "pairs/s", "all threads", "1 thread")
    section.ratio(embedding, "texts/s", "all threads", "1 thread")
    return section
