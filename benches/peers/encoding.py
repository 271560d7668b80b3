"""How an encoder of texts is timed, whichever library it is: all texts at once, one by one, or the first one only."""
import argparse
import statistics
import time

from process import print_result, rows


def main(load):
    """`load(args)` gives the function from texts to an array of vectors; loading is never timed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("model", help="model folder")
    parser.add_argument("texts", help="JSONL with `text`")
    parser.add_argument("--onnx", help="graph to run, where the library runs graphs")
    parser.add_argument("--length", type=int, default=256, help="longest input in tokens")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", help="write the vectors here (.npy)")
    args = parser.parse_args()
    MODES[args.mode](load(args), [row["text"] for row in rows(args.texts)], args)


def throughput(encode, texts, args):
    encode(texts[:64])
    begin = time.perf_counter()
    vectors = encode(texts)
    seconds = time.perf_counter() - begin
    if args.out:
        import numpy as np
        np.save(args.out, vectors)
    print_result(seconds=seconds)


def latency(encode, texts, _):
    for text in texts[:20]:
        encode([text])
    milliseconds = []
    for text in texts:
        begin = time.perf_counter()
        encode([text])
        milliseconds.append(1000 * (time.perf_counter() - begin))
    percentiles = statistics.quantiles(milliseconds, n=100, method="inclusive")
    found = {f"p{at} ms": percentiles[at - 1] for at in (50, 90, 99)}
    print_result(**found, **{"mean ms": statistics.mean(milliseconds)})


def startup(encode, texts, _):
    """Prints the vector as soon as it is there: the reader of that line holds the clock."""
    print(encode(texts[:1])[0].tolist(), flush=True)
    print_result()


MODES = {"throughput": throughput, "latency": latency, "startup": startup}
