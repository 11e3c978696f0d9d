from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from common.labels import PART_ID, FacePolicy
from configs.schema import LimbSection
from occlusion_gen.face import Face, Params, make_face
from occlusion_gen.generators.limb import Limb, build_limb

SKIN = (200, 150, 120)
seeds = st.integers(0, 2**32 - 1)


def face_of(height: int = 128, width: int = 128, *, skin: tuple[int, int, int] = SKIN) -> Face:
    label = np.zeros((height, width), np.uint8)
    label[height // 4 : -height // 8, width // 4 : -width // 4] = PART_ID["skin"]
    return make_face(np.full((height, width, 3), skin, np.uint8), label, FacePolicy())


def limb_of(**changed: object) -> Limb:
    return build_limb(LimbSection.model_validate(changed), split="train", max_side_px=256)


def drawn(seed: int, face: Face) -> Params:
    return limb_of().draw_params(np.random.default_rng(seed), face)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_equal_parameters_give_equal_bytes_and_the_face_stays(seed: int) -> None:
    face = face_of()
    params = drawn(seed, face)
    first, second = limb_of().patch(params, face), limb_of().patch(params, face_of())
    for name in ("colour", "alpha", "hides"):
        assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.alpha.dtype == first.hides.dtype == np.uint8
    assert_array_equal(first.hides, np.where(first.alpha > 127, 255, 0))
    assert (face.image == SKIN).all()


@pytest.mark.parametrize("size", [(60, 60), (128, 300), (700, 700)])
def test_the_arm_comes_from_outside_and_is_one_piece(size: tuple[int, int]) -> None:
    face = face_of(*size)
    touched = 0
    for seed in range(20):
        patch = limb_of().patch(drawn(seed, face), face)
        whole = np.zeros(size, np.uint8)
        whole[patch.rows, patch.columns] = patch.hides
        if not whole.any():
            continue
        touched += 1
        assert cv2.connectedComponents(whole)[0] <= 3  # background, the limb, and at most a finger cut off by the edge
        edge = np.concatenate([whole[0], whole[-1], whole[:, 0], whole[:, -1]])
        assert edge.any(), f"seed {seed}: the arm ends inside of the picture"
    assert touched >= 18


def test_it_has_the_colour_of_the_face() -> None:
    for skin in ((220, 180, 160), (90, 60, 45)):
        face = face_of(skin=skin)
        shades = []
        for seed in range(12):
            patch = limb_of(tone=(1.0, 1.0)).patch({**drawn(seed, face), "tone": 1.0, "nails_px": []}, face)
            shades.append(patch.colour[patch.alpha > 250].reshape(-1, 3).mean(axis=0))
        mean = np.mean(shades, axis=0)
        assert_allclose(mean / mean.sum(), np.array(skin) / sum(skin), atol=0.01)  # the same hue
        assert 0.6 < mean.sum() / sum(skin) < 1.2


def test_folds_and_rims_are_darker_than_the_middle_of_a_rod() -> None:
    face = face_of()
    straight = {
        **drawn(0, face),
        "rods_px": [[20, 64, 108, 64, 20, 20]],
        "nails_px": [],
        "lamp_height": 1.5,
        "tone": 1.0,
    }
    patch = limb_of().patch(straight, face)
    grey = patch.colour.mean(axis=2)
    row, column = 64 - patch.rows.start, 64 - patch.columns.start
    assert grey[row, column] > grey[row - 18, column] - 40
    assert grey[row, column] > grey[row + 18, column] - 40
    assert min(grey[row - 18, column], grey[row + 18, column]) < grey[row, column]


def test_sizes_follow_the_section() -> None:
    face = face_of(256, 256)
    small = [limb_of(width=(0.1, 0.1)).draw_params(np.random.default_rng(s), face)["palm_px"] for s in range(5)]
    assert_allclose(small, 0.1 * max(face.box[2:]), atol=0.01)  # type: ignore[index]
    with pytest.raises(ValueError, match="above 0"):
        LimbSection.model_validate({"width": (0.0, 0.2)})


def test_a_face_of_one_pixel_has_a_limb_too() -> None:
    label = np.zeros((32, 32), np.uint8)
    label[16, 16] = PART_ID["skin"]
    face = make_face(np.zeros((32, 32, 3), np.uint8), label, FacePolicy())
    patch = limb_of().patch(drawn(1, face), face)
    assert patch.alpha.shape == patch.colour.shape[:2]
