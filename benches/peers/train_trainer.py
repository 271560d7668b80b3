"""sentence-transformers' own Trainer, as its users run it: MODEL PAIRS OUT RECIPE.

The clock runs from the first batch to the last optimizer step: no imports, loading or saving.
"""
import json
import math
import sys
import time
from types import SimpleNamespace

import torch
from datasets import Dataset
from sentence_transformers import (SentenceTransformer, SentenceTransformerTrainer,
                                   SentenceTransformerTrainingArguments)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import TrainerCallback

from process import THREADS, peak_mb, print_result, rows


class Clock(TrainerCallback):
    def on_train_begin(self, *_, **__):
        self.begin = time.perf_counter()

    def on_train_end(self, *_, **__):
        self.seconds = time.perf_counter() - self.begin


def main():
    base, pairs, out, recipe = *sys.argv[1:4], SimpleNamespace(**json.loads(sys.argv[4]))
    torch.set_num_threads(THREADS)
    torch.manual_seed(recipe.seed)
    examples = rows(pairs)
    model = SentenceTransformer(base, device="cpu")
    model.max_seq_length = recipe.length
    clock = Clock()
    settings = SentenceTransformerTrainingArguments(
        output_dir=f"{out}-trainer", num_train_epochs=1, use_cpu=True, seed=recipe.seed,
        per_device_train_batch_size=recipe.batch, learning_rate=recipe.rate, weight_decay=0.0,
        warmup_steps=math.ceil(recipe.warmup * math.ceil(len(examples) / recipe.batch)), report_to="none",
        save_strategy="no", logging_strategy="no", eval_strategy="no", disable_tqdm=True, dataloader_pin_memory=False)
    columns = [name for name in ("anchor", "positive", "negative") if name in examples[0]]
    data = Dataset.from_dict({name: [row[name] for row in examples] for name in columns})
    loss = MultipleNegativesRankingLoss(model, scale=recipe.scale)
    SentenceTransformerTrainer(model=model, args=settings, train_dataset=data, loss=loss, callbacks=[clock]).train()
    peak = peak_mb()
    model.save_pretrained(out)
    print_result(**{"seconds": clock.seconds, "peak MB": peak})


main()
