"""What goes into a generator and what comes out."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Params = dict[str, Any]


class Box(NamedTuple):
    """A box in pixels: (x, y) of its first pixel, width and height."""

    x: int
    y: int
    width: int
    height: int


class Face(NamedTuple):
    """A face before occlusion.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 class ids.
        visible: (H, W) bool, what of the face can be seen.
    """

    image: Image8
    label: Image8
    visible: Mask


class Layer(NamedTuple):
    """An occluder in the frame of the face.

    Attributes:
        image: (H, W, 3) uint8 RGB, the composite.
        alpha: (H, W) uint8, how much of each pixel the occluder hides.
        occluded: (H, W) bool, where the face counts as hidden.
        part: class id of the occluder.
    """

    image: Image8
    alpha: Image8
    occluded: Mask
    part: int


class OccludedFace(NamedTuple):
    """A face after occlusion.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 class ids, parts kept, occluder with its own id.
        visible: (H, W) bool, face that can still be seen.
        full: (H, W) bool, the face as if nothing stood in front of it.
        alpha: (H, W) uint8, the occluder's alpha; 0 where there is none.
        coverage: share of `full` that is not visible, 0..1.
        params: every drawn parameter, in plain numbers, texts and lists.
    """

    image: Image8
    label: Image8
    visible: Mask
    full: Mask
    alpha: Image8
    coverage: float
    params: Params


class Generator(Protocol):
    """A kind of occlusion."""

    def draw_params(self, rng: np.random.Generator, box: Box) -> Params:
        """Return every random decision for a face whose mask has the bounding box `box`."""
        ...

    def apply(self, params: Params, face: Face) -> Layer:
        """Return the composite; equal parameters give equal bytes."""
        ...


def bounding_box(mask: Mask) -> Box | None:
    """Return the bounding box of a mask, None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    x, y = int(columns[0]), int(rows[0])
    return Box(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)
