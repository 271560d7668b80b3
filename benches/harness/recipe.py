"""How everyone fine-tunes: multiple negatives ranking for one epoch, AdamW without decay, linear with warm-up."""
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    rate: float = 2e-5
    batch: int = 32
    length: int = 128
    warmup: float = 0.1
    scale: float = 20.0
    seed: int = 42

    def of_round(self, number):
        """Every round has its own seed, so that scores are means over seeds."""
        return replace(self, seed=self.seed + number)
