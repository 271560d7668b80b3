#!/usr/bin/env python3
"""all-MiniLM-L6-v2 in temper and in sentence-transformers: every text of a pairs file, and 50 long ones.

usage: minilm_parity.py TEMPER_BINARY PAIRS.jsonl [--minilm DIR]
"""

import argparse
import tempfile
from pathlib import Path

from peers import Checks, Temper, encode, minilm, pairs, sentence_transformer, versions

MIN_COSINE = 0.999999
LONG_TEXTS = 50
LONGER_THAN = 256
LONG_MAX_SEQ_LENGTH = 512


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("temper")
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--minilm", type=Path)
    arguments = parser.parse_args()
    print(versions(), flush=True)
    folder = arguments.minilm or minilm()
    checks, model = Checks(), sentence_transformer(folder)
    rows = pairs(arguments.pairs)
    with tempfile.TemporaryDirectory() as scratch:
        temper = Temper(arguments.temper, scratch)
        for column, texts in (("anchor", [row[0] for row in rows]), ("positive", [row[1] for row in rows])):
            name = f"{column}s at max_seq_length {model.max_seq_length}"
            checks.equal(name, temper.embed(folder, texts), encode(model, texts), MIN_COSINE)
        texts = long_texts(model, [text for row in rows for text in row])
        model.max_seq_length = LONG_MAX_SEQ_LENGTH
        ours = temper.embed(folder, texts, "--max-seq-length", LONG_MAX_SEQ_LENGTH)
        checks.equal(f"long texts at max_seq_length {LONG_MAX_SEQ_LENGTH}", ours, encode(model, texts), MIN_COSINE)
    checks.end()


def long_texts(model, texts):
    """Neighbouring texts joined until each result has more tokens than MiniLM's own limit; the last ones run past
    the limit of 512 as well, where both sides must cut at the same token."""
    made, joined, source = [], [], iter(texts * (1 + LONG_TEXTS))
    while len(made) < LONG_TEXTS:
        joined.append(next(source))
        tokens = len(model.tokenizer(" ".join(joined), truncation=False, verbose=False)["input_ids"])
        if tokens > (LONG_MAX_SEQ_LENGTH if len(made) >= LONG_TEXTS - 10 else LONGER_THAN):
            made.append(" ".join(joined))
            joined = []
    return made


if __name__ == "__main__":
    main()
