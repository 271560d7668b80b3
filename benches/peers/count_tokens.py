"""MODEL LENGTH FILE: real tokens of all texts of a JSONL file, special ones included, cut at LENGTH."""
import sys

from tokenizers import Tokenizer

from process import print_result, rows

model, length, file = sys.argv[1:]
tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
tokenizer.enable_truncation(int(length))
tokenizer.no_padding()
texts = [text for row in rows(file) for text in row.values()]
print_result(tokens=sum(map(len, tokenizer.encode_batch(texts))))
