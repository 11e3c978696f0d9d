"""How much of a face is hidden: measured, and steered by drawing again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from occlusion_gen.face import Image8, Mask, Params

Layers = list[Params]


def hidden_share(visible: Image8, full: Mask) -> float:
    """Return the share of the full face that is not visible, 0..1; 0 where there is no face.

    Args:
        visible: (H, W) uint8, share of each pixel that is visible face, 0..255.
        full: (H, W) bool.
    """
    pixels = cv2.countNonZero(full.view(np.uint8))
    if pixels == 0:
        return 0.0
    # OpenCV's own masked mean takes three times as long.
    seen = cv2.sumElems(cv2.bitwise_and(visible, full.view(np.uint8) * np.uint8(255)))[0]
    return 1.0 - seen / (255 * pixels)


@dataclass(frozen=True)
class Aim:
    """What share of a face shall be hidden; draws that miss it are drawn again.

    Attributes:
        bounds: least and largest share.
        target: weights of equal bins of the share between 0 and 1; one bin is drawn for each face. Empty: no wish.
        tries: draws for a face; the one nearest to the aim is kept.
    """

    bounds: tuple[float, float] = (0.0, 1.0)
    target: Sequence[float] = ()
    tries: int = 10

    def draw(
        self, rng: np.random.Generator, draw: Callable[[], Layers], measure: Callable[[Layers], float]
    ) -> tuple[Layers, int]:
        """Return the layers that were kept and how many draws it took.

        Args:
            draw: makes a new draw from `rng`.
            measure: returns the hidden share of a draw.
        """
        low, high = self._interval(rng)
        if (low, high) == (0.0, 1.0):
            return draw(), 1
        nearest, best = draw(), np.inf
        for tried in range(1, self.tries + 1):
            layers = nearest if tried == 1 else draw()
            share = measure(layers)
            miss = max(low - share, share - high, 0.0)
            if miss < best:
                nearest, best = layers, miss
            if miss == 0:
                return layers, tried
        return nearest, self.tries

    def _interval(self, rng: np.random.Generator) -> tuple[float, float]:
        low, high = self.bounds
        if not self.target:
            return low, high
        weights = np.array(self.target, np.float64)
        width = 1 / len(weights)
        starts = np.arange(len(weights)) * width
        reachable = np.where((starts < high) & (starts + width > low), weights, 0.0)
        chosen = weights if reachable.sum() == 0 else reachable
        place = int(rng.choice(len(weights), p=chosen / chosen.sum()))
        return max(low, place * width), min(high, (place + 1) * width)
