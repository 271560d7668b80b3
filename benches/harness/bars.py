"""What is asked of temper, by section and finding: `>= 3` or `<= 0.5`; None is measured only.

The list is also what a full run must show: the report names what is missing from it.
"""

BARS = {
    "train": {
        "pairs/s, temper / Trainer": ">= 3",
        "pairs/s, temper / PyTorch loop": ">= 1.4",
        "peak MB, temper / Trainer": "<= 0.333",
        "peak MB, temper / PyTorch loop": None,
        "accuracy@1, temper - Trainer": ">= -0.005",
        "nDCG@10, temper - Trainer": ">= -0.005",
    },
    "scratch": {
        "pairs/s, temper / Trainer": ">= 2.5",
        "peak MB, temper / Trainer": None,
        "accuracy@1, temper - Trainer": None,
        "nDCG@10, temper - Trainer": None,
    },
    "embed": {
        "texts/s, temper / sentence-transformers": ">= 2",
        "texts/s, temper / onnxruntime": ">= 1.15",
        "peak MB, temper / sentence-transformers": None,
        "peak MB, temper / onnxruntime": None,
    },
    "int8": {
        "texts/s, temper int8 / onnxruntime int8": ">= 1.1",
        "peak MB, temper int8 / onnxruntime int8": None,
        "mean cosine, temper int8 to f32": ">= 0.995",
        "mean cosine, onnxruntime int8 to f32": None,
        "STS Spearman, temper f32": None,
        "STS Spearman, temper int8 - f32": ">= -0.005",
        "STS Spearman, onnxruntime f32": None,
        "STS Spearman, onnxruntime int8 - f32": None,
        "nDCG@10, temper f32": None,
        "nDCG@10, temper int8 - f32": None,
    },
    "latency": {
        "p50 ms, temper f32 / onnxruntime f32": "<= 1",
        "p50 ms, temper f32 / torch": None,
        "p50 ms, temper int8 / onnxruntime int8": "<= 1",
    },
    "startup": {
        "seconds, temper": "<= 0.3",
        "seconds, temper / onnxruntime": None,
        "seconds, temper / sentence-transformers": None,
    },
    "base": {
        "pairs/s, temper / PyTorch loop": ">= 1",
        "peak MB, temper / PyTorch loop": None,
        "texts/s, temper / sentence-transformers": ">= 1",
        "peak MB, temper / sentence-transformers": None,
    },
    "shapes": {
        finding: bar
        for shape in ("BERT-base", "ModernBERT-base", "Qwen3-0.6B")
        for finding, bar in {
            f"tokens/s, temper {shape} / sentence-transformers {shape}": ">= 1",
            f"peak MB, temper {shape} / sentence-transformers {shape}": None,
            f"tokens/s, temper {shape} int8 / temper {shape}": None,
            f"mean cosine, temper {shape} int8 to f32": None,
        }.items()
    },
    "long": {
        # One layer's scores of all pairs of tokens would alone be 0.39: 12 heads of 8,192 numbers.
        "MB a token at 8192, temper": "<= 0.1",
        "MB a token at 8192, sentence-transformers": None,
    },
    "mine": {
        "seconds, temper / sentence-transformers": None,
        "peak MB, temper / sentence-transformers": None,
        "peak MB, temper": "<= 1500",
        "lines that both have, of temper's": None,
    },
    "tasks": {
        finding: bar
        for task in ("nli", "scifact", "banking77", "medquad")
        for finding, bar in {
            f"score, temper {task} - Trainer {task}": ">= -0.005",
            f"seconds, temper {task} / Trainer {task}": "<= 1",
            # Asked of three of the four.
            f"score, crafted {task} - temper {task}": ">= 0",
        }.items()
    },
    "threads": {
        "pairs/s, all threads / 1 thread": ">= 1.75",
        "texts/s, all threads / 1 thread": ">= 1.75",
    },
}


def verdict(section, finding):
    """What was asked of a finding and whether it was met; empty when nothing was asked."""
    bar = BARS[section].get(finding.name)
    if bar is None:
        return ""
    relation, limit = bar.split()
    met = finding.value >= float(limit) if relation == ">=" else finding.value <= float(limit)
    return f"{'at least' if relation == '>=' else 'at most'} {limit}: {'ok' if met else 'MISSED'}"


def missing(section, findings):
    """Findings that the section should have shown."""
    shown = {finding.name for finding in findings}
    return [name for name in BARS[section] if name not in shown]
