"""Masks and probabilities for tests of scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIZE = (40, 48)


def blob(seed: int, size: tuple[int, int] = SIZE) -> NDArray[np.bool_]:
    """Return a round mask with a hole, somewhere; it may touch the edge, and now and then it is empty."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]

    def ellipse() -> NDArray[np.bool_]:
        y, x = rng.uniform(0, 1, 2) * size
        a, b = rng.uniform(0.05, 0.5, 2) * size
        return ((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1

    return ellipse() & ~ellipse() & (rng.random() > 0.05)


def soft(seed: int, size: tuple[int, int] = SIZE) -> NDArray[np.float32]:
    """Return probabilities (H, W) that follow `blob(seed)` more or less."""
    rng = np.random.default_rng(seed + 10_000)
    noise = rng.normal(0, 0.3, size) + 0.6 * blob(seed, size) + 0.2
    return np.clip(noise, 0, 1).astype(np.float32)


def some(seed: int, size: tuple[int, int] = SIZE) -> NDArray[np.bool_]:
    """Return pixels to score, two thirds of all."""
    return np.random.default_rng(seed + 20_000).random(size) < 0.67
