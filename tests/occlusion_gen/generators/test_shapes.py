from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from occlusion_gen.generators.shapes import SAMPLES_PER_EDGE, SHAPE_SIDE_PX, draw_shape, fill_shape, shape_outline

TRIANGLE = {"vertices": [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]], "roughness": 0.0, "edginess": 0.5}


def test_shapes_have_the_published_sizes() -> None:
    """Published over 3,000 shapes: area / 512^2 mean .416 (p5 .179, p95 .656), bounding box share .734."""
    shapes = [fill_shape(draw_shape(np.random.default_rng([7, index]))) for index in range(400)]
    areas = np.array([(shape > 0).sum() for shape in shapes]) / SHAPE_SIDE_PX**2
    boxes = np.array([shape.size for shape in shapes]) / SHAPE_SIDE_PX**2
    assert areas.mean() == pytest.approx(0.416, abs=0.03)
    assert np.percentile(areas, 5) == pytest.approx(0.179, abs=0.05)
    assert np.percentile(areas, 95) == pytest.approx(0.656, abs=0.05)
    assert boxes.mean() == pytest.approx(0.734, abs=0.03)


@given(st.integers(0, 2**32 - 1))
def test_a_shape_is_its_parameters(seed: int) -> None:
    params = draw_shape(np.random.default_rng(seed))
    assert 3 <= len(params["vertices"]) <= 15
    assert 0 <= params["roughness"] <= 1
    assert 0 <= params["edginess"] <= 1
    shape = fill_shape(params)
    assert_array_equal(shape, fill_shape(json.loads(json.dumps(params))))
    assert set(np.unique(shape)) <= {0, 255}
    assert max(shape.shape) <= SHAPE_SIDE_PX
    edges = (shape[0], shape[-1], shape[:, 0], shape[:, -1])
    assert all(edge.any() for edge in edges)


@given(st.integers(0, 2**32 - 1))
def test_the_outline_is_closed_and_passes_through_its_vertices(seed: int) -> None:
    params = draw_shape(np.random.default_rng(seed))
    outline = shape_outline(params)
    assert outline.shape == (SAMPLES_PER_EDGE * len(params["vertices"]), 2)
    np.testing.assert_allclose(outline[::SAMPLES_PER_EDGE], params["vertices"], atol=1e-9)
    np.testing.assert_allclose(outline[-1], outline[0], atol=1e-9)
    # Smooth: the curve leaves a vertex in the direction in which it came.
    incoming = outline[SAMPLES_PER_EDGE - 1 :: SAMPLES_PER_EDGE] - outline[SAMPLES_PER_EDGE - 2 :: SAMPLES_PER_EDGE]
    outgoing = np.roll(outline[1::SAMPLES_PER_EDGE] - outline[::SAMPLES_PER_EDGE], -1, axis=0)
    lengths = np.linalg.norm(incoming, axis=1) * np.linalg.norm(outgoing, axis=1)
    if params["roughness"] > 0.1:
        assert ((incoming * outgoing).sum(axis=1) > 0.9 * lengths).all()


def test_without_roughness_a_shape_is_a_polygon() -> None:
    filled = fill_shape(TRIANGLE)
    assert filled.shape == (pytest.approx(0.8 * 511, abs=2), pytest.approx(0.8 * 511, abs=2))
    assert (filled > 0).mean() == pytest.approx(0.5, abs=0.01)


def test_a_shape_without_area_is_still_a_shape() -> None:
    line = {**TRIANGLE, "vertices": [[0.5, 0.5]] * 3}
    assert fill_shape(line).any()
