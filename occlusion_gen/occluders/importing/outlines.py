"""The outlines of occluders as data sets store them: polygons, run lengths, mask files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from common.errors import RecordError
from common.image_io import read_mask
from occlusion_gen.occluders.cutout import cut_out, with_soft_edge

Image8 = NDArray[np.uint8]
FINER = 8  # polygons are filled on a grid this much finer, for a soft edge
FRACTION_BITS = 4


class Outline(Protocol):
    """Knows which part of a photo is the occluder. Picklable."""

    def cut(self, photo: Image8, *, name: str) -> Image8:
        """Return `photo` (H, W, 3) uint8 as RGBA (h, w, 4); `name` is for messages.

        Raises:
            RecordError: the outline does not fit the photo.
        """
        ...


@dataclass(frozen=True)
class Polygons:
    """Closed polygons, one a piece: (x, y) in pixels from the photo's upper left corner (not its first centre)."""

    pieces: tuple[tuple[tuple[float, float], ...], ...]

    def cut(self, photo: Image8, *, name: str) -> Image8:
        """Return the photo as RGBA, opaque in any of the polygons."""
        return np.dstack([photo, self.alpha(photo.shape[:2])])

    def alpha(self, size: tuple[int, int]) -> Image8:
        """Return the share of each pixel that the polygons cover, (H, W) uint8, for a photo of (height, width)."""
        alpha = np.zeros(size, np.uint8)
        corners = np.vstack([np.array(piece) for piece in self.pieces])
        left, top = np.clip(np.floor(corners.min(axis=0)).astype(int) - 1, 0, size[::-1])
        right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, 0, size[::-1])
        if left >= right or top >= bottom:
            return alpha
        fine = np.zeros(((bottom - top) * FINER, (right - left) * FINER), np.uint8)
        for piece in self.pieces:
            # OpenCV counts from the centre of the first pixel of the fine grid.
            points = ((np.array(piece) - (left, top)) * FINER - 0.5) * 2**FRACTION_BITS
            cv2.fillPoly(fine, [np.rint(points).astype(np.int32)], 255, shift=FRACTION_BITS)
        alpha[top:bottom, left:right] = cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        return alpha


@dataclass(frozen=True)
class RunLengths:
    """Lengths of alternating runs of outside and inside, down the columns of a photo of `size` (height, width)."""

    counts: tuple[int, ...]
    size: tuple[int, int]

    def cut(self, photo: Image8, *, name: str) -> Image8:
        """Return the photo as RGBA, opaque where the runs say inside.

        Raises:
            RecordError: the runs are of another size.
        """
        if photo.shape[:2] != self.size or sum(self.counts) != self.size[0] * self.size[1]:
            raise RecordError(
                f"{name}: the run lengths are of {self.size} with {sum(self.counts)} pixels, the photo is "
                f"{photo.shape[:2]} (height, width); take the photos that the annotations were made for",
                outcome="outline_does_not_fit",
            )
        return np.dstack([photo, self.alpha()])

    def alpha(self) -> Image8:
        """Return 255 inside and 0 outside, (H, W) uint8."""
        values = np.zeros(len(self.counts), np.uint8)
        values[1::2] = 255
        return np.ascontiguousarray(np.repeat(values, self.counts).reshape(self.size[::-1]).T)


@dataclass(frozen=True)
class MaskFile:
    """A mask in a file of its own."""

    path: Path

    def cut(self, photo: Image8, *, name: str) -> Image8:
        """Return the photo as RGBA with a soft edge along the mask's.

        Raises:
            RecordError: the mask is unreadable or of another size.
        """
        mask = read_mask(self.path)
        if mask.shape != photo.shape[:2]:
            raise RecordError(
                f"{self.path}: mask is {mask.shape} but its photo is {photo.shape[:2]} (height, width); save both at "
                "the same size",
                outcome="outline_does_not_fit",
            )
        return with_soft_edge(photo, mask)


@dataclass(frozen=True)
class OnWhite:
    """No outline is known, but the background is white; `tight` as in `occlusion_gen.occluders.cutout.cut_out`."""

    tight: bool = False

    def cut(self, photo: Image8, *, name: str) -> Image8:
        """Return what stands on white as RGBA.

        Raises:
            RecordError: see `occlusion_gen.occluders.cutout.cut_out`.
        """
        return cut_out(photo, name=name, tight=self.tight)


def coco_outline(segmentation: Any, *, source: str) -> Polygons | RunLengths:
    """Return the outline in a COCO annotation: polygons, or run lengths as numbers or as text.

    Raises:
        RecordError: it is neither.
    """
    if isinstance(segmentation, list) and segmentation:
        pieces = [np.array(flat, np.float64).reshape(-1, 2) for flat in segmentation if len(flat) >= 6]
        if pieces:
            return Polygons(tuple(tuple((float(x), float(y)) for x, y in piece) for piece in pieces))
    if isinstance(segmentation, dict) and {"counts", "size"} <= segmentation.keys():
        height, width = segmentation["size"]
        counts = segmentation["counts"]
        runs = decode_counts(counts) if isinstance(counts, str) else [int(count) for count in counts]
        return RunLengths(tuple(runs), (int(height), int(width)))
    raise RecordError(
        f"{source}: expected polygons or run lengths (counts, size) as `segmentation`", outcome="no_outline"
    )


def decode_counts(text: str) -> Sequence[int]:
    """Return the run lengths in COCO's compressed text.

    Each number is a row of 5-bit groups, the lowest first, stored as characters from "0" on; bit 6 says that another
    group follows, and the last group's highest bit is the sign. From the fourth number on, the number two before is
    to be added.

    Source: the format of the COCO API (Lin et al., 2014).
    """
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        group = ord(character) - ord("0")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value, shift = 0, 0
    return runs
