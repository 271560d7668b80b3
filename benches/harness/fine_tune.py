"""Contenders that fine-tune a model folder on pairs: temper, or a peer's script; scored on dev pairs where given."""
import shutil


def temper(bench, model, corpus, recipe, dev=None, threads=None):
    def contender(number):
        run = bench.scratch / "run"
        numbers = bench.temper.train(model, corpus.path, run, recipe.of_round(number), threads)
        return finish(bench, corpus, recipe, numbers, run, f"{run}@last", dev)
    return contender


def peer(bench, script, model, corpus, recipe, dev=None):
    def contender(number):
        out = bench.scratch / "trained"
        numbers = bench.peers.train(script, model, corpus.path, out, recipe.of_round(number))
        return finish(bench, corpus, recipe, numbers, out, out, dev)
    return contender


def finish(bench, corpus, recipe, numbers, folder, trained, dev):
    scores = bench.temper.scores(trained, dev, recipe.length) if dev else {}
    # A checkpoint of BERT-base with its optimizer is over a gigabyte.
    shutil.rmtree(folder)
    return corpus.rates(numbers) | scores
