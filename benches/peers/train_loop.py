"""The strongest plain PyTorch opponent: MODEL PAIRS OUT RECIPE.

The same maths as the Trainer without its machinery, and batches of like length: pairs are sorted by the token count of
their positives within 50 batches, the batches then shuffled, so that little is padding. Counting the tokens is timed,
as it is part of the trick; imports, loading and saving are not.
"""
import json
import math
import random
import sys
import time
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from process import THREADS, peak_mb, print_result, rows


def main():
    base, pairs, out, recipe = *sys.argv[1:4], SimpleNamespace(**json.loads(sys.argv[4]))
    torch.set_num_threads(THREADS)
    torch.manual_seed(recipe.seed)
    examples = [(row["anchor"], row["positive"]) for row in rows(pairs)]
    model = SentenceTransformer(base, device="cpu")
    model.max_seq_length = recipe.length
    begin = time.perf_counter()
    train(model, examples, recipe)
    seconds, peak = time.perf_counter() - begin, peak_mb()
    model.save_pretrained(out)
    print_result(**{"seconds": seconds, "peak MB": peak})


def train(model, examples, recipe):
    encoder = model[0].model.train()
    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.enable_truncation(recipe.length)
    batches = bucketed(examples, tokenizer, recipe)
    tokenizer.enable_padding(pad_id=model.tokenizer.pad_token_id, pad_token=model.tokenizer.pad_token)
    parameters = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)

    def embed(texts):
        encodings = tokenizer.encode_batch(texts)
        mask = torch.tensor([encoding.attention_mask for encoding in encodings])
        hidden = encoder(input_ids=torch.tensor([encoding.ids for encoding in encodings]), attention_mask=mask)[0]
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return F.normalize((hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9), dim=-1)

    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, len(batches), recipe)
        anchors, positives = embed([anchor for anchor, _ in batch]), embed([positive for _, positive in batch])
        F.cross_entropy(anchors @ positives.T * recipe.scale, torch.arange(len(batch))).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def bucketed(examples, tokenizer, recipe):
    """Batches of pairs whose positives are about equally long, in random order."""
    tokenizer.no_padding()
    lengths = [len(encoding) for encoding in tokenizer.encode_batch([positive for _, positive in examples])]
    shuffle = random.Random(recipe.seed).shuffle
    order = list(range(len(examples)))
    shuffle(order)
    window = 50 * recipe.batch
    order = [index for start in range(0, len(order), window)
             for index in sorted(order[start:start + window], key=lengths.__getitem__)]
    batches = [[examples[index] for index in order[start:start + recipe.batch]]
               for start in range(0, len(order), recipe.batch)]
    shuffle(batches)
    return batches


def learning_rate(step, steps, recipe):
    """Linear warm-up, then linear to zero."""
    warmup = math.ceil(recipe.warmup * steps)
    if step < warmup:
        return recipe.rate * step / warmup
    return recipe.rate * (steps - step) / max(1, steps - warmup)


main()
