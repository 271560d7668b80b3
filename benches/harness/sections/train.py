"""Fine-tuning a pretrained encoder on pairs: the Trainer that people use, and the fastest plain loop that we know."""
from .. import fine_tune
from ..findings import Section
from ..recipe import Recipe
from ..rounds import Rounds


def measure(bench):
    recipe = Recipe()
    corpus = bench.corpus("pairs_train", "pairs", recipe.length)
    dev = bench.file("pairs_dev", "dev")
    section = Section("Fine-tuning on pairs",
                      f"{corpus.rows} pairs, {corpus.tokens} tokens, one epoch, batch {recipe.batch}, at most "
                      f"{recipe.length} tokens, every round with its own seed. The PyTorch loop puts pairs of like "
                      "length into batches. `temper eval` scores everyone's export on the dev pairs.")
    rounds = Rounds({
        "temper": fine_tune.temper(bench, bench.model, corpus, recipe, dev),
        "Trainer": fine_tune.peer(bench, "train_trainer", bench.model, corpus, recipe, dev),
        "PyTorch loop": fine_tune.peer(bench, "train_loop", bench.model, corpus, recipe, dev),
    }, bench.rounds)
    section.table(rounds, "seconds", "pairs/s", "tokens/s", "peak MB", "accuracy@1", "nDCG@10")
    for opponent in ("Trainer", "PyTorch loop"):
        section.ratio(rounds, "pairs/s", "temper", opponent)
        section.ratio(rounds, "peak MB", "temper", opponent)
    for score in ("accuracy@1", "nDCG@10"):
        section.difference(rounds, score, "temper", "Trainer")
    return section
