from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from common.geometry import apply_to_points
from occlusion_gen.face import Box, bounding_box
from occlusion_gen.generators.placement import draw_placement, occluder_to_crop

boxes = st.builds(Box, st.integers(0, 50), st.integers(0, 50), st.integers(2, 200), st.integers(2, 200))
sizes = st.tuples(st.integers(2, 300), st.integers(2, 300))
seeds = st.integers(0, 2**32 - 1)


@given(seeds, boxes, sizes, st.booleans())
def test_the_middle_of_the_occluder_lands_on_the_drawn_centre(
    seed: int, box: Box, size: tuple[int, int], rotate: bool
) -> None:
    params = draw_placement(np.random.default_rng(seed), box, area=(0.5, 1.0), affine_share=1.0)
    matrix = occluder_to_crop(params, occluder_size=size, box=box, rotate_toward_face=rotate)
    middle = [[(size[1] - 1) / 2, (size[0] - 1) / 2]]
    assert_allclose(apply_to_points(matrix, np.array(middle))[0], params["centre_px"], atol=1e-6)
    x, y = params["centre_px"]
    assert box.x <= x <= box.x + box.width - 1
    assert box.y <= y <= box.y + box.height - 1


@given(seeds, boxes, sizes, st.booleans())
def test_the_area_is_the_drawn_share_of_the_face_box(seed: int, box: Box, size: tuple[int, int], rotate: bool) -> None:
    params = draw_placement(np.random.default_rng(seed), box, area=(0.5, 1.0), affine_share=0.0)
    matrix = occluder_to_crop(params, occluder_size=size, box=box, rotate_toward_face=rotate)
    area = abs(np.linalg.det(matrix[:, :2])) * size[0] * size[1]
    assert area == pytest.approx(params["area"] * box.width * box.height)
    assert 0.5 <= params["area"] <= 1.0


@given(seeds, boxes, sizes)
def test_the_lower_edge_of_the_file_points_at_the_face(seed: int, box: Box, size: tuple[int, int]) -> None:
    """Fingers point down in the file, and at the face's centre in the picture."""
    params = draw_placement(np.random.default_rng(seed), box, area=(0.5, 1.0), affine_share=0.0)
    matrix = occluder_to_crop(params, occluder_size=size, box=box, rotate_toward_face=True)
    ends = np.array([[(size[1] - 1) / 2, 0], [(size[1] - 1) / 2, size[0] - 1]])
    top, bottom = apply_to_points(matrix, ends)
    face = np.array([box.x + (box.width - 1) / 2, box.y + (box.height - 1) / 2])
    toward = face - params["centre_px"]
    if np.linalg.norm(toward) > 0.1:
        cosine = (bottom - top) @ toward / np.linalg.norm(bottom - top) / np.linalg.norm(toward)
        assert cosine == pytest.approx(1, abs=1e-6)


def test_without_turning_up_stays_up() -> None:
    params = {"area": 1.0, "stretch": [1, 1], "rotation_deg": 0.0, "shear_deg": [0, 0], "centre_px": [3.0, 90.0]}
    options = {"occluder_size": (10, 10), "box": Box(0, 0, 100, 100), "rotate_toward_face": False}
    matrix = occluder_to_crop(params, **options)
    assert_allclose(matrix[:, :2], np.eye(2) * 10)
    quarter = occluder_to_crop({**params, "rotation_deg": 90.0}, **options)
    assert_allclose(quarter[:, :2] @ [0, 1], [-10, 0], atol=1e-9)  # clockwise: down becomes left


def test_draws_keep_to_the_published_ranges() -> None:
    rng = np.random.default_rng(0)
    box = Box(10, 20, 100, 60)
    drawn = [draw_placement(rng, box, area=(0.5, 1.0), affine_share=0.7) for _ in range(600)]
    changed = [params for params in drawn if params["rotation_deg"] != 0]
    assert len(changed) / 600 == pytest.approx(0.7, abs=0.06)
    for name, low, high in (("stretch", 0.8, 1.2), ("rotation_deg", -15, 15), ("shear_deg", -8, 8), ("area", 0.5, 1)):
        values = np.array([params[name] for params in changed])
        assert low <= values.min() <= low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) <= values.max() <= high
    assert all(params["stretch"] == [1, 1] for params in drawn if params["rotation_deg"] == 0)
    assert json.loads(json.dumps(drawn)) == drawn


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 5), st.integers(1, 5))
def test_the_box_of_a_mask(x: int, y: int, width: int, height: int) -> None:
    mask = np.zeros((15, 15), bool)
    mask[y : y + height, x : x + width] = True
    assert bounding_box(mask) == Box(x, y, width, height)
    assert bounding_box(mask & False) is None


def test_a_hand_that_comes_from_outside_leaves_the_face() -> None:
    box = Box(40, 40, 60, 80)
    rng = np.random.default_rng(0)
    moved = 0
    for _ in range(200):
        params = draw_placement(rng, box, area=(0.2, 1.0), affine_share=0.7)
        options = {"occluder_size": (30, 60), "box": box, "rotate_toward_face": True}
        plain = occluder_to_crop(params, **options)
        back = occluder_to_crop(params, from_outside=True, **options)
        np.testing.assert_allclose(plain[:, :2], back[:, :2])  # only its place changes
        end, tip = apply_to_points(plain, np.array([[29.5, 0.0], [29.5, 29.0]]))
        shift = back[:, 2] - plain[:, 2]
        inside = (end >= (40, 40)).all() and (end <= (100, 120)).all()
        assert np.allclose(shift, 0) != inside
        way = (end - tip) / 2
        share = shift @ way / (way @ way)
        np.testing.assert_allclose(shift, share * way, atol=1e-6)
        assert 0 <= share <= 1 + 1e-9
        new_end = end + shift
        left = (new_end <= (40 + 1e-6, 40 + 1e-6)).any() or (new_end >= (100 - 1e-6, 120 - 1e-6)).any()
        assert left or share == pytest.approx(1)
        moved += inside
    assert moved > 50
