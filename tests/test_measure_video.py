from __future__ import annotations

import cv2
import numpy as np
import pytest

from scripts.measure_video import FPS, SIZE, Truth, moving, scene_flicker


def photo_of_a_disc() -> tuple[np.ndarray, np.ndarray]:
    photo = np.zeros((128, 128, 3), np.uint8)
    cv2.circle(photo, (60, 64), 30, (255, 255, 255), cv2.FILLED)
    return photo, photo[..., 0] > 0


def clip(frames: int, cutout: np.ndarray | None = None) -> list[tuple[np.ndarray, Truth]]:
    return list(moving(*photo_of_a_disc(), scene=1, frames=frames, cutout=cutout))


def test_the_truth_moves_with_its_photo() -> None:
    shown = clip(int(FPS))
    for frame, truth in shown[::6]:
        near = cv2.dilate(truth.visible.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0  # not the mirrored discs
        white = (frame.mean(axis=2) > 128) & near
        assert (white & truth.visible).sum() / (white | truth.visible).sum() > 0.97
    centres = np.array([np.argwhere(truth.visible).mean(axis=0) for _, truth in shown])
    assert np.ptp(centres, axis=0).min() > 3  # px within a second


def test_what_passes_hides_the_face_for_a_while() -> None:
    cutout = np.full((50, 50, 4), (200, 0, 0, 255), np.uint8)
    free, crossed = (np.array([truth.visible.sum() for _, truth in clip(20, thing)]) for thing in (None, cutout))
    assert (crossed[[0, -1]] == free[[0, -1]]).all()
    assert (crossed < 0.8 * free).any()


def test_the_truth_flickers_less_than_a_mask_that_jumps() -> None:
    truths = [truth for _, truth in clip(10)]
    steady = scene_flicker([truth.visible for truth in truths], truths)
    jumping = scene_flicker([np.roll(truth.visible, 4 * (i % 2), axis=1) for i, truth in enumerate(truths)], truths)
    assert steady < 0.005
    assert jumping > 2 * steady
    empty = [np.zeros(SIZE, bool)] * 10
    assert scene_flicker(empty, truths) == pytest.approx(0)
