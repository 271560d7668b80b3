"""TOKENIZER_FOLDER OUT LAYERS HIDDEN HEADS: a BERT of that shape with random weights, mean pooling and normalisation.

A folder on disk, so that temper and its peer start from the same weights.
"""
import sys

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import AutoTokenizer, BertConfig, BertModel

from process import print_result

source, out = sys.argv[1:3]
layers, hidden, heads = map(int, sys.argv[3:])
torch.manual_seed(42)
tokenizer = AutoTokenizer.from_pretrained(source)
config = BertConfig(vocab_size=len(tokenizer), hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                    intermediate_size=4 * hidden)
BertModel(config).save_pretrained(f"{out}/bert")
tokenizer.save_pretrained(f"{out}/bert")
transformer = Transformer(f"{out}/bert")
SentenceTransformer(modules=[transformer, Pooling(hidden), Normalize()], device="cpu").save_pretrained(f"{out}/model")
print_result()
