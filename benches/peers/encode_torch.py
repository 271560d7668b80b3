"""sentence-transformers on PyTorch; `encode` sorts by length itself."""
import torch
from sentence_transformers import SentenceTransformer

import encoding
from process import THREADS


def load(args):
    torch.set_num_threads(THREADS)
    model = SentenceTransformer(args.model, device="cpu")
    model.max_seq_length = args.length
    return lambda texts: model.encode(texts, batch_size=args.batch, show_progress_bar=False)


encoding.main(load)
