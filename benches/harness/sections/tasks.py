"""Fine-tuning on four tasks with equal settings beside the Trainer, everyone's export judged by `temper eval`.

A measurement that `--keep` holds is not taken again, so that a long run can be made in parts.
"""
import itertools
import json
import shutil
from dataclasses import dataclass

from ..findings import Section
from ..process import NotMeasured
from ..recipe import Recipe
from ..rounds import Rounds


@dataclass(frozen=True)
class Task:
    """Rows to train on and what of them is used, data to judge with, and the score that counts; paths in `--data`."""
    train: str
    columns: tuple[str, ...]
    dev: str
    score: str
    length: int


PAIR = ("anchor", "positive")
TASKS = {
    "nli": Task("nli/train-triplets.jsonl", (*PAIR, "negative"), "stsb-en/dev.jsonl", "spearman_cosine", 64),
    "scifact": Task("scifact/train-pairs.jsonl", PAIR, "scifact", "cosine_ndcg@10", 128),
    "banking77": Task("banking77/train-pairs.jsonl", PAIR, "banking77/dev.jsonl", "knn_accuracy", 64),
    "medquad": Task("medquad/train-pairs.jsonl", PAIR, "medquad/dev-retrieval", "cosine_ndcg@10", 128),
}


def measure(bench):
    if bench.options.data is None:
        raise NotMeasured("no data of the tasks: give --data")
    section = Section("Four tasks",
                      f"At most {bench.options.sizes['tasks']} rows each, one epoch of multiple negatives ranking, the "
                      "same settings for both, every round with its own seed. `temper eval` judges both exports: "
                      "Spearman on STS-B after NLI triplets, nDCG@10 on SciFact and MedQuAD, the vote of the five "
                      "nearest on Banking77.")
    for name, task in TASKS.items():
        rounds = Rounds({f"temper {name}": contender(bench, name, task, "temper"),
                         f"Trainer {name}": contender(bench, name, task, "Trainer")}, bench.rounds)
        section.table(rounds, "seconds", "peak MB", "score")
        section.difference(rounds, "score", f"temper {name}", f"Trainer {name}")
        section.ratio(rounds, "seconds", f"temper {name}", f"Trainer {name}")
    return section


def contender(bench, name, task, tool):
    def measured(number):
        recipe = Recipe(length=task.length).of_round(number)
        file = f"{name}-{tool}-{recipe.seed}-{bench.options.sizes['tasks']}.json"
        kept = bench.options.keep and bench.options.keep / file
        if kept and kept.exists():
            return json.loads(kept.read_text(encoding="utf-8"))
        numbers = fine_tune(bench, rows(bench, name, task), task, tool, recipe)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(numbers), encoding="utf-8")
        return numbers
    return measured


def rows(bench, name, task):
    """The first rows, with the columns that both sides learn from and no others."""
    source = bench.options.data / task.train
    if not source.is_file():
        raise NotMeasured(f"no {task.train} in the folder of --data")
    target = bench.scratch / f"task-{name}.jsonl"
    with open(source, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as out:
        for row in map(json.loads, itertools.islice(lines, bench.options.sizes["tasks"])):
            out.write(json.dumps({column: row[column] for column in task.columns}, ensure_ascii=False) + "\n")
    return target


def fine_tune(bench, train, task, tool, recipe):
    out = bench.scratch / "task"
    if tool == "temper":
        numbers, trained = bench.temper.train(bench.model, train, out, recipe), f"{out}@last"
    else:
        numbers, trained = bench.peers.train("train_trainer", bench.model, train, out, recipe), out
    score = bench.temper.judge(trained, bench.options.data / task.dev, recipe.length)[task.score]
    shutil.rmtree(out)
    return numbers | {"score": score}
