"""Masks that do not flicker: the answers on a face's crops, averaged along its motion."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image8 = NDArray[np.uint8]
Probabilities = NDArray[np.float32]

# Grey levels by which a pixel may differ from where it came from until the past counts for a third: above the noise of
# cameras and codecs, below the edge of a hand that moves in.
DOUBT_GREY_LEVELS = 12.0
DOUBT_BLUR = 1 / 85  # sigma in crop sides: single noisy pixels are no doubt


class MaskSmoother:
    """Averages the answers on the crops of one face over time.

    The answer of the frame before is moved along with the picture (dense optical flow between the two crops), and
    counts only where the picture then agrees: where something moves in front of the face, the new answer stands alone.

    Args:
        fps: frames a second.
        memory_s: after this time an answer counts for a third of what it did.
    """

    def __init__(self, *, fps: float, memory_s: float) -> None:
        self._keep = math.exp(-1 / (fps * memory_s))
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._grey: Image8 | None = None
        self._past: Probabilities | None = None

    def smooth(self, crop: Image8, probabilities: Probabilities) -> Probabilities:
        """Return the probabilities (K, S, S) float32 of the next frame, averaged with those before.

        Args:
            crop: (S, S, 3) uint8 RGB.
            probabilities: (K, S, S) float32, the answer on it.
        """
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        smoothed = probabilities
        if self._grey is not None and self._past is not None:
            smoothed = self._averaged(grey, probabilities)
        self._grey, self._past = grey, smoothed
        return smoothed

    def _averaged(self, grey: Image8, probabilities: Probabilities) -> Probabilities:
        assert self._grey is not None
        assert self._past is not None
        came_from = _grid(grey.shape[0]) + self._flow.calc(grey, self._grey, None)  # (S, S, 2), x and y
        moved_grey = cv2.remap(self._grey, came_from, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        moved = np.stack(
            [cv2.remap(p, came_from, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for p in self._past]
        )
        share = self._keep * trust(grey, moved_grey)  # (S, S)
        return np.asarray(probabilities + share * (moved - probabilities), np.float32)


def trust(grey: Image8, moved_grey: Image8) -> NDArray[np.float32]:
    """Return how far the past may be believed, (S, S) float32 in 0..1: 1 where both pictures are the same.

    Args:
        grey: (S, S) uint8, the crop now.
        moved_grey: (S, S) uint8, the crop before, moved to where things are now.
    """
    sigma_px = DOUBT_BLUR * grey.shape[0]
    difference = cv2.GaussianBlur(cv2.absdiff(grey, moved_grey), (0, 0), sigma_px).astype(np.float32)
    return np.exp(-((difference / DOUBT_GREY_LEVELS) ** 2))


def flicker(masks: Sequence[NDArray[np.bool_]]) -> float:
    """Return the mean |change| of a mask from frame to frame, as a share of all pixels, 0..1.

    Args:
        masks: (S, S) bool each, of one face in crops that follow its motion, so that nothing should change.

    Raises:
        ValueError: there are fewer than two.
    """
    if len(masks) < 2:
        raise ValueError(f"flicker needs at least two masks, found {len(masks)}")
    changes = [np.mean(one != other) for one, other in itertools.pairwise(masks)]
    return float(np.mean(changes))


def _grid(side: int) -> NDArray[np.float32]:
    """Return the (x, y) of each pixel, (S, S, 2) float32."""
    return np.stack(np.meshgrid(*[np.arange(side, dtype=np.float32)] * 2), axis=-1)
