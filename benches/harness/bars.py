"""What is asked of temper, by section and finding: `>= 3` or `<= 0.5`; None is measured only.

The list is also what a full run must show: the report names what is missing from it.
"""

BARS = {
    "train": {
        "pairs/s, temper / Trainer": None,
        "pairs/s, temper / PyTorch loop": None,
        "peak MB, temper / Trainer": None,
        "peak MB, temper / PyTorch loop": None,
        "accuracy@1, temper - Trainer": None,
        "nDCG@10, temper - Trainer": None,
    },
    "scratch": {
        "pairs/s, temper / Trainer": None,
        "peak MB, temper / Trainer": None,
        "accuracy@1, temper - Trainer": None,
        "nDCG@10, temper - Trainer": None,
    },
    "embed": {
        "texts/s, temper / sentence-transformers": None,
        "texts/s, temper / onnxruntime": None,
        "peak MB, temper / sentence-transformers": None,
        "peak MB, temper / onnxruntime": None,
    },
    "int8": {
        "texts/s, temper int8 / onnxruntime int8": None,
        "peak MB, temper int8 / onnxruntime int8": None,
        "mean cosine, temper int8 to f32": None,
        "mean cosine, onnxruntime int8 to f32": None,
        "STS Spearman, temper f32": None,
        "STS Spearman, temper int8": None,
        "STS Spearman, onnxruntime int8": None,
    },
    "latency": {
        "p50 ms, temper f32 / onnxruntime f32": None,
        "p50 ms, temper f32 / torch": None,
        "p50 ms, temper int8 / onnxruntime int8": None,
    },
    "startup": {
        "seconds, temper / onnxruntime": None,
        "seconds, temper / sentence-transformers": None,
    },
    "base": {
        "pairs/s, temper / PyTorch loop": None,
        "peak MB, temper / PyTorch loop": None,
        "texts/s, temper / sentence-transformers": None,
        "peak MB, temper / sentence-transformers": None,
    },
    "threads": {
        "pairs/s, all threads / 1 thread": None,
        "texts/s, all threads / 1 thread": None,
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
