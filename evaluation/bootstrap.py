"""Bootstrap intervals over images: whole images are drawn with replacement, all scores of an image together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000  # the ends of an interval then repeat to about a fiftieth of its width from seed to seed
LEVEL_PERCENT = 95
AT_ONCE = 20  # resamples in memory: 2 MB for 5,000 images

Array = NDArray[np.float64]


class Interval(NamedTuple):
    """Ends of a confidence interval."""

    low: float
    high: float


def bootstrap_sums(rows: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """Return (R, M): for each of R resamples of the images the sums of their M numbers.

    Args:
        rows: (N, M) float, one row an image; N >= 1.
        resamples: R, how many times N images are drawn with replacement.
        seed: of the draws; they depend on N, R and the seed alone, so that equal sets are resampled alike.

    Raises:
        ValueError: there is no image.

    Source: Efron and Tibshirani 1993, chapter 13.
    """
    values = np.asarray(rows, dtype=np.float64)
    images = len(values)
    if images == 0:
        raise ValueError("the interval over no image is not defined")
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, resamples, AT_ONCE):
        drawn = rng.integers(0, images, (min(AT_ONCE, resamples - start), images))
        times = np.empty(drawn.shape)
        for place, row in enumerate(drawn):
            times[place] = np.bincount(row, minlength=images)
        parts.append(times @ values)
    return np.concatenate(parts)


def bootstrap_interval(scores: Iterable[float], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the 95 % percentile interval of the mean over images.

    Args:
        scores: one an image.
        resamples: how many times the images are drawn with replacement.
        seed: of the draws.

    Raises:
        ValueError: there is no image.
    """
    values = np.asarray(list(scores), dtype=np.float64)[:, None]
    return percentile_interval(bootstrap_sums(values, resamples=resamples, seed=seed)[:, 0] / len(values))


def bootstrap_statistic(
    rows: ArrayLike, statistic: Callable[[Array], Array], *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the 95 % percentile interval of a number that is made from sums over images, e.g. a pooled IoU.

    Args:
        rows: (N, M) float, one row an image.
        statistic: sums (R, M) -> (R,).
        resamples: R.
        seed: of the draws.

    Raises:
        ValueError: there is no image.
    """
    return percentile_interval(statistic(bootstrap_sums(rows, resamples=resamples, seed=seed)))


def percentile_interval(values: ArrayLike) -> Interval:
    """Return where the middle 95 % of the resampled `values` (R,) lie."""
    tail = (100 - LEVEL_PERCENT) / 2
    low, high = np.percentile(np.asarray(values), [tail, 100 - tail])
    return Interval(float(low), float(high))
