from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from occlusion_gen.templates.kinds import CUTS, draw_sheet
from occlusion_gen.templates.paint import Fabric, Print, paint_drawn, spread_pattern
from occlusion_gen.templates.sheet import SHADE_ONE

EVEN = 128  # of light


@pytest.mark.parametrize("kind", CUTS)
def test_a_sheet_is_its_arguments(kind: str) -> None:
    first, again = (draw_sheet(kind, variant=1, valve=True, unit_px=170) for _ in range(2))
    other = draw_sheet(kind, variant=2, valve=True, unit_px=170)
    assert_array_equal(first.levels[0].pixels, again.levels[0].pixels)
    assert (first.levels[0].pixels != other.levels[0].pixels).mean() > 0.05


@pytest.mark.parametrize("kind", CUTS)
def test_a_drawing_has_relief_and_stays_within_range(kind: str) -> None:
    level = draw_sheet(kind, variant=0, valve=False, unit_px=300).levels[0]
    alpha = level.pixels[..., 3]
    shade = level.pixels[..., 0][alpha == 255].astype(float) / SHADE_ONE
    assert 0.7 < shade.mean() < 1.05
    assert 0.05 < shade.std() < 0.3  # neither flat nor blotchy
    assert not alpha[[0, -1]].any()
    assert not alpha[:, [0, -1]].any()
    assert 0.1 < (alpha > 127).mean() < 0.7


@pytest.mark.parametrize("kind", ["cloth", "kn95", "n95"])
def test_a_valve_is_of_the_second_material(kind: str) -> None:
    without, with_valve = (draw_sheet(kind, variant=3, valve=valve, unit_px=200) for valve in (False, True))
    share = [(sheet.levels[0].pixels[..., 1] > 200).mean() for sheet in (without, with_valve)]
    assert share[1] > share[0] + 0.005


@pytest.mark.parametrize("kind", CUTS)
def test_levels_are_the_same_template_by_area(kind: str) -> None:
    sheet = draw_sheet(kind, variant=0, valve=False, unit_px=320)
    assert [level.canvas.unit_px for level in sheet.levels[:3]] == [320, 160, 80]
    for large, small in zip(sheet.levels[:3], sheet.levels[1:4], strict=True):
        first, second = (level.pixels[..., 3].mean() for level in (large, small))
        assert second == pytest.approx(first, rel=0.03)
        first, second = (
            float(np.average(level.pixels[..., 0], weights=level.pixels[..., 3])) for level in (large, small)
        )
        assert second == pytest.approx(first, abs=1.5)
    assert sheet.level(70).canvas.unit_px == 80
    assert sheet.level(5000).canvas.unit_px == 320
    assert sheet.level(1).canvas.unit_px == sheet.levels[-1].canvas.unit_px


def test_colours_follow_fabric_accent_and_light() -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[..., 0] = SHADE_ONE
    pixels[1, :, 1] = 255
    fabric = Fabric((100, 60, 20), accent=(10, 200, 90))
    light = np.array([[EVEN, EVEN // 2]] * 2, np.uint8)
    colour = paint_drawn(pixels, light=light, fabric=fabric, pattern=None).astype(int)
    np.testing.assert_allclose(colour[0, 0], (102, 62, 22), atol=1)  # a little sheen
    np.testing.assert_allclose(colour[0, 1], (50, 30, 10), atol=1)
    np.testing.assert_allclose(colour[1, 0], (12, 202, 92), atol=1)


def test_a_print_takes_the_place_of_the_fabric_and_keeps_its_shades() -> None:
    level = draw_sheet("cloth", variant=1, valve=False, unit_px=200).levels[0]
    texture = np.zeros((32, 32, 3), np.uint8)
    texture[:, ::8] = texture[:, 1::8] = (200, 40, 40)
    pattern = spread_pattern(Print(texture, 0.4, 0.0, (0.1, 0.2)), level)
    assert pattern.shape == level.pixels[..., :3].shape
    light = np.full(pattern.shape[:2], EVEN, np.uint8)
    plain, printed = (
        paint_drawn(level.pixels, light=light, fabric=Fabric((128, 128, 128), (0, 0, 0)), pattern=each)
        for each in (None, pattern)
    )
    body = (level.pixels[..., 3] == 255) & (level.pixels[..., 1] == 0) & (level.pixels[..., 2] == 0)
    stripes = body & (pattern[..., 0] > 190)
    assert stripes.sum() > 100
    ratio = printed[stripes][:, 0] / np.maximum(plain[stripes][:, 0].astype(float), 1)
    assert np.std(ratio) < 0.12 * np.mean(ratio)
    assert printed[body & (pattern[..., 0] < 10)].mean() < 12
