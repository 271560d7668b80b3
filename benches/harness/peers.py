"""The peers, each a process of its own that prints its numbers: see `benches/peers/`."""
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from .process import measure

SCRIPTS = Path(__file__).resolve().parents[1] / "peers"


@dataclass(frozen=True)
class Peers:
    environment: dict

    def run(self, script, *arguments):
        """The numbers that the script printed last, and what was seen of its process."""
        measured = measure([sys.executable, SCRIPTS / f"{script}.py", *arguments], self.environment)
        numbers = json.loads(measured.output.splitlines()[-1])
        return numbers | {"others": measured.others_cores, "process seconds": measured.seconds,
                          "first line": measured.first_line_seconds}

    def train(self, script, model, pairs, out, recipe):
        return self.run(script, model, pairs, out, json.dumps(asdict(recipe)))

    def startup(self, script, model, texts, *flags):
        numbers = self.run(script, "startup", model, texts, *flags)
        return numbers | {"seconds": numbers["first line"]}


def environment(inherited, threads):
    """Threads for every library that has a say, no network, no GPU."""
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    return inherited | dict.fromkeys(pools, str(threads)) | {
        "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "true", "CUDA_VISIBLE_DEVICES": ""}
