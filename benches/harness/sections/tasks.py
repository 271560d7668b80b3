"""Fine-tuning on four tasks with equal settings beside the Trainer, then with temper's own means; `temper eval` judges.

A measurement that `--keep` holds is not taken again, so that a long run can be made in parts.
"""
import itertools
import json
import shutil
from dataclasses import dataclass, field

from ..findings import Section
from ..process import NotMeasured
from ..recipe import Recipe
from ..rounds import Rounds
from .mine import MARGIN


# Both ways of every pair, no batch that holds a text twice, and a larger step.
BOTH_WAYS = {"loss.symmetric": True, "train.batch_sampler": "no_duplicates", "train.learning_rate": 5e-5}


@dataclass(frozen=True)
class Task:
    """Rows to train on and what of them is used, data to judge with, and the score that counts; paths in `--data`.

    Of `mined`, flags of `temper mine`, the crafted run takes its negatives.
    """
    train: str
    columns: tuple[str, ...]
    dev: str
    score: str
    length: int
    mined: tuple[str, ...] = ()
    changes: dict = field(default_factory=lambda: BOTH_WAYS)

    def craft(self):
        mined = [f"a hard negative each (`temper mine {' '.join(self.mined)}`)"] if self.mined else []
        settings = [f"`{key} = {json.dumps(value)}`" for key, value in self.changes.items()]
        return ", ".join(["cleaned by `temper data doctor`", *mined, *settings])


PAIR = ("anchor", "positive")
TASKS = {
    "nli": Task("nli/train-triplets.jsonl", (*PAIR, "negative"), "stsb-en/dev.jsonl", "spearman_cosine", 64),
    "banking77": Task("banking77/train-pairs.jsonl", PAIR, "banking77/dev.jsonl", "knn_accuracy", 64),
    "medquad": Task("medquad/train-pairs.jsonl", PAIR, "medquad/dev-retrieval", "cosine_ndcg@10", 128),
    "scifact": Task("scifact/train-pairs.jsonl", PAIR, "scifact", "cosine_ndcg@10", 128,
                    mined=("--corpus", "scifact/corpus.jsonl", "--range-min", "5")),
}


def measure(bench):
    if bench.options.data is None:
        raise NotMeasured("no data of the tasks: give --data")
    section = Section("Four tasks",
                      f"At most {bench.options.sizes['tasks']} rows each, one epoch of multiple negatives ranking, the "
                      "same settings for both, every round with its own seed. `temper eval` judges both exports: "
                      "Spearman on STS-B after NLI triplets, nDCG@10 on SciFact and MedQuAD, the vote of the five "
                      "nearest on Banking77. The crafted runs are temper's with its own means, whose time counts; what "
                      "they change was chosen on rows that neither train nor judge here.")
    for name, task in TASKS.items():
        rounds = Rounds({f"{tool} {name}": contender(bench, name, task, tool)
                         for tool in ("temper", "Trainer", "crafted")}, bench.rounds)
        section.table(rounds, "seconds", "peak MB", "score")
        section.difference(rounds, "score", f"temper {name}", f"Trainer {name}")
        section.ratio(rounds, "seconds", f"temper {name}", f"Trainer {name}")
        section.difference(rounds, "score", f"crafted {name}", f"temper {name}")
        section.notes.append(f"crafted {name}: {task.craft()}")
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
    trained = f"{out}@last"
    if tool == "temper":
        numbers = bench.temper.train(bench.model, train, out, recipe)
    elif tool == "crafted":
        numbers = crafted(bench, train, task, out, recipe)
    else:
        numbers, trained = bench.peers.train("train_trainer", bench.model, train, out, recipe), out
    score = bench.temper.judge(trained, bench.options.data / task.dev, recipe.length)[task.score]
    shutil.rmtree(out)
    return numbers | {"score": score}


def crafted(bench, train, task, out, recipe):
    """Trains on what the doctor leaves and the miner adds; their time counts."""
    rows = bench.scratch / "crafted.jsonl"
    steps = [bench.temper.clean(train, rows)]
    if task.mined:
        flags = [bench.options.data / word if word.endswith(".jsonl") else word for word in task.mined]
        pairs, rows = rows, bench.scratch / "crafted-mined.jsonl"
        steps.append(bench.temper.mine(bench.model, pairs, rows, 1, MARGIN, recipe.length, *flags))
    numbers = bench.temper.train(bench.model, rows, out, recipe, changes=task.changes)
    return numbers | {what: numbers[what] + sum(step[what] for step in steps) for what in ("seconds", "process seconds")} \
        | {"peak MB": max(step["peak MB"] for step in [*steps, numbers])}
