from __future__ import annotations

import json
import random
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from common.config import ConfigError, validate
from common.labels import PART_ID, FacePolicy
from configs.schema.harmony import HarmonySection
from occlusion_gen.blending.grain import add_noise
from occlusion_gen.blending.harmonise import cast_shadow, draw_harmony, harmonise
from occlusion_gen.face import Face, Params, make_face
from tests.occlusion_gen.blending.drawn_patches import draw_face, draw_patch

HAND, OBJECT = PART_ID["hand"], PART_ID["object"]
NOTHING = draw_harmony(np.random.default_rng(0), part=HAND, **HarmonySection.published().model_dump())
SHADOW = {"strength": 0.5, "distance": 0.08, "turn_deg": 10.0}
MOTION = {"length": 0.12, "angle_deg": 30.0}
EVERYTHING: Params = {
    **NOTHING,
    "light": 0.6,
    "white_balance": 0.5,
    "sharpness": True,
    "noise_seed": 3,
    "motion_blur": MOTION,
    "shadow": SHADOW,
}
STEPS = [
    {"light": 0.8},
    {"white_balance": 0.7},
    {"sharpness": True},
    {"noise_seed": 5},
    {"motion_blur": MOTION},
    {"shadow": SHADOW},
    EVERYTHING,
]
step_names = pytest.mark.parametrize("step", STEPS, ids=["light", "tint", "sharp", "noise", "motion", "shadow", "all"])


def draw(seed: int, *, part: int = HAND, **changed: Any) -> Params:
    return draw_harmony(np.random.default_rng(seed), part=part, **{**HarmonySection().model_dump(), **changed})


def test_nothing_is_done_when_all_shares_are_zero() -> None:
    assert {name: value for name, value in NOTHING.items() if name != "skin"} == {
        "color_transfer": None,
        "light": None,
        "white_balance": None,
        "sharpness": False,
        "noise_seed": None,
        "motion_blur": None,
        "shadow": None,
        "poisson": None,
    }
    face, patch = draw_face(), draw_patch(slice(10, 70), slice(20, 90))
    assert harmonise(NOTHING, patch, face=face) is patch
    region, below = cast_shadow(NOTHING, face.image, patch, face=face)
    assert region == (patch.rows, patch.columns)
    assert_array_equal(below, face.image[region])


@step_names
def test_equal_parameters_give_equal_bytes_and_nothing_else_is_touched(step: Params) -> None:
    face = draw_face(128, 128)
    face = face._replace(image=cv2.GaussianBlur(face.image, (0, 0), 2))
    face = face._replace(image=add_noise(face.image, sigma=6, seed=1))
    patch = draw_patch(slice(30, 100), slice(50, 110))
    params = json.loads(json.dumps({**NOTHING, **step}))
    states = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    before = [array.copy() for array in (*patch[2:], face.image)]
    found = []
    for _ in range(2):
        fitted = harmonise(params, patch, face=face)
        found.append([*fitted[2:], cast_shadow(params, face.image, fitted, face=face)[1]])
    for first, second in zip(*found, strict=True):
        assert_array_equal(first, second)
    for first, second in zip(before, (*patch[2:], face.image), strict=True):
        assert_array_equal(first, second)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # type: ignore[index]


@step_names
@pytest.mark.parametrize("rows", [slice(0, 0), slice(7, 8), slice(0, 96), slice(60, 96)])
@pytest.mark.parametrize("columns", [slice(3, 3), slice(90, 96), slice(0, 96), slice(95, 96)])
def test_any_patch_on_any_face(step: Params, rows: slice, columns: slice) -> None:
    params = {**NOTHING, **step}
    nobody = make_face(np.zeros((96, 96, 3), np.uint8), np.zeros((96, 96), np.uint8), FacePolicy())
    one_pixel = make_face(nobody.image, np.eye(96, dtype=np.uint8) * (np.arange(96) == 5), FacePolicy())
    black, grey = draw_face(colour=(0, 0, 0)), draw_face(colour=(128, 128, 128), spread=0)
    for face in (draw_face(), nobody, one_pixel, black, grey):
        fitted = harmonise(params, draw_patch(rows, columns), face=face)
        size = fitted.rows.stop - fitted.rows.start, fitted.columns.stop - fitted.columns.start
        assert fitted.colour.shape == (*size, 3)
        assert fitted.alpha.shape == fitted.hides.shape == size
        assert {array.dtype for array in fitted[2:]} == {np.dtype(np.uint8)}
        region, shaded = cast_shadow(params, face.image, fitted, face=face)
        assert shaded.shape == face.image[region].shape
        assert shaded.dtype == np.uint8


