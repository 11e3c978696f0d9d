"""Confusion counts per image, and every score made from them.

By definition an empty prediction on an empty truth scores 1, in every ratio whose denominator is then 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class Counts(NamedTuple):
    """Pixels by prediction and truth; "positive" is face. Counts of several images add up by `pool`."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def pixels(self) -> int:
        """Number of scored pixels."""
        return sum(self)

    @property
    def face_iou(self) -> float:
        """Intersection over union of the face."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    @property
    def background_iou(self) -> float:
        """Intersection over union of everything that is not visible face."""
        return _ratio(self.true_negative, self.true_negative + self.false_positive + self.false_negative)

    @property
    def dice(self) -> float:
        """F1 score of the face."""
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    @property
    def background_dice(self) -> float:
        """F1 score of everything that is not visible face."""
        return _ratio(2 * self.true_negative, 2 * self.true_negative + self.false_positive + self.false_negative)

    @property
    def precision(self) -> float:
        """Share of the predicted face that is face."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """Share of the face that was found."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def accuracy(self) -> float:
        """Share of the pixels that are right."""
        return _ratio(self.true_positive + self.true_negative, self.pixels)


def count(prediction: Mask, truth: Mask, *, valid: Mask | None = None) -> Counts:
    """Return the confusion counts of one image.

    Args:
        prediction: (H, W) bool, True is face.
        truth: (H, W) bool.
        valid: (H, W) bool, pixels to score; None scores all.

    Raises:
        ValueError: shapes differ or an array is not boolean.
    """
    valid = np.ones_like(truth) if valid is None else valid
    for name, mask in (("prediction", prediction), ("truth", truth), ("valid", valid)):
        if mask.dtype != np.bool_ or mask.shape != truth.shape:
            raise ValueError(f"{name}: expected bool {truth.shape}, found {mask.dtype} {mask.shape}")
    scored_truth = truth & valid
    true_positive = int(np.count_nonzero(prediction & scored_truth))
    predicted, actual = int(np.count_nonzero(prediction & valid)), int(np.count_nonzero(scored_truth))
    pixels = int(np.count_nonzero(valid))
    return Counts(
        true_positive, predicted - true_positive, actual - true_positive, pixels - predicted - actual + true_positive
    )


def pool(counts: Iterable[Counts]) -> Counts:
    """Return the sum of the counts of several images."""
    totals = np.array(list(counts), dtype=np.int64).reshape(-1, 4).sum(axis=0)
    return Counts(*(int(total) for total in totals))


def dataset_miou(counts: Iterable[Counts]) -> float:
    """Return the mean of background and face IoU, intersections and unions summed over the whole set.

    Source: the protocol of the NatOcc / RandOcc paper (mmsegmentation's `mIoU`).
    """
    pooled = pool(counts)
    return (pooled.background_iou + pooled.face_iou) / 2


def per_image_face_iou(counts: Iterable[Counts]) -> float:
    """Return the face IoU of each image, averaged over images.

    Raises:
        ValueError: there is no image.

    Source: the protocol of the FaceOcc recipe.
    """
    scores = [image.face_iou for image in counts]
    if not scores:
        raise ValueError("the mean over no image is not defined")
    return float(np.mean(scores))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
