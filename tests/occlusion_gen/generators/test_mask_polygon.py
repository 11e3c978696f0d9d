from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from pydantic import ValidationError

from common.errors import RecordError
from common.image_io import write_image
from configs.schema.masks import MaskPolygonSection
from occlusion_gen.face import Face, Patch
from occlusion_gen.generators.mask_polygon import MaskPolygon, build_mask_polygon, outline
from tests.occlusion_gen.templates.turned_head import face_with, turned_points

SHARP, BLURRED = MaskPolygon(blurred_share=0.0), MaskPolygon(blurred_share=1.0)
FRONTAL = [*range(1, 16), 28]


def patch_of(masks: MaskPolygon, face: Face, seed: int = 0) -> Patch:
    params = masks.draw_params(np.random.default_rng(seed), face)
    assert params == json.loads(json.dumps(params))
    return masks.patch(params, face)


def whole(field: np.ndarray, patch: Patch, face: Face) -> np.ndarray:
    full = np.zeros(face.label.shape, field.dtype)
    full[patch.rows, patch.columns] = field
    return full


def test_a_frontal_mask_is_the_published_polygon() -> None:
    points = turned_points(0.0, side_px=112)
    face = face_with(points, side_px=112)
    expected = np.zeros((112, 112), np.uint8)
    cv2.fillPoly(expected, [np.rint(points[FRONTAL]).astype(np.int32)], 255)
    patch = patch_of(SHARP, face)
    assert_array_equal(whole(patch.alpha, patch, face), expected)
    assert_array_equal(whole(patch.hides, patch, face), expected)
    assert not patch.colour.any()


def test_a_profile_is_told_with_its_side() -> None:
    left, right = turned_points(-50.0), turned_points(50.0)
    assert_array_equal(outline(left, profile="auto"), left[[*range(7, 16), 28, 29, 30]])
    assert_array_equal(outline(right, profile="auto"), right[[*range(9, 0, -1), 28, 29, 30]])
    assert_array_equal(outline(left, profile="frontal"), left[FRONTAL])
    slight = turned_points(-5.0)
    assert_array_equal(outline(slight, profile="auto"), slight[FRONTAL])
    assert_array_equal(outline(slight, profile="profile"), slight[[*range(7, 16), 28, 29, 30]])


def test_a_blurred_outline_is_the_published_filter_and_leaves_the_label() -> None:
    face = face_with(turned_points(0.0))
    sharp, blurred = patch_of(SHARP, face), patch_of(BLURRED, face)
    expected = cv2.GaussianBlur(whole(sharp.alpha, sharp, face), (3, 3), 0.5)
    assert_array_equal(whole(blurred.alpha, blurred, face), expected)
    assert_array_equal(blurred.hides, sharp.hides)
    assert ((blurred.alpha > 0) & (blurred.alpha < 255)).any()


@given(st.integers(60, 400), st.floats(-300, 300), st.floats(-300, 300), st.floats(-60, 60))
def test_any_size_and_place(side_px: int, x: float, y: float, yaw_deg: float) -> None:
    face = face_with(turned_points(yaw_deg, side_px=side_px, shift=(x, y)), side_px=side_px)
    for masks in (SHARP, BLURRED):
        patch = patch_of(masks, face)
        assert face.label[patch.rows, patch.columns].shape == patch.alpha.shape == patch.hides.shape
        assert patch.colour.shape == (*patch.alpha.shape, 3)


def test_an_outline_on_the_first_row_and_column_is_blurred_like_any_other() -> None:
    points = turned_points(0.0)
    points -= points[FRONTAL].min(axis=0)
    face = face_with(points)
    sharp, blurred = patch_of(SHARP, face), patch_of(BLURRED, face)
    assert sharp.rows.start == sharp.columns.start == 0
    assert whole(sharp.hides, sharp, face)[0].any()
    expected = cv2.GaussianBlur(whole(sharp.alpha, sharp, face), (3, 3), 0.5, borderType=cv2.BORDER_REPLICATE)
    assert_array_equal(whole(blurred.alpha, blurred, face), expected)


def test_colours_and_textures(tmp_path: Path) -> None:
    face = face_with(turned_points(0.0))
    seen = {tuple(patch_of(MaskPolygon(colour="random"), face, seed).colour[0, 0]) for seed in range(30)}
    assert len(seen) > 20
    texture = np.zeros((50, 50, 3), np.uint8)
    texture[::2] = (10, 200, 60)
    write_image(tmp_path / "stripes_1.png", texture)
    section = MaskPolygonSection(colour="texture", textures=tmp_path, holdout_share=0.0)
    patch = patch_of(build_mask_polygon(section, split="train", max_side_px=256), face)
    assert patch.colour.std() > 20
    assert patch.colour[..., 1].mean() > 2 * patch.colour[..., 0].mean()


def test_a_texture_needs_its_folder() -> None:
    with pytest.raises(ValidationError, match="needs a folder in `textures`"):
        MaskPolygonSection(colour="texture")


@pytest.mark.parametrize(
    ("points", "outcome"), [(None, "no_landmarks"), (np.full((68, 2), 9.0), "bad_landmarks")], ids=["none", "equal"]
)
def test_faces_that_cannot_wear_one_are_bad_records(points: np.ndarray | None, outcome: str) -> None:
    with pytest.raises(RecordError, match="landmarks") as caught:
        patch_of(SHARP, face_with(points))
    assert caught.value.outcome == outcome
