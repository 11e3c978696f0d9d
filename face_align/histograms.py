"""A page of histograms, drawn with OpenCV alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Image8 = NDArray[np.uint8]

PANEL_SIZE = (190, 460)  # height, width in pixels
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 34, 34
BAR, TEXT, LINE = (70, 110, 200), (40, 40, 40), (200, 200, 200)
BINS = 40


class Panel(NamedTuple):
    """One quantity over many faces.

    Attributes:
        title: stands above the bars.
        values: (N,), N >= 1.
        bounds: (lowest, highest) that are drawn; what lies outside goes to the ends.
    """

    title: str
    values: NDArray[np.float64]
    bounds: tuple[float, float]


def histogram_page(panels: Sequence[Panel], *, columns: int = 2) -> Image8:
    """Return one picture (H, W, 3) with a histogram a panel."""
    drawn = [_draw(panel) for panel in panels]
    drawn += [np.full_like(drawn[0], 255)] * (-len(drawn) % columns)
    return np.vstack([np.hstack(drawn[at : at + columns]) for at in range(0, len(drawn), columns)])


def _draw(panel: Panel) -> Image8:
    height, width = PANEL_SIZE
    picture = np.full((height, width, 3), 255, np.uint8)
    low, high = panel.bounds
    counts, _ = np.histogram(np.clip(panel.values, low, high), bins=BINS, range=(low, high))
    highest, base = max(int(counts.max()), 1), height - BOTTOM
    bar_px = (width - LEFT - RIGHT) / BINS
    for index, count in enumerate(counts.tolist()):
        left, right = round(LEFT + index * bar_px), round(LEFT + (index + 1) * bar_px) - 2
        top = base - round((base - TOP) * count / highest)
        if count:
            cv2.rectangle(picture, (left, min(top, base - 1)), (right, base - 1), BAR, cv2.FILLED)
    cv2.line(picture, (LEFT, base), (width - RIGHT, base), LINE, 1)
    for share in (0.0, 0.5, 1.0):
        _write(
            picture, f"{low + share * (high - low):g}", (round(LEFT + share * (width - LEFT - RIGHT)) - 8, base + 16)
        )
    _write(picture, str(highest), (6, TOP + 8))
    lower, median, upper = np.percentile(panel.values, (5, 50, 95))
    spread = f"median {median:.1f}, 90 % in {lower:.1f} .. {upper:.1f}, n = {len(panel.values)}"
    _write(picture, f"{panel.title}: {spread}", (6, 18))
    return picture


def _write(picture: Image8, text: str, corner: tuple[int, int]) -> None:
    cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, TEXT, 1, cv2.LINE_AA)
