from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.tone import SKIN_TONES, measure_tone

FACE = np.zeros((120, 200), bool)
FACE[20:100, 60:140] = True


def photo_of(colour: tuple[int, int, int]) -> np.ndarray:
    photo = np.full((*FACE.shape, 3), 30, np.uint8)
    photo[FACE] = colour
    return photo


@pytest.mark.parametrize(
    ("colour", "group"),
    [((245, 224, 208), "very light"), ((224, 172, 140), "light"), ((150, 105, 75), "brown"), ((70, 45, 35), "dark")],
)
def test_colours_of_skin_fall_into_their_groups(colour: tuple[int, int, int], group: str) -> None:
    tone = measure_tone(photo_of(colour), FACE)
    assert tone is not None
    assert [name for name, low, high in SKIN_TONES if low <= tone.ita_deg < high] == [group]


def test_angle_and_brightness_by_hand() -> None:
    """By the formulas of IEC 61966-2-1 (sRGB) and CIE 15 (L*, b* for the white of D65)."""
    linear = ((np.array([200, 150, 120]) / 255 + 0.055) / 1.055) ** 2.4
    y = linear @ [0.2126, 0.7152, 0.0722]
    z = linear @ [0.0193, 0.1192, 0.9505] / 1.089
    lightness, yellow = 116 * np.cbrt(y) - 16, 200 * (np.cbrt(y) - np.cbrt(z))
    tone = measure_tone(photo_of((200, 150, 120)), FACE)
    assert tone is not None
    assert tone.ita_deg == pytest.approx(np.degrees(np.arctan((lightness - 50) / yellow)), abs=0.3)
    # The edge of the face mixes with its surroundings when the photo is made smaller.
    assert tone.brightness == pytest.approx((0.299 * 200 + 0.587 * 150 + 0.114 * 120) / 255, abs=0.03)


def test_only_the_face_counts_and_none_has_no_tone() -> None:
    bright = photo_of((200, 150, 120))
    bright[~FACE] = 255
    assert measure_tone(bright, FACE) == pytest.approx(measure_tone(photo_of((200, 150, 120)), FACE), abs=0.05)
    assert measure_tone(bright, np.zeros_like(FACE)) is None
    with pytest.raises(ValueError, match="mask of the face"):
        measure_tone(bright, FACE[1:])


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_every_colour_is_in_one_group(colour: tuple[int, int, int]) -> None:
    tone = measure_tone(photo_of(colour), FACE)
    assert tone is not None
    assert -90 <= tone.ita_deg <= 90
    assert 0 <= tone.brightness <= 1
