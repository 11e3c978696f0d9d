from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from common.geometry import scaling
from occlusion_gen.blending.compositing import blend, lay, soften_alpha, soften_edge, warp_to_patch
from occlusion_gen.blending.degrade import degrade, draw_degradation, gaussian_kernel
from occlusion_gen.face import Patch

seeds = st.integers(0, 2**32 - 1)
NOTHING = {"blur": None, "jpeg_quality": None, "brightness_contrast": None}
BLUR = {"kernel": 5, "sigma_px": [0.9, 0.9], "angle_deg": 0.0, "beta": 1.0, "noise_seed": 1}
PHOTO = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)


@given(seeds)
def test_a_composite_lies_between_its_layers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    face, colour = rng.integers(0, 256, (2, 9, 11, 3), dtype=np.uint8)
    alpha = rng.choice(np.array([0, 1, 77, 128, 254, 255], np.uint8), (9, 11))
    mixed = blend(face, colour, alpha)
    assert (mixed >= np.minimum(face, colour)).all()
    assert (mixed <= np.maximum(face, colour)).all()
    assert_array_equal(mixed[alpha == 0], face[alpha == 0])
    assert_array_equal(mixed[alpha == 255], colour[alpha == 255])
    share = alpha[..., None] / 255
    assert (
        abs(mixed - ((1 - share) * face + share * colour)).max() <= 0.505
    )  # OpenCV divides by the sum of both shares and 1e-5


def test_softening_touches_only_the_rim() -> None:
    alpha = np.zeros((40, 40), np.uint8)
    alpha[10:30, 10:30] = 255
    soft = soften_alpha(alpha, scale=1.0)
    assert (soft[13:27, 13:27] == 255).all()
    assert not soft[:9].any()
    assert not soft[:, :9].any()
    rim = soft[20, 8:14].astype(int)
    assert (np.diff(rim) >= 0).all()
    assert len(set(rim.tolist())) >= 4
    assert soft.sum() < alpha.sum()  # drawn in, not out


@given(seeds, st.sampled_from([32, 64]))
def test_only_a_band_along_the_edge_is_smoothed(seed: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    mask = np.zeros((side, side), bool)
    mask[side // 4 : side // 2, side // 4 : side // 2] = True
    softened = soften_edge(image, mask, band_px=3, scale=1.0)
    changed = (softened != image).any(axis=2)
    edge = np.zeros_like(mask)
    low, high = side // 4 - 1, side // 2 + 1
    edge[low:high, low:high] = True
    edge[low + 2 : high - 2, low + 2 : high - 2] = False
    assert changed.any()
    assert not (changed & ~edge).any()
    assert_array_equal(soften_edge(image, mask & False, band_px=3, scale=1.0), image)
    assert_array_equal(soften_edge(image, mask | True, band_px=3, scale=1.0), image)


def touched_px(edge: str, side: int) -> int:
    """Return how many pixels across the edge of an opaque half the composite mixes or smooths."""
    below = np.random.default_rng(0).integers(0, 100, (side, side, 1), dtype=np.uint8).repeat(3, axis=2)
    half = np.zeros((side, side), np.uint8)
    half[:, side // 2 :] = 255
    colour = 255 - below
    image, _ = lay(Patch(slice(0, side), slice(0, side), colour, half, half), below, edge=edge, side_px=side)
    plain = np.where(half[..., None] > 0, colour, below)
    return int((image != plain).any(axis=(0, 2)).sum())


def test_the_soft_edge_grows_with_the_image_or_stays_as_published() -> None:
    assert touched_px("scaled", 1024) == touched_px("published", 1024) == touched_px("published", 256)
    assert 1 <= touched_px("scaled", 256) < touched_px("published", 256) < touched_px("scaled", 2048)
    assert touched_px("hard", 256) == 0


@pytest.mark.parametrize("ratio", [0.2, 0.5, 1.0, 2.3])
def test_no_dark_fringe_enters_with_the_warp(ratio: float) -> None:
    """Inside the occluder's alpha, the warped colour is the occluder's and never the black around it."""
    rgba = np.full((50, 60, 4), 240, np.uint8)
    rgba[..., 3] = 255
    size = (math.ceil(50 * ratio) + 20, math.ceil(60 * ratio) + 20)
    matrix = scaling((50, 60), (round(50 * ratio), round(60 * ratio)))
    matrix[:, 2] += 7.3
    patch = warp_to_patch(rgba, matrix, crop_size=size)
    assert (patch.colour[patch.alpha > 0] == 240).all()
    assert patch.alpha.max() == 255
    assert patch.alpha[0].max() == 0


def test_nothing_changes_without_a_degradation() -> None:
    assert_array_equal(degrade(NOTHING, PHOTO), PHOTO)


@pytest.mark.parametrize(
    "params", [{"blur": BLUR}, {"jpeg_quality": 70}, {"brightness_contrast": [0.1, 0.0]}], ids=lambda p: next(iter(p))
)
def test_each_degradation_changes_the_image_and_repeats(params: dict[str, object]) -> None:
    first = degrade({**NOTHING, **params}, PHOTO)
    assert (first != PHOTO).mean() > 0.3
    assert_array_equal(first, degrade({**NOTHING, **params}, PHOTO))


def test_brightness_is_relative_to_the_mean() -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)
    assert (degrade({**NOTHING, "brightness_contrast": [0.1, 0.0]}, grey) == 110).all()
    assert (degrade({**NOTHING, "brightness_contrast": [0.0, -0.1]}, grey) == 90).all()
    assert (degrade({**NOTHING, "brightness_contrast": [-0.1, 0.1]}, grey) == 100).all()


def test_jpeg_keeps_the_colour_order() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert abs(degrade({**NOTHING, "jpeg_quality": 90}, red).astype(int) - red).max() < 12


@given(seeds)
def test_kernels_are_normalised_and_draws_keep_to_their_ranges(seed: int) -> None:
    params = draw_degradation(
        np.random.default_rng(seed), blur_share=1, jpeg_share=1, brightness_contrast_share=1, limit=0.1
    )
    kernel = gaussian_kernel(params["blur"])
    assert kernel.shape == (params["blur"]["kernel"],) * 2
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    assert 70 <= params["jpeg_quality"] <= 100
    assert np.abs(params["brightness_contrast"]).max() <= 0.1


def test_shares_are_kept() -> None:
    rng = np.random.default_rng(0)
    drawn = [
        draw_degradation(rng, blur_share=0.2, jpeg_share=0.5, brightness_contrast_share=0.8, limit=0.2)
        for _ in range(500)
    ]
    for name, share in (("blur", 0.2), ("jpeg_quality", 0.5), ("brightness_contrast", 0.8)):
        assert np.mean([params[name] is not None for params in drawn]) == pytest.approx(share, abs=0.07)
