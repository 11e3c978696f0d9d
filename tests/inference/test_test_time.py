from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from common.geometry import scaling
from face_align.locate import Location
from inference.photo_masks import to_patch
from inference.test_time import edge_share, sliding_refiner, with_flip, with_scales
from tests.stand_ins import SIZE, ColourPredictor

RED = (255, 0, 0)


class LeftAndRight(ColourPredictor):
    """Adds what no wrapper may keep: a slope from left to right."""

    def predict_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return super().predict_crops(crops) / 2 + np.linspace(0, 0.5, SIZE, dtype=np.float32)


def smooth_crops(count: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    return np.stack([cv2.GaussianBlur(crop, (0, 0), 6) for crop in noise]).reshape(count, SIZE, SIZE, 3)


def test_flip_takes_the_mean_of_both_directions() -> None:
    crops, model = smooth_crops(3), ColourPredictor()
    np.testing.assert_allclose(with_flip(model).predict_crops(crops), model.predict_crops(crops), atol=1e-6)
    expected = model.predict_crops(crops) / 2 + 0.25
    np.testing.assert_allclose(with_flip(LeftAndRight()).predict_crops(crops), expected, atol=1e-6)


def test_scales_agree_where_the_model_does_not_care_for_scale() -> None:
    crops, model = smooth_crops(2), ColourPredictor()
    answers = with_scales(model, (0.8, 1.0, 1.25)).predict_crops(crops)
    np.testing.assert_allclose(answers, model.predict_crops(crops), atol=0.03)
    with pytest.raises(ValueError, match="1 among them"):
        with_scales(model, (0.8, 1.2))


@pytest.mark.parametrize("wrap", [with_flip, with_scales])
def test_wrappers_are_models_of_crops(wrap: object) -> None:
    inner = ColourPredictor()
    model = wrap(inner)  # type: ignore[operator]
    for name in ("size", "method", "template", "outputs", "threshold"):
        assert getattr(model, name) == getattr(inner, name)
    assert model.predict_crops(np.zeros((0, SIZE, SIZE, 3), np.uint8)).shape == (0, 2, SIZE, SIZE)
    nested = with_flip(model).predict_crops(smooth_crops(1))
    assert nested.shape == (1, 2, SIZE, SIZE)
    assert nested.dtype == np.float32


def disc(side: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a photo of a red disc on green with a saw-toothed edge finer than a crop, and its mask."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    angle = np.arctan2(rows, columns)
    mask = np.hypot(rows, columns) < side * (0.3 + 0.012 * np.sign(np.sin(40 * angle)))
    photo = np.zeros((side, side, 3), np.uint8)
    photo[..., 1] = 100
    photo[mask] = RED
    return photo, mask


def test_tiles_bring_out_an_edge_that_the_crop_is_too_coarse_for() -> None:
    model = ColourPredictor()
    photo, mask = disc(2 * SIZE)
    location = Location(scaling(mask.shape, (SIZE, SIZE)))
    coarse = model.predict_crops(cv2.resize(photo, (SIZE, SIZE), interpolation=cv2.INTER_AREA)[None])[0]
    before = to_patch(coarse, location.photo_to_crop, mask.shape).probabilities[0] > 0.5
    model.batches.clear()
    patch = sliding_refiner(model)(photo, location, coarse)
    after = patch.probabilities[0] > 0.5
    assert (after != mask).sum() < 0.7 * (before != mask).sum()
    assert sum(model.batches) <= 9
    np.testing.assert_array_equal(after[SIZE], mask[SIZE])


def test_faces_not_larger_than_a_crop_are_left_as_they_are() -> None:
    model = ColourPredictor()
    photo, _ = disc(SIZE)
    location = Location(scaling((SIZE, SIZE), (SIZE, SIZE)))
    answer = model.predict_crops(photo[None])[0]
    model.batches.clear()
    np.testing.assert_allclose(sliding_refiner(model)(photo, location, answer).probabilities, answer, atol=1e-6)
    assert model.batches == []


def test_the_share_of_tiles_falls_from_the_edge_to_both_sides() -> None:
    probability = np.zeros((100, 100), np.float32)
    probability[:, 50:] = 1
    share = edge_share(probability, 0.5)[50]
    assert share[49] == share[50] > 0.8
    assert share[40] == share[60] == 0
    assert (np.diff(share[40:50]) >= 0).all()
    assert not edge_share(np.ones((9, 9), np.float32), 0.5).any()
