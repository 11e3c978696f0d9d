from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve

from occlusion_gen.blending.poisson import poisson_blend
from occlusion_gen.face import Image8, Mask, Patch
from tests.occlusion_gen.blending.drawn_patches import disc, draw_patch, textured


def solve_exactly(gap: NDArray[np.float64], inside: Mask) -> NDArray[np.float64]:
    """Return `gap` (h, w, 3) with Laplace's equation solved inside, values given outside and none beyond the edges."""
    height, width = inside.shape
    number = -np.ones(inside.shape, int)
    number[inside] = np.arange(inside.sum())
    matrix, right = lil_matrix((int(inside.sum()),) * 2), np.zeros((int(inside.sum()), 3))
    for y, x in zip(*np.nonzero(inside), strict=True):
        row = number[y, x]
        for other_y, other_x in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if not (0 <= other_y < height and 0 <= other_x < width):
                continue
            matrix[row, row] += 1
            if inside[other_y, other_x]:
                matrix[row, number[other_y, other_x]] -= 1
            else:
                right[row] += gap[other_y, other_x]
    solved = gap.copy()
    solved[inside] = spsolve(matrix.tocsr(), right)
    return solved


def layers(height: int, width: int, *, cut: int = 0) -> tuple[Image8, Patch]:
    """Return what lies below and a patch; the occluder leaves the region by `cut` pixels to the left."""
    below = textured(height, width, (180, 130, 110), seed=3)
    patch = draw_patch(slice(0, height), slice(0, width), colour=(90, 110, 150))
    inside = disc(height, width + cut, share=0.35)[:, cut:] * np.uint8(255)
    return below, patch._replace(alpha=inside, hides=inside)


@pytest.mark.parametrize(("size", "cut"), [((40, 48), 0), ((40, 48), 20), ((120, 100), 0), ((250, 260), 90)])
def test_the_membrane_is_the_solution_of_the_equation(size: tuple[int, int], cut: int) -> None:
    below, patch = layers(*size, cut=cut)
    gap = below.astype(np.float64) - patch.colour
    if max(size) > 128:  # solved at a smaller size: compare without what is lost there
        gap, below = cv2.GaussianBlur(gap, (0, 0), 4), cv2.GaussianBlur(below, (0, 0), 4)
        patch = patch._replace(colour=np.clip(np.rint(below - gap), 0, 255).astype(np.uint8))
    exact = np.clip(patch.colour + solve_exactly(gap, patch.alpha > 0), 0, 255)
    error = np.abs(poisson_blend(below, patch) - exact)[patch.alpha > 0]
    assert error.mean() < 1.0
    assert np.percentile(error, 99) < 5


def test_a_constant_difference_vanishes() -> None:
    """An occluder that is the picture below, only brighter, becomes the picture below."""
    below = textured(70, 90, (120, 110, 100), seed=5)
    patch = draw_patch(slice(0, 70), slice(0, 90))._replace(colour=below + np.uint8(20))
    assert np.abs(poisson_blend(below, patch).astype(int) - below).max() <= 1


@pytest.mark.parametrize("cut", [10, 30, 44])
def test_an_occluder_that_leaves_the_photo_stays_where_it_is(cut: int) -> None:
    below, patch = layers(60, 64, cut=cut)
    blended = poisson_blend(below, patch)
    assert_array_equal(blended[patch.alpha == 0], below[patch.alpha == 0])
    detail = patch.colour.astype(np.float32) - cv2.GaussianBlur(patch.colour, (0, 0), 1.5)
    found = blended.astype(np.float32) - cv2.GaussianBlur(blended, (0, 0), 1.5)
    inner = cv2.erode(patch.alpha, np.ones((9, 9), np.uint8)) > 0
    assert np.corrcoef(detail[inner].ravel(), found[inner].ravel())[0, 1] > 0.95


def test_strength_goes_from_plain_blending_to_the_whole_membrane() -> None:
    below, patch = layers(50, 50)
    plain, half, whole = (poisson_blend(below, patch, strength=share).astype(int) for share in (0.0, 0.5, 1.0))
    assert_array_equal(plain[patch.alpha == 255], patch.colour[patch.alpha == 255])
    assert np.abs(half - (plain + whole) / 2).max() <= 1.5
    assert np.abs(whole - plain).max() > 20


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_any_patch_is_blended(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    below, colour = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    alpha = rng.choice(np.array([0, 100, 255], np.uint8), (height, width), p=rng.dirichlet([1, 1, 1]))
    patch = Patch(slice(0, height), slice(0, width), colour, alpha, alpha)
    blended = poisson_blend(below, patch)
    assert blended.shape == below.shape
    assert blended.dtype == np.uint8
    assert_array_equal(blended[alpha == 0], below[alpha == 0])
    assert_array_equal(blended, poisson_blend(below, patch))


def test_a_region_without_pixels_and_one_that_is_all_occluder() -> None:
    empty = draw_patch(slice(5, 5), slice(2, 9))
    assert poisson_blend(empty.colour, empty).shape == (0, 7, 3)
    below, patch = layers(20, 30)
    full = patch._replace(alpha=np.full_like(patch.alpha, 255))
    assert_array_equal(poisson_blend(below, full), patch.colour)
