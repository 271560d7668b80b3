"""Training a small encoder from random weights, where the model is small beside everything around it."""
from .. import fine_tune
from ..findings import Section
from ..recipe import Recipe
from ..rounds import Rounds


def measure(bench):
    # Random weights need a far higher rate than pretrained ones.
    recipe = Recipe(rate=5e-4)
    model = bench.random_encoder("4x256")
    corpus = bench.corpus("pairs_train", "pairs", recipe.length)
    dev = bench.file("pairs_dev", "dev")
    section = Section("From scratch, 4 layers x 256",
                      f"{corpus.rows} pairs, {corpus.tokens} tokens, one epoch, batch {recipe.batch}, rate "
                      f"{recipe.rate}; both start from the same random weights.")
    rounds = Rounds({
        "temper": fine_tune.temper(bench, model, corpus, recipe, dev),
        "Trainer": fine_tune.peer(bench, "train_trainer", model, corpus, recipe, dev),
    }, bench.rounds)
    section.table(rounds, "seconds", "pairs/s", "tokens/s", "peak MB", "accuracy@1", "nDCG@10")
    for what in ("pairs/s", "peak MB"):
        section.ratio(rounds, what, "temper", "Trainer")
    for score in ("accuracy@1", "nDCG@10"):
        section.difference(rounds, score, "temper", "Trainer")
    return section
