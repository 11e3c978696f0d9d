from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.geometry import apply_to_points
from inference.regions import REGIONS, draw_regions, expected_points, hidden_shares

SIZE = 256
POINTS = expected_points("faceocc256", size=SIZE)


def answer(hidden: np.ndarray, *, full: bool = True) -> np.ndarray:
    visible = (~hidden).astype(np.float32)
    return np.stack([visible, np.ones_like(visible)]) if full else visible[None]


@pytest.mark.parametrize("name", REGIONS)
def test_what_is_hidden_is_told_by_region(name: str) -> None:
    regions = draw_regions(POINTS, size=SIZE)
    assert regions is not None
    for full in (True, False):
        shares = hidden_shares(answer(regions[name], full=full), POINTS, threshold=0.5)
        assert shares[name] == 1.0
        assert all(share == 0.0 for other, share in shares.items() if other != name)


def test_regions_are_apart_and_hold_their_points() -> None:
    regions = draw_regions(POINTS, size=SIZE)
    assert regions is not None
    assert np.sum(list(regions.values()), axis=0).max() == 1
    places = {"eyes": POINTS[:2], "nose": POINTS[2:3], "mouth": POINTS[3:].mean(axis=0)[None]}
    for name, points in places.items():
        for x, y in np.rint(points).astype(int):
            assert regions[name][y, x]


@settings(max_examples=20, deadline=None)
@given(angle=st.floats(-0.8, 0.8), scale=st.floats(0.7, 1.0))
def test_shares_turn_with_the_face(angle: float, scale: float) -> None:
    """The lower half of a face is hidden, whichever way the face stands in its crop."""
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    matrix = np.hstack([linear, (127.5 - linear @ [127.5, 127.5])[:, None]])
    hidden = (np.arange(SIZE)[:, None].repeat(SIZE, 1) > 156).astype(np.uint8)
    turned = cv2.warpAffine(hidden, matrix, (SIZE, SIZE), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    shares = hidden_shares(answer(turned > 0), apply_to_points(matrix, POINTS), threshold=0.5)
    assert shares["eyes"] == pytest.approx(0, abs=0.02)
    assert shares["mouth"] == pytest.approx(1, abs=0.05)
    assert shares["nose"] == pytest.approx(0, abs=0.05)


def test_what_does_not_belong_to_the_face_counts_nowhere() -> None:
    nothing = np.zeros((2, SIZE, SIZE), np.float32)
    assert hidden_shares(nothing, POINTS, threshold=0.5) == dict.fromkeys(REGIONS)
    assert hidden_shares(answer(nothing[0] > 0), np.zeros((5, 2)), threshold=0.5) == dict.fromkeys(REGIONS)
    far = hidden_shares(answer(nothing[0] > 0), POINTS * 1e8, threshold=0.5)
    assert set(far) == set(REGIONS)
