"""TOKENIZER_FOLDER OUT SHAPE: a model of one of the SHAPES with random weights, its pooling and normalisation.

A folder on disk, so that temper and its peer start from the same weights. All have the vocabulary of the tokenizer,
which changes what the tables weigh and not what a token costs.
"""
import sys

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import AutoModel, AutoTokenizer, BertConfig, ModernBertConfig, Qwen3Config

from process import print_result


def bert(layers, hidden, heads):
    return BertConfig(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                      intermediate_size=4 * hidden)


# Those of google-bert/bert-base-uncased, answerdotai/ModernBERT-base and Qwen/Qwen3-Embedding-0.6B, and a small one.
SHAPES = {
    "4x256": (lambda: bert(4, 256, 4), "mean"),
    "BERT-base": (lambda: bert(12, 768, 12), "mean"),
    "ModernBERT-base": (ModernBertConfig, "mean"),
    "Qwen3-0.6B": (lambda: Qwen3Config(hidden_size=1024, num_hidden_layers=28, num_attention_heads=16,
                                       num_key_value_heads=8, head_dim=128, intermediate_size=3072), "lasttoken"),
}

source, out, shape = sys.argv[1:]
make_config, pooling = SHAPES[shape]
torch.manual_seed(42)
tokenizer = AutoTokenizer.from_pretrained(source)
config = make_config()
config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
config.bos_token_id = config.cls_token_id = tokenizer.cls_token_id
config.eos_token_id = config.sep_token_id = tokenizer.sep_token_id
AutoModel.from_config(config).save_pretrained(f"{out}/transformer")
tokenizer.save_pretrained(f"{out}/transformer")
transformer = Transformer(f"{out}/transformer")
modules = [transformer, Pooling(config.hidden_size, pooling), Normalize()]
SentenceTransformer(modules=modules, device="cpu").save_pretrained(f"{out}/model")
print_result()
