"""Evaluations on disk for tests: scored by the real code on drawn masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.image_score import About, Truth
from evaluation.score_set import Answer, Rule, score_set
from evaluation.scores import Summary, write_summary
from tests.evaluation.masks import SIZE, blob, soft

INPUTS: dict[str, Any] = {
    "role": "test",
    "face_policy": {"ears": False},
    "crop": "resized",
    "weights": "a.safetensors",
    "weights_sha256": "a" * 64,
    "predictions": None,
    "calibrated_on": None,
}


def answer(seed: int, *, gain: float = 0.0, full: bool = True) -> Answer:
    """Return a drawn answer: the larger `gain`, 0..1, the nearer to the truth."""
    visible = blob(seed)
    probability = (1 - gain) * soft(seed) + gain * visible
    maps = [probability, np.maximum(probability, blob(seed + 1))] if full else [probability]
    photo = np.full((*SIZE, 3), 100 + seed % 50, np.uint8)
    truth = Truth(visible, None, visible | blob(seed + 1))
    about = About(f"a{seed}", f"s{seed // 2}", ("hand", "mask")[: seed % 3])
    return Answer(about, photo, truth, np.stack(maps).astype(np.float32))


def write_run(
    folder: Path, *, n: int = 6, gain: float = 0.0, name: str = "drawn", rule: Rule | None = None, **more: Any
) -> Summary:
    """Write an evaluation of `n` drawn answers into `folder` and return the summary of its only set."""

    def again(ids: Any) -> Iterator[Answer]:
        return (answer(int(id[1:]), gain=gain) for id in ids)

    summary = score_set(
        name,
        (answer(seed, gain=gain) for seed in range(n)),
        n=n,
        rule=rule or Rule(0.5, worst_cases=2),
        output=folder / name,
        again=again,
        **(INPUTS | more),
    )
    write_summary(folder / "summary.json", [summary])
    return summary
