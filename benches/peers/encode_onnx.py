"""onnxruntime and tokenizers, nothing between: texts sorted by token count, batches padded to their own longest,
mean pooling and normalisation in numpy."""
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

import encoding
from process import THREADS


def load(args):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(args.onnx, options, providers=["CPUExecutionProvider"])
    types = {entry.name: np.int32 if entry.type == "tensor(int32)" else np.int64 for entry in session.get_inputs()}
    tokenizer = Tokenizer.from_file(f"{args.model}/tokenizer.json")
    tokenizer.enable_truncation(args.length)
    tokenizer.no_padding()

    def embed(encodings):
        ids = np.zeros((len(encodings), max(map(len, encodings))), np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(encodings):
            ids[row, :len(text)], mask[row, :len(text)] = text.ids, 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = session.run(None, {name: inputs[name].astype(kind, copy=False) for name, kind in types.items()})[0]
        weights = mask[..., None].astype(np.float32)
        pooled = (hidden * weights).sum(1) / weights.sum(1)
        return pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)

    def encode(texts):
        encodings = tokenizer.encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda index: -len(encodings[index]))
        batches = [order[start:start + args.batch] for start in range(0, len(order), args.batch)]
        vectors = np.concatenate([embed([encodings[index] for index in batch]) for batch in batches])
        return vectors[np.argsort(order)]

    return encode


encoding.main(load)
