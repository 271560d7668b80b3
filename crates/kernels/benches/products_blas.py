"""The table of products.rs for OpenBLAS, the one that numpy brings along: `python products_blas.py THREADS`."""

import os
import statistics
import sys
import time

THREADS = sys.argv[1] if len(sys.argv) > 1 else "1"
os.environ["OPENBLAS_NUM_THREADS"] = THREADS  # before numpy is imported

import numpy  # noqa: E402

TURNS, WORK = 9, 5e8
BATCH, QUERY = 1728, 11
MODELS = {"MiniLM": 384, "BERT-base": 768}


def gflops(lhs, rhs):
    """The median speed of `lhs @ rhs`, short products repeated within a turn."""
    out = numpy.empty((lhs.shape[0], rhs.shape[1]), numpy.float32)
    operations = 2 * lhs.shape[0] * lhs.shape[1] * rhs.shape[1]
    repeats = -int(-WORK // operations)
    seconds = []
    for _ in range(1 + TURNS):
        start = time.perf_counter()
        for _ in range(repeats):
            numpy.matmul(lhs, rhs, out=out)
        seconds.append(time.perf_counter() - start)
    return operations * repeats / statistics.median(seconds[1:]) / 1e9


def products(tokens, output, inner):
    """The operands of each product of a layer, as views in the order in which they lie in training."""
    generator = numpy.random.default_rng(1)
    x, weight, gradient = (
        generator.standard_normal(shape, numpy.float32) for shape in [(tokens, inner), (output, inner), (tokens, output)]
    )
    yield "Forward", x, weight.T
    if tokens == BATCH:
        yield "DataGradient", gradient, weight
        yield "WeightGradient", gradient.T, x


print(f"GF/s in f32, threads: {THREADS}, numpy {numpy.__version__}\n")
print("| model | product | m | n | k | OpenBLAS |")
print("|---|---|---:|---:|---:|---:|")
for model, dim in MODELS.items():
    for tokens in (BATCH, QUERY):
        for output, inner in [(dim, dim), (3 * dim, dim), (4 * dim, dim), (dim, 4 * dim)]:
            for product, lhs, rhs in products(tokens, output, inner):
                (m, k), n = lhs.shape, rhs.shape[1]
                print(f"| {model} | {product} | {m} | {n} | {k} | {gflops(lhs, rhs):.0f} |", flush=True)
