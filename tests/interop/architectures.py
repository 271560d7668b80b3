"""Every architecture's golden model: exported by temper, loaded by sentence-transformers, and the vectors of both.

    python architectures.py TEMPER      # prints the table that PARITY.md keeps; exit code 1 if one differs

Models in the config fields of their published weights need code from the hub, which is not loaded here: they are held
to the golden numbers alone (`cargo test golden_models`), as is JinaBERT.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
from sentence_transformers import SentenceTransformer

MODELS = pathlib.Path(__file__).parents[1] / "fixtures/golden/models"
TEXTS = ["how do I true a wheel", "spokes", "Grüße aus Köln 🚀 日本語", "brakes squeal when it rains, what now? " * 4]
REMOTE = ["jina-mean-norm", "gte-cls-norm-published", "nomic-mean-norm-published"]


def main(temper):
    worst = 0.0
    print("| model | chain | ids equal | max difference |\n|---|---|---|---|")
    for folder in sorted(MODELS.iterdir()):
        if folder.name in REMOTE:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            run = lambda *args, **more: subprocess.run([temper, *args], check=True, capture_output=True, cwd=scratch, **more)
            run("export", folder, "export")
            lines = "".join(f"{text}\n" for text in TEXTS)
            run("embed", "export", "-", "-o", "vectors.npy", input=lines.encode())
            mine = np.load(f"{scratch}/vectors.npy")
            model = SentenceTransformer(f"{scratch}/export", device="cpu")
            original = SentenceTransformer(str(folder), device="cpu")
            ids = all(same_ids(model, original, text) for text in TEXTS)
            difference = max(np.abs(mine - theirs.encode(TEXTS)).max() for theirs in (model, original))
        chain = " > ".join(type(module).__name__ for module in model)
        kind = getattr(getattr(model[0], "auto_model", None), "config", None)
        kind = getattr(kind, "model_type", "static")
        print(f"| {folder.name} | {kind}: {chain} | {'yes' if ids else 'NO'} | {difference:.1e} |", flush=True)
        worst = max(worst, difference, 0.0 if ids else np.inf)
    sys.exit(worst > 1e-5)


def same_ids(a, b, text):
    a, b = (np.asarray(model.tokenize([text])["input_ids"]).ravel().tolist() for model in (a, b))
    return a == b


if __name__ == "__main__":
    main(str(pathlib.Path(sys.argv[1]).resolve()))
