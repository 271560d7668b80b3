#!/usr/bin/env python3
"""Model folders in both directions: temper's exports in sentence-transformers, and its folders in temper.

usage: load_export.py TEMPER_BINARY [--minilm DIR]
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from peers import FIXTURES, Checks, Temper, encode, fixture_texts, minilm, sentence_transformer, versions

PROMPTS = {"query": "query: ", "passage": "passage: "}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("temper")
    parser.add_argument("--minilm", type=Path)
    arguments = parser.parse_args()
    print(versions(), flush=True)
    checks, texts = Checks(), fixture_texts()
    bases = {path.name: path for path in sorted(FIXTURES.glob("bert-*"))}
    bases["all-MiniLM-L6-v2"] = arguments.minilm or minilm()
    with tempfile.TemporaryDirectory() as scratch:
        temper = Temper(arguments.temper, scratch)
        for name, base in bases.items():
            exported(checks, temper, texts, name, base)
        with_prompts(checks, temper, texts, bases)
        dense_head(checks, temper, texts, bases)
        for name, base in bases.items():
            saved_by_the_peer(checks, temper, texts, name, base)
            saved_by_torch(checks, temper, texts, name, base)
    checks.end()


def exported(checks, temper, texts, name, base):
    """Plain, with the Dense head that bert-max-dense has, and cut to fewer dimensions."""
    folder = temper.export(base, f"export-{name}")
    model, vectors = sentence_transformer(folder), temper.embed(base, texts)
    checks.equal(f"export {name}", vectors, encode(model, texts))
    checks.note(f"export {name}, back in temper, is the same bytes", (temper.embed(folder, texts) == vectors).all())
    for dim in (8, vectors.shape[1] // 3):
        ours = temper.embed(base, texts, "--truncate-dim", dim)
        checks.equal(f"export {name}, truncate_dim {dim}", ours, encode(model, texts, truncate_dim=dim))
    checks.equal(f"export {name}, max_seq_length 16", temper.embed(base, texts, "--max-seq-length", 16),
                 encode(shortened(model, 16), texts))


def shortened(model, max_seq_length):
    model.max_seq_length = max_seq_length
    return model


def with_prompts(checks, temper, texts, bases):
    """Prompts by name and by default."""
    for name in ("bert-mean-norm", "bert-cls", "all-MiniLM-L6-v2"):
        base = temper.scratch / f"prompts-{name}"
        shutil.copytree(bases[name], base)
        config = base / "config_sentence_transformers.json"
        config.chmod(0o644)
        content = {**json.loads(config.read_text()), "prompts": PROMPTS, "default_prompt_name": "query"}
        config.write_text(json.dumps(content))
        model = sentence_transformer(temper.export(base, f"export-prompts-{name}"))
        # The reader adds empty prompts of its own, so equality would ask too much.
        carried = PROMPTS.items() <= model.prompts.items() and model.default_prompt_name == "query"
        checks.note(f"export {name} carries its prompts", carried,
                    f"{model.prompts}, default {model.default_prompt_name}")
        for prompt in PROMPTS:
            checks.equal(f"export {name}, prompt {prompt}", temper.embed(base, texts, "--prompt", prompt),
                         encode(model, texts, prompt_name=prompt))
        checks.equal(f"export {name}, default prompt", temper.embed(base, texts), encode(model, texts))


def dense_head(checks, temper, texts, bases):
    """MiniLM with a Dense head behind the pooling, made by the peer: into temper, and out again."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    torch.manual_seed(1)
    parts = sentence_transformer(bases["all-MiniLM-L6-v2"])
    head = models.Dense(in_features=384, out_features=96, activation_function=torch.nn.Tanh())
    made = SentenceTransformer(modules=[parts[0], parts[1], head, models.Normalize()], device="cpu").eval()
    base = temper.scratch / "dense-head"
    made.save_pretrained(str(base))
    checks.equal("MiniLM with a Dense head, saved by the peer", temper.embed(base, texts), encode(made, texts))
    model = sentence_transformer(temper.export(base, "export-dense-head"))
    checks.equal("MiniLM with a Dense head, exported", temper.embed(base, texts), encode(model, texts))


def saved_by_the_peer(checks, temper, texts, name, base):
    model = sentence_transformer(base)
    folder = temper.scratch / f"saved-{name}"
    model.prompts, model.default_prompt_name = PROMPTS, "passage"
    model.save_pretrained(str(folder))
    for prompt in PROMPTS:
        checks.equal(f"saved by the peer {name}, prompt {prompt}", temper.embed(folder, texts, "--prompt", prompt),
                     encode(model, texts, prompt_name=prompt))
    checks.equal(f"saved by the peer {name}, default prompt", temper.embed(folder, texts), encode(model, texts))


def saved_by_torch(checks, temper, texts, name, base):
    """The weights as `pytorch_model.bin` instead."""
    import torch
    from safetensors.torch import load_file
    folder = temper.scratch / f"torch-{name}"
    shutil.copytree(base, folder)
    for weights in list(folder.rglob("model.safetensors")):
        torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
        weights.unlink()
    same = (temper.embed(folder, texts) == temper.embed(base, texts)).all()
    checks.note(f"{name} from pytorch_model.bin is the same bytes", same)


if __name__ == "__main__":
    main()
