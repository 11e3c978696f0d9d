from __future__ import annotations

import cv2
import numpy as np

from inference.edge_refinement import guided_filter, refine_edges
from inference.photo_masks import Patch


def test_a_blurred_mask_follows_the_edge_of_the_photo() -> None:
    truth = np.zeros((200, 200), np.uint8)
    cv2.circle(truth, (100, 100), 60, 1, -1)
    photo = np.where(truth[..., None] > 0, np.uint8([200, 150, 120]), np.uint8([60, 80, 70]))
    moved = cv2.GaussianBlur(np.roll(truth, 2, axis=1).astype(np.float32), (0, 0), 3)
    before = Patch(slice(0, 200), slice(0, 200), moved[None])
    after = refine_edges(photo, before)
    wrong = [int(((patch.probabilities[0] > 0.5) != (truth > 0)).sum()) for patch in (before, after)]
    assert wrong[1] < 0.5 * wrong[0]
    assert 0 <= after.probabilities.min() <= after.probabilities.max() <= 1


def test_only_the_part_of_the_photo_below_the_patch_is_read() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    probabilities = np.random.default_rng(1).random((2, 20, 30), np.float32)
    patch = Patch(slice(5, 25), slice(10, 40), probabilities)
    refined = refine_edges(photo, patch)
    part = refine_edges(photo[5:25, 10:40], patch._replace(rows=slice(0, 20), columns=slice(0, 30)))
    np.testing.assert_array_equal(refined.probabilities, part.probabilities)
    assert refined[:2] == patch[:2]
    empty = Patch(slice(0, 0), slice(0, 0), np.zeros((2, 0, 0), np.float32))
    assert refine_edges(photo, empty) is empty


def test_a_flat_photo_only_smooths() -> None:
    values = np.random.default_rng(0).random((40, 40), np.float32)
    flat = np.full((40, 40), 0.5, np.float32)
    smoothed = guided_filter(flat, values, radius=3, smoothness=1e-3)
    expected = cv2.blur(cv2.blur(values, (7, 7)), (7, 7))
    np.testing.assert_allclose(smoothed[8:-8, 8:-8], expected[8:-8, 8:-8], atol=1e-4)


def test_a_linear_function_of_the_photo_is_kept() -> None:
    guide = cv2.GaussianBlur(np.random.default_rng(0).random((40, 40), np.float32), (0, 0), 1)
    kept = guided_filter(guide, 0.2 + 0.5 * guide, radius=2, smoothness=1e-9)
    np.testing.assert_allclose(kept, 0.2 + 0.5 * guide, atol=1e-3)
