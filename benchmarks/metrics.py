"""Scores of images in memory, each beside its floor: reading the masks, or one pass over the pixels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Measurement, measure
from benchmarks.world import World
from common.image_io import read_label, read_mask, write_grey, write_mask
from common.labels import FacePolicy, visible_mask
from common.metrics import count
from evaluation.boundary import band_width_px, boundary_scores
from evaluation.image_score import About, Truth, score_image
from evaluation.probabilities import histogram
from evaluation.scores import SetScorer
from face_align.celebamask_hq import PhotoRecord, read_parts, resize_label

SIDE_PX = 256
SIZE = (SIDE_PX, SIDE_PX)
THRESHOLD = 0.5


class Case(NamedTuple):
    """A face and what a model might say about it.

    Attributes:
        truth: (S, S) bool.
        probabilities: (2, S, S) float32, visible and full face.
        prediction: (S, S) bool.
    """

    truth: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    prediction: NDArray[np.bool_]


def run(world: World, scratch: Path, *, n: int) -> list[Measurement]:
    """Return the speed of all scores together, and of each kind, on aligned-crop-sized masks of real outlines."""
    cases = [draw_case(record, seed) for seed, record in enumerate(world.records(n))]
    return [
        time_all(cases, scratch),
        time_counts(cases),
        time_boundary(cases),
        time_histogram(cases),
    ]


def draw_case(record: PhotoRecord, seed: int) -> Case:
    """Return the visible face of a photo, and probabilities with soft edges, errors and noise."""
    rng = np.random.default_rng(seed)
    truth = visible_mask(resize_label(read_parts(record), SIZE), FacePolicy())
    wrong = np.roll(truth, rng.integers(-6, 7, 2), axis=(0, 1)).astype(np.float32)
    soft = cv2.GaussianBlur(wrong, (0, 0), 2.0) + rng.normal(0, 0.02, SIZE).astype(np.float32)
    visible = np.clip(soft, 0, 1)
    full = cv2.dilate(visible, np.ones((9, 9), np.uint8))
    probabilities = np.stack([visible, full]).astype(np.float32)
    return Case(truth, probabilities, probabilities[0] > THRESHOLD)


def time_all(cases: list[Case], scratch: Path) -> Measurement:
    """Return the speed of every score and curve of an image, against decoding its mask and its prediction."""
    scorer = SetScorer()
    for index, case in enumerate(cases):
        write_mask(scratch / f"{index}.mask.png", case.truth)
        write_grey(scratch / f"{index}.probability.png", np.rint(case.probabilities[0] * 255).astype(np.uint8))

    def job(index: int) -> None:
        case = cases[index]
        truth = Truth(case.truth, None, case.truth)
        scorer.add(*score_image(case.probabilities, truth, threshold=THRESHOLD, about=About(str(index))))

    def floor(index: int) -> None:
        read_mask(scratch / f"{index}.mask.png")
        read_label(scratch / f"{index}.probability.png")

    return measure(bench="metrics", case="all scores, 256 px", job=job, floor=floor, n=len(cases))


def time_counts(cases: list[Case]) -> Measurement:
    """Return the speed of the confusion counts, against one comparison with the threshold and one count."""

    def job(index: int) -> None:
        count(cases[index].probabilities[0] > THRESHOLD, cases[index].truth)

    def floor(index: int) -> None:
        np.count_nonzero(cases[index].probabilities[0] > THRESHOLD)

    return measure(bench="metrics", case="confusion counts", job=job, floor=floor, n=len(cases))


def time_boundary(cases: list[Case]) -> Measurement:
    """Return the speed of boundary IoU and F-score, against one erosion of each of the two masks."""
    kernel = np.ones((3, 3), np.uint8)

    def job(index: int) -> None:
        boundary_scores(cases[index].prediction, cases[index].truth)

    def floor(index: int) -> None:
        for mask in (cases[index].prediction, cases[index].truth):
            cv2.erode(mask.view(np.uint8), kernel, iterations=band_width_px(SIZE))

    return measure(bench="metrics", case="boundary IoU and F-score", job=job, floor=floor, n=len(cases))


def time_histogram(cases: list[Case]) -> Measurement:
    """Return the speed of what all curves are made from, against one histogram of bytes."""
    grey = [np.rint(case.probabilities[0] * 255).astype(np.uint8) for case in cases]

    def job(index: int) -> None:
        histogram(cases[index].probabilities[0], cases[index].truth)

    def floor(index: int) -> None:
        np.bincount(grey[index].reshape(-1), minlength=256)

    return measure(bench="metrics", case="curves, calibration, Brier", job=job, floor=floor, n=len(cases))
