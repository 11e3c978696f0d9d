from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from common.labels import PART_ID
from configs.schema.harmony import HarmonySection
from occlusion_gen.blending.grain import add_noise, edge_blur, face_window, noise_level
from occlusion_gen.blending.harmonise import draw_harmony, harmonise
from occlusion_gen.face import Patch
from tests.occlusion_gen.blending.drawn_patches import draw_face, draw_patch

NOTHING = draw_harmony(np.random.default_rng(0), part=PART_ID["hand"], **HarmonySection.published().model_dump())


def checkerboard(sigma_px: float) -> np.ndarray:
    board = ((np.indices((144, 144)) // 24).sum(axis=0) % 2 * 150 + 50).astype(np.float32)
    return cv2.GaussianBlur(board, (0, 0), sigma_px)


def test_blur_and_noise_are_measured() -> None:
    everywhere = np.ones((144, 144), bool)
    sigmas = [0.7, 1.0, 1.5, 2.0, 3.0]
    blurs = [edge_blur(checkerboard(sigma), everywhere) for sigma in sigmas]
    assert None not in blurs
    # Sobel's own width adds to the sharpest.
    np.testing.assert_allclose(blurs, np.hypot(sigmas, 0.75), rtol=0.12)
    assert edge_blur(np.full((50, 50), 90, np.float32), np.ones((50, 50), bool)) is None
    assert edge_blur(checkerboard(1.0), ~everywhere) is None
    rng = np.random.default_rng(0)
    for sigma in (1.0, 4.0, 9.0):
        noisy = checkerboard(1.0) + rng.normal(0, sigma, (144, 144)).astype(np.float32)
        assert noise_level(noisy, everywhere) == pytest.approx(sigma, rel=0.15, abs=0.3)


def sharp_patch() -> Patch:
    patch = draw_patch(slice(20, 164), slice(20, 164))
    board = np.rint(checkerboard(0.5)).astype(np.uint8)
    return patch._replace(colour=np.dstack([board] * 3))


def test_an_occluder_becomes_as_soft_as_the_photo_and_no_softer() -> None:
    face = draw_face(400, 400)
    board = np.tile(np.dstack([np.rint(checkerboard(0.5)).astype(np.uint8)] * 3), (3, 3, 1))[:400, :400]
    sharp = face._replace(image=board)
    soft = face._replace(image=cv2.GaussianBlur(board, (0, 0), 2.0))
    patch, params = sharp_patch(), {**NOTHING, "sharpness": True}
    assert_array_equal(harmonise(params, patch, face=sharp).colour, patch.colour)
    fitted = harmonise(params, patch, face=soft)
    grey = fitted.colour[..., 0].astype(np.float32)
    found = edge_blur(grey, cv2.erode(fitted.alpha, np.ones((25, 25), np.uint8)) > 250)
    assert found == pytest.approx(edge_blur(*face_window(soft)), rel=0.15)
    assert (fitted.hides > 0).sum() == (patch.hides > 0).sum()


def test_an_occluder_becomes_as_noisy_as_the_photo() -> None:
    patch = draw_patch(slice(20, 160), slice(20, 160))
    patch = patch._replace(colour=np.full_like(patch.colour, 120))
    clean = draw_face(200, 200)
    clean = clean._replace(image=np.full_like(clean.image, 140))
    noisy = clean._replace(image=add_noise(clean.image, sigma=6, seed=4))
    params = {**NOTHING, "noise_seed": 1}
    assert_array_equal(harmonise(params, patch, face=clean).colour, patch.colour)
    fitted = harmonise(params, patch, face=noisy).colour
    assert fitted[..., 0].std() == pytest.approx(6, rel=0.15)
    assert (harmonise({**params, "noise_seed": 2}, patch, face=noisy).colour != fitted).any()
