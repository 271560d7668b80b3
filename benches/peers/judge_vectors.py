"""What vectors are worth: `cosine A.npy B.npy` of their rows, or `spearman VECTORS.npy STS.jsonl`, where the vectors
are those of all first sentences, then of all second ones."""
import sys

import numpy as np
from scipy.stats import spearmanr

from process import print_result, rows


def cosines(a, b):
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


what, vectors, other = sys.argv[1:]
vectors = np.load(vectors).astype(np.float64)
if what == "cosine":
    print_result(cosine=float(cosines(vectors, np.load(other)).mean()))
else:
    first, second = np.split(vectors, 2)
    print_result(spearman=float(spearmanr(cosines(first, second), [row["score"] for row in rows(other)]).statistic))