@pytest.mark.parametrize("side", [60, 4000])
def test_small_and_large_crops(side: int) -> None:
    face = draw_face(side, side)
    patch = draw_patch(slice(side // 4, side // 2), slice(side // 2, side))
    fitted = harmonise(EVERYTHING, patch, face=face)
    region, shaded = cast_shadow(EVERYTHING, face.image, fitted, face=face)
    assert (shaded <= face.image[region]).all()


@given(st.integers(0, 2**32 - 1))
def test_draws_keep_to_their_ranges_and_are_plain(seed: int) -> None:
    everything = {name: 1.0 for name in HarmonySection.model_fields if name.endswith("_share")}
    params = draw(seed, **everything)
    assert json.loads(json.dumps(params)) == params
    section = HarmonySection()
    for value, bounds in (
        (params["color_transfer"]["strength"], section.color_transfer_strength),
        (params["light"], section.light),
        (params["white_balance"], section.white_balance),
        (params["motion_blur"]["length"], section.motion_blur),
        (params["shadow"]["strength"], section.shadow),
        (params["shadow"]["distance"], section.shadow_distance),
        (params["poisson"], section.poisson),
    ):
        assert bounds[0] <= value <= bounds[1]
    for name in everything:  # a share that changes leaves all other draws as they were
        key = {"sharpness_share": "sharpness", "noise_share": "noise_seed"}.get(name, name.removesuffix("_share"))
        without = draw(seed, **{**everything, name: 0.0})
        assert not without[key]
        assert {k: v for k, v in without.items() if k != key} == {k: v for k, v in params.items() if k != key}


def test_shares_are_kept() -> None:
    drawn = [draw(seed) for seed in range(600)]
    for key, share in (("light", 0.8), ("sharpness", 0.7), ("motion_blur", 0.08), ("shadow", 0.6), ("poisson", 0.0)):
        assert np.mean([bool(params[key]) for params in drawn]) == pytest.approx(share, abs=0.06)


def test_only_the_named_parts_take_the_colours_of_the_face() -> None:
    assert draw(0, color_transfer_share=1.0)["color_transfer"]["kind"] == "linear_ot"
    assert draw(0, part=OBJECT, color_transfer_share=1.0)["color_transfer"] is None
    assert draw(0, color_transfer="none", color_transfer_share=1.0)["color_transfer"] is None


@given(st.integers(0, 2**32 - 1), st.integers(-30, 90), st.integers(-30, 90))
def test_a_shadow_never_brightens(seed: int, top: int, left: int) -> None:
    params = draw(seed, shadow_share=1.0)
    face = draw_face(seed=seed % 7)
    rows, columns = slice(max(0, top), min(96, top + 50)), slice(max(0, left), min(96, left + 50))
    patch = harmonise(params, draw_patch(rows, columns), face=face)
    region, shaded = cast_shadow(params, face.image, patch, face=face)
    below = face.image[region]
    assert (shaded <= below).all()
    assert (shaded + 1.0 >= below * (1 - params["shadow"]["strength"]) - 0.5).all()


def white_face() -> Face:
    face = draw_face(200, 200)
    return face._replace(image=np.full_like(face.image, 250))


def test_a_shadow_falls_below_the_occluder_and_ends_within_the_region() -> None:
    face, params = white_face(), {**NOTHING, "shadow": {"strength": 0.6, "distance": 0.06, "turn_deg": 0.0}}
    patch = harmonise(params, draw_patch(slice(60, 120), slice(60, 120)), face=face)
    region, shaded = cast_shadow(params, face.image, patch, face=face)
    shaded = shaded[..., 0].astype(int)
    occluder_rows = np.flatnonzero((patch.alpha > 0).any(axis=1)) + patch.rows.start - region[0].start
    middle = shaded.shape[1] // 2
    above, under = shaded[occluder_rows[0] - 4, middle], shaded[occluder_rows[-1] + 4, middle]
    assert under < 190 < above
    for edge in (shaded[0], shaded[-1], shaded[:, 0], shaded[:, -1]):
        assert edge.min() >= 247


def test_far_shadows_are_softer() -> None:
    face, steepest = white_face(), []
    for distance in (0.02, 0.1):
        params = {**NOTHING, "shadow": {"strength": 0.6, "distance": distance, "turn_deg": 0.0}}
        patch = harmonise(params, draw_patch(slice(60, 120), slice(60, 120)), face=face)
        shaded = cast_shadow(params, face.image, patch, face=face)[1][..., 0].astype(int)
        steepest.append(np.abs(np.diff(shaded, axis=0)).max())
    assert steepest[1] < 0.6 * steepest[0]


def test_no_lit_strip_is_left_where_the_occluder_leaves_the_photo() -> None:
    """Just above the lower edge of the photo the shadow is as deep as a little higher up."""
    face, params = white_face(), {**NOTHING, "shadow": SHADOW}
    patch = draw_patch(slice(100, 200), slice(50, 150))
    wall = np.zeros_like(patch.alpha)
    wall[20:, 20:80] = 255
    patch = harmonise(params, patch._replace(alpha=wall, hides=wall), face=face)
    shaded = cast_shadow(params, face.image, patch, face=face)[1][..., 0].astype(int)
    assert np.ptp(shaded[-20:], axis=0).max() <= 3
    assert shaded[-1].min() < 140


@pytest.mark.parametrize("key", ["light", "shadow", "color_transfer_strength"])
def test_fractions_above_one_and_out_of_order_are_refused(key: str) -> None:
    for wrong in ([0.5, 1.2], [0.6, 0.4]):
        with pytest.raises(ConfigError, match=key):
            validate({key: wrong}, HarmonySection, source="a test")
    assert validate({key: [0.2, 1.0]}, HarmonySection, source="a test").model_dump()[key] == (0.2, 1.0)
