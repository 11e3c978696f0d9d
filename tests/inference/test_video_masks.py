from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference.video_masks import MaskSmoother, flicker, trust

SIDE, FPS = 96, 25.0


def picture(seed: int = 0) -> np.ndarray:
    """Return a textured crop (S, S, 3)."""
    noise = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def disc(x: float, y: float = SIDE / 2, radius: float = 25) -> np.ndarray:
    """Return the probabilities (1, S, S) of a face at (x, y)."""
    grid = np.hypot(*np.meshgrid(np.arange(SIDE) - x, np.arange(SIDE) - y))
    return (1 / (1 + np.exp((grid - radius) / 1.5))).astype(np.float32)[None]


def smoother(memory_s: float = 0.15) -> MaskSmoother:
    return MaskSmoother(fps=FPS, memory_s=memory_s)


def test_answers_that_flicker_on_a_still_picture_flicker_less() -> None:
    rng, smooth = np.random.default_rng(0), smoother()
    noisy = [disc(48 + rng.normal(0, 1.5), 48 + rng.normal(0, 1.5)) for _ in range(30)]
    smoothed = [smooth.smooth(picture(), answer) for answer in noisy]
    before, after = (flicker([answer[0] > 0.5 for answer in answers[5:]]) for answers in (noisy, smoothed))
    assert after < 0.5 * before
    assert smoothed[-1].shape == (1, SIDE, SIDE)
    assert smoothed[-1].dtype == np.float32


def test_the_first_answer_and_constant_answers_are_left_alone() -> None:
    smooth = smoother()
    for _ in range(3):
        np.testing.assert_allclose(smooth.smooth(picture(), disc(40)), disc(40), atol=2e-2)


def test_answers_move_along_with_the_picture() -> None:
    """A face that goes 2 px a frame leaves no trail behind it."""
    smooth, large = smoother(), np.tile(picture(), (1, 2, 1))
    for index in range(15):
        crop = np.ascontiguousarray(large[:, SIDE - 2 * index : 2 * SIDE - 2 * index])
        wanted = disc(25 + 2 * index)
        found = smooth.smooth(crop, wanted)
    union, shared = ((found > 0.5) | (wanted > 0.5)).sum(), ((found > 0.5) & (wanted > 0.5)).sum()
    assert shared / union > 0.95


def test_where_something_moves_in_front_the_new_answer_stands() -> None:
    smooth, hand = smoother(), picture()
    for _ in range(10):
        smooth.smooth(picture(), disc(48))
    hand[30:60, 30:60] = (255, 255, 255)
    hidden = disc(48)
    hidden[:, 30:60, 30:60] = 0
    found = smooth.smooth(hand, hidden)
    assert (found[0, 35:55, 35:55] < 0.5).mean() > 0.95
    assert (found[0, 45, 65:70] > 0.5).all()


def test_trust_falls_with_the_difference_of_pictures() -> None:
    grey = np.full((SIDE, SIDE), 100, np.uint8)
    shares = [float(trust(grey, grey + np.uint8(step)).mean()) for step in (0, 6, 12, 40)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1
    assert shares[2] == pytest.approx(np.exp(-1), abs=0.01)
    assert shares[3] < 0.01


def test_flicker_is_the_share_of_pixels_that_change() -> None:
    masks = [np.zeros((10, 10), bool) for _ in range(3)]
    masks[1][0, :5] = True
    assert flicker(masks) == pytest.approx(0.05)
    assert flicker(masks[:1] * 4) == 0
    with pytest.raises(ValueError, match="at least two"):
        flicker(masks[:1])
