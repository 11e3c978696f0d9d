from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.labels import PART_ID
from configs.schema.harmony import HarmonySection
from occlusion_gen.blending.harmonise import draw_harmony, harmonise
from occlusion_gen.blending.relight import estimate_light, photo_cast
from occlusion_gen.face import Face, Patch
from tests.occlusion_gen.blending.drawn_patches import draw_face, draw_patch, textured

NOTHING = draw_harmony(np.random.default_rng(0), part=PART_ID["hand"], **HarmonySection.published().model_dump())


def lit_face(
    *, right: float = 0.0, down: float = 0.0, level: float = 1.0, colour: tuple[int, ...] = (170, 130, 105)
) -> Face:
    """Return a face that is brighter by exp(right) half its width to the right, by exp(down) half its height down."""
    face = draw_face(120, 120)
    y, x = np.mgrid[:120, :120]
    gain = level * np.exp(right * (x - 59.5) / 48 + down * (y - 59.5) / 48)
    image = np.clip(np.rint(gain[..., None] * np.array(colour, float)), 0, 255).astype(np.uint8)
    return face._replace(image=image)


def mean_colour(patch: Patch) -> np.ndarray:
    return patch.colour[patch.alpha > 127].astype(float).mean(axis=0)


def luminance(patch: Patch) -> float:
    return float(mean_colour(patch) @ [0.299, 0.587, 0.114])


@pytest.mark.parametrize("slope", [-0.4, -0.1, 0.0, 0.25])
def test_the_light_is_found_in_spite_of_dark_and_bright_spots(slope: float) -> None:
    face = lit_face(right=slope, down=-slope / 2)
    image = face.image.copy()
    image[40:50, 35:55] = image[40:50, 65:85] = 15  # eyes
    image[65:75, 56:62] = 255  # a highlight
    light = estimate_light(face._replace(image=image))
    assert light is not None
    assert light.slope == pytest.approx((slope, -slope / 2), abs=0.06)


def test_a_hand_is_shaded_from_the_side_that_shades_the_face() -> None:
    patch = draw_patch(slice(20, 100), slice(20, 100), colour=(150, 120, 100))
    flat = patch._replace(colour=np.full_like(patch.colour, 120))
    shaded = harmonise({**NOTHING, "light": 1.0}, flat, face=lit_face(right=0.4)).colour.astype(float)
    assert shaded[40, 65].mean() > 1.1 * shaded[40, 15].mean()
    assert abs(shaded[10, 40] - shaded[70, 40]).max() <= 2
    bright = harmonise({**NOTHING, "light": 1.0}, patch, face=lit_face(level=1.4))
    dark = harmonise({**NOTHING, "light": 1.0}, patch, face=lit_face(level=0.5))
    assert luminance(dark) < luminance(patch) < luminance(bright)


def test_objects_change_less_than_hands_and_black_stays_black() -> None:
    patch = draw_patch(slice(20, 100), slice(20, 100), colour=(60, 60, 60))
    params, face = {**NOTHING, "light": 0.8, "white_balance": 0.7}, lit_face(level=1.4)
    hand, thing = (harmonise({**params, "skin": skin}, patch, face=face) for skin in (True, False))
    assert 0 < abs(luminance(thing) - luminance(patch)) < 0.5 * abs(luminance(hand) - luminance(patch))
    phone = patch._replace(colour=np.full_like(patch.colour, 12))
    for skin in (True, False):
        lit = harmonise({**params, "skin": skin}, phone, face=face)
        assert lit.colour.max() <= 25


def test_a_hand_takes_part_of_the_cast_and_keeps_its_luminance() -> None:
    patch = draw_patch(slice(20, 100), slice(20, 100), colour=(140, 120, 100))
    face = lit_face(colour=(120, 130, 150))
    fitted = harmonise({**NOTHING, "white_balance": 0.7}, patch, face=face)
    ratios = [colour[0] / colour[2] for colour in (mean_colour(fitted), mean_colour(patch))]
    assert 120 / 150 < ratios[0] < ratios[1]
    assert luminance(fitted) == pytest.approx(luminance(patch), rel=0.06)


def test_objects_on_a_grey_photo_are_grey() -> None:
    face = draw_face()
    grey = face._replace(image=cv2.cvtColor(cv2.cvtColor(face.image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))
    patch = draw_patch(slice(20, 80), slice(20, 80), colour=(200, 60, 60))
    params = {**NOTHING, "skin": False, "white_balance": 0.5}
    assert np.ptp(harmonise(params, patch, face=grey).colour.astype(int), axis=2).max() == 0
    assert np.ptp(mean_colour(harmonise(params, patch, face=face))) > 100


def test_the_cast_of_a_photo_follows_its_light() -> None:
    neutral = photo_cast(textured(64, 64, (120, 120, 120), seed=0))
    bluish = photo_cast(textured(64, 64, (100, 120, 150), seed=0))
    assert bluish[2] > neutral[2] + 0.15
    assert bluish[0] < neutral[0] - 0.1
