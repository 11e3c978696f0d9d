"""The same training with several seeds: mean and standard deviation of what it reached."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from common.image_io import write_bytes


class SeedScores(NamedTuple):
    """Best validation scores of one configuration.

    Attributes:
        scores: seed -> best face IoU on the validation set.
        mean: over the seeds.
        deviation: standard deviation over the seeds, with n - 1; None for one seed.
    """

    scores: dict[int, float]
    mean: float
    deviation: float | None

    def markdown(self) -> str:
        """Return a table with a row a seed and one of all."""
        spread = "" if self.deviation is None else f" ± {self.deviation:.4f}"
        rows = [f"| {seed} | {score:.4f} |" for seed, score in self.scores.items()]
        head = ["| seed | best validation face IoU |", "|---|---|"]
        return "\n".join([*head, *rows, f"| mean of {len(self.scores)} | {self.mean:.4f}{spread} |"]) + "\n"


def summarise_seeds(scores: Mapping[int, float]) -> SeedScores:
    """Return mean and standard deviation of at least one score."""
    values = list(scores.values())
    return SeedScores(dict(scores), statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def write_seed_scores(folder: Path, scores: Mapping[int, float]) -> SeedScores:
    """Write `seeds.json` and `seeds.md` into `folder` and return what they hold."""
    found = summarise_seeds(scores)
    content = {"face_iou": found.scores, "mean": found.mean, "standard_deviation": found.deviation, "n": len(scores)}
    write_bytes(folder / "seeds.json", (json.dumps(content, indent=2) + "\n").encode())
    write_bytes(folder / "seeds.md", found.markdown().encode())
    return found


def print_seed_scores(found: SeedScores) -> None:
    """Print the table."""
    print(found.markdown(), end="")
