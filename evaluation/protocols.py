"""The protocols that published tables use, each a function of the confusion counts of images.

They differ in what has one vote: every pixel of the set (`dataset_scores`, `pooled_cofw`) or every image
(`per_image_scores`). Numbers of one protocol cannot be held against numbers of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from common.metrics import Counts, dataset_miou, per_image_face_iou, pool

PER_IMAGE = ("face_iou", "dice", "precision", "recall", "accuracy")


class DatasetScores(NamedTuple):
    """Scores of pixels summed over the set; means are over background and face."""

    miou: float
    mdice: float
    mfscore: float
    pixel_accuracy: float


class PerImageScores(NamedTuple):
    """Means over images."""

    face_iou: float
    dice: float
    precision: float
    recall: float
    accuracy: float


class PooledCofw(NamedTuple):
    """Scores from one confusion matrix over the set, but for the last.

    Attributes:
        miou: mean of background and face IoU.
        accuracy: right pixels / scored pixels.
        face_recall: found face pixels / face pixels.
        mean_face_recall: the same in each image, averaged over images.
    """

    miou: float
    accuracy: float
    face_recall: float
    mean_face_recall: float


def dataset_scores(counts: Sequence[Counts]) -> DatasetScores:
    """Return the scores with intersections and unions summed over the whole set.

    With as much weight on precision as on recall, which is mmsegmentation's default, `mfscore` is `mdice`.

    Source: mmsegmentation's mIoU, mDice, mFscore and aAcc, as the NatOcc / RandOcc paper uses them.
    """
    pooled = pool(counts)
    mdice = (pooled.background_dice + pooled.dice) / 2
    return DatasetScores(dataset_miou(counts), mdice, mdice, pooled.accuracy)


def per_image_scores(counts: Sequence[Counts]) -> PerImageScores:
    """Return the scores of each image, averaged over images.

    Raises:
        ValueError: there is no image.

    Source: the protocol of the FaceOcc recipe; there on aligned crops of 256 px, at logit > 0, probability > 0.5.
    """
    others = (float(np.mean([getattr(image, name) for image in counts])) for name in PER_IMAGE[1:])
    return PerImageScores(per_image_face_iou(counts), *others)


def pooled_cofw(counts: Sequence[Counts]) -> PooledCofw:
    """Return the scores of one confusion matrix over the set.

    Raises:
        ValueError: there is no image.

    Source: Nirkin et al. 2018, "On face segmentation, face swapping, and face perception", scores on COFW.
    """
    pooled = pool(counts)
    mean_recall = per_image_scores(counts).recall
    return PooledCofw(dataset_miou(counts), pooled.accuracy, pooled.recall, mean_recall)
