"""What the sections share: the two sides, and files and model folders that are made once and kept until the end."""
import functools
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from .options import LAYOUT
from .peers import Peers, environment
from .process import NotMeasured
from .temper import Temper


@dataclass(frozen=True)
class Corpus:
    """A file to work through: how many rows (of `unit`), how many real tokens."""
    path: Path
    unit: str
    rows: int
    tokens: int

    def rates(self, numbers):
        seconds = numbers["seconds"]
        return numbers | {f"{self.unit}/s": self.rows / seconds, "tokens/s": self.tokens / seconds}


class Bench:
    def __init__(self, options, scratch):
        surroundings = environment(dict(os.environ), options.threads)
        self.model, self.rounds, self.threads = options.model, options.rounds, options.threads
        self.temper = Temper(options.temper, options.threads, surroundings, options.latency_bin)
        self.peers = Peers(surroundings)
        self.scratch = Path(scratch)
        self.options = options

    @functools.cache
    def file(self, name, size):
        """The first rows of the file that the options name, as many as `size` says."""
        source = getattr(self.options, name)
        if source is None or not source.is_file():
            raise NotMeasured(f"no file of {name.replace('_', ' ')}: give --{name.replace('_', '-')}, or --data with "
                              f"{LAYOUT[name]}")
        target = self.scratch / f"{size}-{source.name}"
        with open(source, encoding="utf-8") as lines:
            target.write_text("".join(itertools.islice(lines, self.options.sizes[size])), encoding="utf-8")
        return target

    @functools.cache
    def corpus(self, name, size, length):
        path = self.file(name, size)
        tokens = self.peers.run("count_tokens", self.model, length, path)["tokens"]
        with open(path, encoding="utf-8") as lines:
            return Corpus(path, "pairs" if name == "pairs_train" else "texts", sum(1 for _ in lines), tokens)

    @functools.cache
    def graph(self, precision):
        """The model as onnxruntime runs it, in `f32` or `int8`."""
        folder = self.scratch / "onnx"
        if not folder.exists():
            folder.mkdir()
            self.peers.run("export_onnx", self.model, folder)
        return folder / f"{precision}.onnx"

    @functools.cache
    def random_encoder(self, shape):
        """A model folder with random weights and the vocabulary of the model; the shapes are those of the script."""
        folder = self.scratch / f"random-{shape}"
        self.peers.run("random_encoder", self.model, folder, shape)
        return str(folder / "model")
