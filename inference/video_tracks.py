"""Faces from frame to frame: which is which, where it goes, and where a scene is cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, apply_to_points, invert
from face_align.locate import Location

Image8 = NDArray[np.uint8]
Box = tuple[float, float, float, float]  # left, top, right, bottom

# Two frames are of two scenes if both their colours and their pixels differ by more than this. Of 44,850 pairs of
# different portraits 96 % do; frames of a face that moves differ by at most 0.16 and 10, see docs/video.md.
CUT_COLOURS = 0.25  # half the sum of differences of the histograms, 0..1
CUT_GREY_LEVELS = 15.0  # mean difference of a pixel
CUT_SIDE_PX = 32
COLOUR_BINS = 4  # of each channel

SAME_FACE_OVERLAP = 0.3  # IoU of the inner halves of two crops
STEADY_AFTER = 3  # frames: a face seen less often is not missed when it goes


class SceneCuts:
    """Tells where a video goes on with another scene."""

    def __init__(self) -> None:
        self._last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def is_cut(self, frame: Image8) -> bool:
        """Return whether `frame` (H, W, 3) uint8 RGB shows another scene than the frame before it."""
        small = cv2.resize(frame, (CUT_SIDE_PX, CUT_SIDE_PX), interpolation=cv2.INTER_AREA)
        colours = cv2.calcHist([small], [0, 1, 2], None, [COLOUR_BINS] * 3, [0, 256] * 3) / CUT_SIDE_PX**2
        pixels = small.astype(np.float32)
        before, self._last = self._last, (colours, pixels)
        if before is None:
            return False
        colour_change = float(np.abs(colours - before[0]).sum()) / 2
        return colour_change > CUT_COLOURS and float(np.abs(pixels - before[1]).mean()) > CUT_GREY_LEVELS


class SteadyTransform:
    """Smooths the transform of one face: strongly while it rests, hardly while it moves.

    The filter is the one-euro filter with one cut-off for all six numbers of crop_to_photo, from the speed of the
    crop's corners; a weighted mean of similarities is a similarity again. The mask is brought back by the same
    transform, so that a lag shifts the face within its crop and never the mask in the photo.

    Args:
        fps: frames a second.
        resting_hz: cut-off frequency for a face that rests.
        hz_per_side: by how much it rises with each crop side that a face moves in a second.

    Source: Casiez, Roussel and Vogel, "1 € filter: a simple speed-based low-pass filter for noisy input in interactive
        systems", 2012, equations 3-6.
    """

    def __init__(self, *, fps: float, resting_hz: float, hz_per_side: float) -> None:
        self._fps, self._resting_hz, self._hz_per_side = fps, resting_hz, hz_per_side
        self._matrix: Affine | None = None  # crop_to_photo
        self._raw: Affine | None = None
        self._velocity = np.zeros((2, 3))

    def smooth(self, photo_to_crop: Affine, *, side_px: int) -> Affine:
        """Return the smoothed transform of the next frame.

        Args:
            photo_to_crop: as it was found.
            side_px: of the crop.
        """
        found = invert(photo_to_crop)
        if self._matrix is None or self._raw is None:
            self._matrix = self._raw = found
            return photo_to_crop
        share = _share(SPEED_HZ, self._fps)
        self._velocity += share * ((found - self._raw) * self._fps - self._velocity)
        cutoff_hz = self._resting_hz + self._hz_per_side * self._speed(side_px)
        self._matrix = self._matrix + _share(cutoff_hz, self._fps) * (found - self._matrix)
        self._raw = found
        return invert(self._matrix)

    def _speed(self, side_px: int) -> float:
        """Return how fast the corners of the crop move, in crop sides a second."""
        assert self._raw is not None
        corners = np.array([[0, 0, 1], [side_px, 0, 1], [0, side_px, 1], [side_px, side_px, 1]], np.float64)
        moved = np.linalg.norm(corners @ self._velocity.T, axis=1).mean()  # px of the photo a second
        return float(moved / (side_px * math.sqrt(abs(np.linalg.det(self._raw[:, :2])))))


SPEED_HZ = 1.0  # cut-off of the speed itself, as published


def _share(cutoff_hz: float, fps: float) -> float:
    """Return the share of the new value in a low-pass filter."""
    return 1 / (1 + fps / (2 * math.pi * cutoff_hz))


@dataclass
class Track:
    """One face through a scene.

    Attributes:
        id: counted from 0 through the video.
        location: the last one, smoothed.
        steady: smooths its transform.
        hits: frames in which it was found.
        missed: frames since it was found last.
    """

    id: int
    location: Location
    steady: SteadyTransform
    hits: int = 1
    missed: int = 0
    box: Box = field(default=(0.0, 0.0, 0.0, 0.0))


class Tracker:
    """Follows faces by the overlap of their boxes, and smooths their transforms.

    A face that the detector misses stays at its last place for a while, if it had been seen for some frames and there
    are now fewer faces than before: a hand that passes in front often hides it from detectors.

    Args:
        fps: frames a second.
        side_px: of the crops.
        patience_s: how long a missed face stays.
        resting_hz: see `SteadyTransform`.
        hz_per_side: see `SteadyTransform`.
    """

    def __init__(self, *, fps: float, side_px: int, patience_s: float, resting_hz: float, hz_per_side: float) -> None:
        self._fps, self._side_px, self._patience = fps, side_px, patience_s * fps
        self._filter = {"fps": fps, "resting_hz": resting_hz, "hz_per_side": hz_per_side}
        self._tracks: list[Track] = []
        self._next_id = 0

    def reset(self) -> None:
        """Forget all faces: a new scene begins."""
        self._tracks = []

    def update(self, locations: Sequence[Location]) -> list[Track]:
        """Return the faces of the next frame: those found, in their order, then those that are only missed."""
        boxes = [inner_box(location.photo_to_crop, self._side_px) for location in locations]
        before = len(self._tracks)
        matches = match_boxes([track.box for track in self._tracks], boxes)
        known = {new: self._tracks[old] for old, new in matches}
        now = [
            self._follow(known[index], location) if index in known else self._begin(location)
            for index, location in enumerate(locations)
        ]
        lost = [track for track in self._tracks if all(track is not other for other in known.values())]
        for track in lost:
            track.missed += 1
        waiting = [track for track in lost if track.hits >= STEADY_AFTER and track.missed <= self._patience]
        self._tracks = now + waiting[: max(0, before - len(now))]
        return list(self._tracks)

    def _begin(self, location: Location) -> Track:
        steady = SteadyTransform(**self._filter)
        steady.smooth(location.photo_to_crop, side_px=self._side_px)
        box = inner_box(location.photo_to_crop, self._side_px)
        self._next_id += 1
        return Track(self._next_id - 1, location, steady, box=box)

    def _follow(self, track: Track, location: Location) -> Track:
        matrix = track.steady.smooth(location.photo_to_crop, side_px=self._side_px)
        track.location = location._replace(photo_to_crop=matrix)
        track.box = inner_box(location.photo_to_crop, self._side_px)
        track.hits += 1
        track.missed = 0
        return track


def inner_box(photo_to_crop: Affine, side_px: int) -> Box:
    """Return the box in the photo of the inner half of a crop, which is about the face: left, top, right, bottom."""
    low, high = side_px / 4, 3 * side_px / 4
    corners = apply_to_points(invert(photo_to_crop), np.array([[low, low], [high, low], [high, high], [low, high]]))
    return (*map(float, corners.min(axis=0)), *map(float, corners.max(axis=0)))  # type: ignore[return-value]


def match_boxes(old: Sequence[Box], new: Sequence[Box]) -> list[tuple[int, int]]:
    """Return pairs of indices of boxes that show the same face: those that overlap most first, each box once."""
    overlaps = [(overlap(a, b), i, j) for i, a in enumerate(old) for j, b in enumerate(new)]
    pairs: list[tuple[int, int]] = []
    for share, i, j in sorted(overlaps, key=lambda entry: -entry[0]):
        if share >= SAME_FACE_OVERLAP and all(i != a and j != b for a, b in pairs):
            pairs.append((i, j))
    return pairs


def overlap(one: Box, other: Box) -> float:
    """Return the IoU of two boxes, 0..1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared) if areas > shared else 0.0
