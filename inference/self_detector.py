"""Faces found by the segmenter alone, so that whole photos can be done without a detector's file.

The photo is looked at as a whole and, unless it shows large faces alone, in tiles, which show small ones larger; where
no face comes of that, in finer ones. Each blob of the `full` map is a candidate. It is looked at again, twice, in a
window of its own, moved and scaled so that the face lies there as in an aligned crop. What does not come to look like a
face is dropped, and so is what does not stay at its place: a network that was trained on aligned crops is inclined to
see a face wherever it looks, but then it sees another one when it looks from nearer or from farther away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.geometry import apply_to_map, compose, invert
from face_align.detect import Face
from face_align.locate import CropRule, Locator, by_detector
from inference.self_detector_shapes import (
    Extent,
    Mask,
    Window,
    components,
    extent_of,
    likeness,
    mean_face,
)
from inference.self_detector_windows import (
    FINE_TILE_SIDE,
    TILE_SIDE,
    cut_out,
    shrink,
    tile_windows,
    whole_window,
)
from models.predictor import CropModel

Image8 = NDArray[np.uint8]
Probability = NDArray[np.float32]

LARGE_FACE = 0.5  # side of an aligned crop / longer side of the photo: tiles would not show larger ones better
SMALLEST_BLOB = 0.08  # side of the square of its area / side of the window
CUT_SHARE = 0.5  # of its score is left to a blob that goes on beyond the edge of a tile: another tile may show it whole
REFINEMENTS = 2
ZOOMS = (0.8, 1.25)  # sides of the windows in which a face must be seen again / side of its window
# IoU at least with what is seen then. Chosen without the pictures of scripts/measure_self_detector.py: 134 training
# faces, pasted into training backgrounds, all lie above 0.89; of 11 mistakes in 106 other pictures 7 lie below 0.77.
SAME_PLACE = 0.85
SMALLEST_REST = 0.5  # share of the mean face that must lie in the photo for its measures to mean anything
EDGE_PIXELS = 3  # of a blob at the photo's edge, from which on it goes on beyond
LARGEST_STEP = 3.0  # factor by which a refinement may change the window's side
FACE_PROBABILITY = 0.5
CANDIDATE_PROBABILITY = 0.3  # the network is less sure of small faces
LARGEST_BATCH = 8
MOST_CANDIDATES = 128


class View(NamedTuple):
    """What the network sees in a window.

    Attributes:
        window: of the photo.
        full: (S, S) float32 probability of the full face.
        inside: (S, S) bool, where there is photo and not its continuation.
    """

    window: Window
    full: Probability
    inside: Mask


class Candidate(NamedTuple):
    """Where a face may be.

    Attributes:
        window: of the photo, around the face.
        score: how like a face its blob was, 0..1: its mean probability times its IoU with the mean face.
        view: that showed it.
    """

    window: Window
    score: float
    view: View


class SelfDetector:
    """Finds faces with the network that segments them; used as `face_align.detect.YuNetDetector`.

    Args:
        segmenter: of crops; its map `full` is used, its first where it has none of that name.
        score_threshold: faces below this are dropped, see `Candidate.score`.
        overlap_threshold: of two windows that overlap by more than this IoU only the surer one stays.
    """

    def __init__(self, segmenter: CropModel, *, score_threshold: float = 0.6, overlap_threshold: float = 0.3) -> None:
        self._segmenter = segmenter
        self._score_threshold = score_threshold
        self._overlap_threshold = overlap_threshold
        self._channel = segmenter.outputs.index("full") if "full" in segmenter.outputs else 0

    def detect(self, image: Image8) -> list[Face]:
        """Return the faces in `image`, the one with the largest box first; empty when there is none.

        Box and points are those of a mean frontal face at the place and of the size of the mask.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        small, factor = shrink(image, size=self._segmenter.size)
        size = (small.shape[0], small.shape[1])
        found = self._blobs(small, [whole_window(size)])
        if not found or min(candidate.window.side for candidate in found) < LARGE_FACE * max(size):
            found += self._blobs(small, tile_windows(size, share=TILE_SIDE))
        return self._confirmed(image, found, factor) or self._confirmed(
            image, self._blobs(small, tile_windows(size, share=FINE_TILE_SIDE)), factor
        )

    def _confirmed(self, image: Image8, found: Iterable[Candidate], factor: float) -> list[Face]:
        """Return the faces, the largest first, that candidates turn out to be.

        Args:
            image: the photo.
            found: in the photo made smaller.
            factor: the photo's size / that of the small one.
        """
        enlarged = [candidate._replace(window=candidate.window.enlarged(factor)) for candidate in found]
        candidates = self._surest(enlarged)[:MOST_CANDIDATES]
        for _ in range(REFINEMENTS):
            candidates = self._refine(image, candidates)
        sure = [one for one in candidates if one.score >= self._score_threshold]
        faces = [one.window.face(one.score) for one in self._steady(image, sure)]
        return sorted(faces, key=lambda face: (-face.area, face.box))

    def _blobs(self, image: Image8, windows: Sequence[Window]) -> list[Candidate]:
        """Return the blobs that windows show; less sure are those that go on beyond an edge of their window."""
        smallest = round((SMALLEST_BLOB * self._segmenter.size) ** 2)
        whole_face = extent_of(mean_face(self._segmenter.size))
        found = []
        for view in self._look(image, windows):
            for blob in components((view.full > CANDIDATE_PROBABILITY) & view.inside, smallest=smallest):
                candidate = _judge(view, blob, expected=whole_face)
                found.append(candidate._replace(score=candidate.score * (CUT_SHARE if _is_cut(blob) else 1.0)))
        return found

    def _refine(self, image: Image8, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return each candidate as its own window shows it; those that show no face there are dropped."""
        target = mean_face(self._segmenter.size)
        found = []
        for view in self._look(image, [candidate.window for candidate in candidates]):
            blobs = components((view.full > FACE_PROBABILITY) & view.inside, smallest=1)
            shared = [int((blob & target).sum()) for blob in blobs]
            if any(shared):
                blob = blobs[int(np.argmax(shared))]
                found.append(_judge(view, blob, expected=extent_of(_visible_part(target, blob, view.inside))))
        return self._surest(found)

    def _steady(self, image: Image8, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return the candidates that are seen at the same place from nearer and from farther away."""
        windows = [candidate.window.zoomed(zoom) for candidate in candidates for zoom in ZOOMS]
        views = iter(list(self._look(image, windows)))
        agreed = [min(agreement(candidate.view, next(views)) for _ in ZOOMS) for candidate in candidates]
        return [candidate for candidate, iou in zip(candidates, agreed, strict=True) if iou >= SAME_PLACE]

    def _look(self, image: Image8, windows: Sequence[Window]) -> Iterator[View]:
        """Yield what the network sees in windows of the photo."""
        size = self._segmenter.size
        for start in range(0, len(windows), LARGEST_BATCH):
            batch = windows[start : start + LARGEST_BATCH]
            answers = self._segmenter.predict_crops(np.stack([cut_out(image, window, size=size) for window in batch]))
            for window, answer in zip(batch, answers, strict=True):
                yield View(window, answer[self._channel], window.inside((image.shape[0], image.shape[1]), size=size))

    def _surest(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Return the candidates without duplicates, the surest first."""
        kept: list[Candidate] = []
        for candidate in sorted(candidates, key=lambda one: (-one.score, one.window)):
            if all(candidate.window.overlap(other.window) <= self._overlap_threshold for other in kept):
                kept.append(candidate)
        return kept


def by_segmenter(segmenter: CropModel, rule: CropRule, *, max_faces: int | None = None) -> Locator:
    """Return a locator of the faces that the segmenter itself finds, the largest first; it needs no other file.

    It holds no state, so that several threads may share it. Boxes and points are estimates, see `SelfDetector.detect`.

    Args:
        segmenter: of crops.
        rule: how points become a crop.
        max_faces: keep so many of the largest; None keeps all.
    """
    return by_detector(SelfDetector(segmenter), rule, max_faces=max_faces)


def agreement(first: View, second: View) -> float:
    """Return the IoU of the faces that two views show, in the frame of the first and where both show the photo."""
    size = len(first.full)
    second_to_first = compose(first.window.to_picture(size), invert(second.window.to_picture(size)))
    moved = apply_to_map(second_to_first, second.full, size=(size, size), outside=-1.0)
    common = first.inside & (moved >= 0)
    one, other = (first.full > FACE_PROBABILITY) & common, (moved > FACE_PROBABILITY) & common
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 0.0


def _judge(view: View, blob: Mask, *, expected: Extent) -> Candidate:
    """Return the window in which the blob would lie as an aligned face does, and how like a face it is.

    Hair over the forehead, a hidden side and a turned head make a mask smaller, so the larger of width and height
    tells the size, and the chin where the face lies.

    Args:
        view: that shows the blob.
        blob: (S, S), not empty.
        expected: how far an aligned face would have reached in this view.
    """
    found = extent_of(blob)
    ratio = max(
        found.width / expected.width,
        found.height / expected.height,
    )
    ratio = min(max(ratio, 1 / LARGEST_STEP), LARGEST_STEP)
    side = view.window.side * ratio
    x = view.window.x + view.window.side * (found.left + found.right) / 2 - side * (expected.left + expected.right) / 2
    y = view.window.y + view.window.side * found.bottom - side * expected.bottom
    return Candidate(Window(x, y, side), float(view.full[blob].mean()) * likeness(blob, view.inside), view)


def _visible_part(target: Mask, blob: Mask, inside: Mask) -> Mask:
    """Return what a blob is held against: the part of the mean face in the photo if the photo's edge cuts the blob.

    Where it cuts most of the mean face away the rest tells nothing, and the whole is returned, too.
    """
    beyond = cv2.dilate((~inside).view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
    part = target & inside
    is_cut = np.count_nonzero(blob & beyond) >= EDGE_PIXELS
    return part if is_cut and np.count_nonzero(part) >= SMALLEST_REST * np.count_nonzero(target) else target


def _is_cut(blob: Mask) -> bool:
    edges = np.concatenate([blob[0], blob[-1], blob[:, 0], blob[:, -1]])
    return bool(edges.any())
