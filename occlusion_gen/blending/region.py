"""The region of the crop that an occluder is worked on in: as small as its edge allows, wider for what reaches out."""

from __future__ import annotations

import cv2
import numpy as np

from occlusion_gen.face import Patch

Region = tuple[slice, slice]


def trim(patch: Patch, reach_px: int) -> Patch:
    """Return the patch with its region cut to what is not fully transparent and `reach_px` more on each side.

    A turned occluder fills half of the region that it was warped into, and everything after it costs by the pixel.
    """
    left, top, width, height = cv2.boundingRect(patch.alpha)
    if width == 0:
        return patch
    size = patch.alpha.shape
    down = slice(max(0, top - reach_px), min(size[0], top + height + reach_px))
    across = slice(max(0, left - reach_px), min(size[1], left + width + reach_px))
    if (down.stop - down.start, across.stop - across.start) == size:
        return patch
    return Patch(
        slice(patch.rows.start + down.start, patch.rows.start + down.stop),
        slice(patch.columns.start + across.start, patch.columns.start + across.stop),
        *(np.ascontiguousarray(layer[down, across]) for layer in (patch.colour, patch.alpha, patch.hides)),
    )


def widened(patch: Patch, reach_px: int, *, size: tuple[int, ...]) -> Region:
    """Return rows and columns of the patch and `reach_px` on each side, within a crop of `size` (height, width)."""
    return (
        slice(max(0, patch.rows.start - reach_px), min(size[0], patch.rows.stop + reach_px)),
        slice(max(0, patch.columns.start - reach_px), min(size[1], patch.columns.stop + reach_px)),
    )


def sides(patch: Patch, region: Region) -> tuple[int, int, int, int]:
    """Return how many pixels `region` is wider than the patch: above, below, left, right."""
    rows, columns = region
    return (
        patch.rows.start - rows.start,
        rows.stop - patch.rows.stop,
        patch.columns.start - columns.start,
        columns.stop - patch.columns.stop,
    )


def within(region: Region, patch: Patch) -> Region:
    """Return where the patch lies in the wider `region`."""
    top, _, left, _ = sides(patch, region)
    height, width = patch.alpha.shape
    return slice(top, top + height), slice(left, left + width)


def grow(patch: Patch, reach_px: int, *, size: tuple[int, ...]) -> Patch:
    """Return the patch with its region wider by `reach_px` on each side, within a crop of `size` (height, width)."""
    region = widened(patch, reach_px, size=size)
    more = sides(patch, region)
    if not any(more):
        return patch
    return Patch(
        *region,
        cv2.copyMakeBorder(patch.colour, *more, cv2.BORDER_REPLICATE),
        cv2.copyMakeBorder(patch.alpha, *more, cv2.BORDER_CONSTANT, value=0),
        cv2.copyMakeBorder(patch.hides, *more, cv2.BORDER_CONSTANT, value=0),
    )
