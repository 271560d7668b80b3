"""Where and with what it was measured: processor, commit, versions."""
import os
import platform
import re
import subprocess
from importlib.metadata import version

from .options import ROOT

PACKAGES = ("sentence-transformers", "transformers", "tokenizers", "torch", "onnxruntime", "onnx", "numpy")


def processor():
    """Model and flags as the kernel names them."""
    with open("/proc/cpuinfo") as info:
        fields = dict(map(str.strip, line.split(":", 1)) for line in info if ":" in line)
    return fields.get("model name", platform.machine()), fields.get("flags", "").split()


def instructions():
    """The widest vectors that there are, and whether int8 products have instructions of their own."""
    _, flags = processor()
    widest = "avx512" if "avx512f" in flags else "avx2" if "avx2" in flags else platform.machine()
    return widest + (" with VNNI" if any("vnni" in flag for flag in flags) else "")


def slug():
    """The machine in a file's name, as in `amd-epyc-2core-avx512`."""
    model, _ = processor()
    words = f"{model} {os.cpu_count()}core {instructions().split()[0]}"
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\(r\)|\(tm\)|cpu|processor|@.*ghz", "", words.lower())).strip("-")


def first_line(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip().partition("\n")[0]


def commit():
    changed = first_line("git", "status", "--porcelain", "--untracked-files=no")
    return first_line("git", "rev-parse", "--short", "HEAD") + (" (with uncommitted changes)" if changed else "")


def versions():
    return ", ".join([first_line("rustc", "--version"), f"Python {platform.python_version()}",
                      *(f"{name} {version(name)}" for name in PACKAGES)])
