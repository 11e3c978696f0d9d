"""Random numbers that depend on a key alone, never on workers, ranks or the order of work."""

from __future__ import annotations

import numpy as np

# Streams keep draws of different purpose apart although they share a seed.
TRAIN_STREAM = 0
VALIDATION_STREAM = 1
ORDER_STREAM = 2


def generator(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of (seed, *key): equal keys give equal draws on every machine.

    Args:
        seed: non-negative, the seed of the run.
        key: non-negative integers, e.g. (stream, epoch, index).

    Raises:
        ValueError: a number is negative (NumPy's own error).
    """
    return np.random.default_rng([seed, *key])
