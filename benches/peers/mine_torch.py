"""sentence-transformers' `mine_hard_negatives` on PyTorch: MODEL PAIRS OUT NEGATIVES MARGIN LENGTH."""
import contextlib
import io
import json
import re
import sys
import time

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives

from process import THREADS, print_result, rows

torch.set_num_threads(THREADS)
model_folder, pairs, out, negatives, margin, length = sys.argv[1:]
model = SentenceTransformer(model_folder, device="cpu")
model.max_seq_length = int(length)
data = rows(pairs)
started = time.perf_counter()
dataset = Dataset.from_dict({name: [row[name] for row in data] for name in ("anchor", "positive")})
with contextlib.redirect_stdout(io.StringIO()) as told:
    mined = mine_hard_negatives(dataset, model, num_negatives=int(negatives), relative_margin=float(margin),
                                sampling_strategy="top", verbose=True)
rejected = re.search(r"\(([\d.]+)%\) due to the relative_margin", told.getvalue())
with open(out, "w", encoding="utf-8") as file:
    file.writelines(json.dumps(row) + "\n" for row in mined)
print_result(seconds=time.perf_counter() - started, **{"rejected %": float(rejected[1]) if rejected else 0.0})
