from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.geometry import apply_to_image, apply_to_map, invert, scaling
from face_align.locate import whole_photo
from inference.faces import describe_faces, merge_faces
from inference.photo_masks import occlusion_ratio, to_patch, to_photo
from tests.stand_ins import ColourPredictor

SIDE = 32


def crop_answer(seed: int, outputs: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).random((outputs, SIDE, SIDE), dtype=np.float32)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 99),
    angle=st.floats(-3, 3),
    scale=st.floats(0.3, 3),
    shift=st.tuples(st.floats(-60, 90), st.floats(-60, 90)),
)
def test_patch_is_the_inverse_warp_of_the_whole_photo(
    seed: int, angle: float, scale: float, shift: tuple[float, float]
) -> None:
    size = (70, 90)
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    matrix = np.array([[cosine, -sine, -shift[0]], [sine, cosine, -shift[1]]])
    answer = crop_answer(seed)
    photo = to_photo([to_patch(answer, matrix, size)], size, outputs=2)
    expected = np.stack([apply_to_map(invert(matrix), channel, size=size) for channel in answer])
    weight = apply_to_map(invert(matrix), np.ones((SIDE, SIDE), np.float32), size=size)
    inner = weight > 0.999  # at the edge that warp mixes in zeros, ours does not
    np.testing.assert_allclose(photo[:, inner], expected[:, inner], atol=0.08)  # OpenCV rounds positions to 1/32 px
    assert not photo[:, weight == 0].any()
    assert photo.shape == (2, *size)


def test_whole_photo_reaches_its_edge() -> None:
    size = (100, 60)
    answer = np.ones((1, SIDE, SIDE), np.float32)
    photo = to_photo([to_patch(answer, scaling(size, (SIDE, SIDE)), size)], size, outputs=1)
    assert (photo == 1).all()


def test_photo_of_the_crops_size_comes_back_as_it_is() -> None:
    answer = crop_answer(1)
    matrix = scaling((SIDE, SIDE), (SIDE, SIDE))
    np.testing.assert_array_equal(to_patch(answer, matrix, (SIDE, SIDE)).probabilities, answer)


def test_a_mask_survives_the_way_there_and_back() -> None:
    rows, columns = np.mgrid[:200, :160]
    disc = ((rows - 100) ** 2 + (columns - 80) ** 2 < 60**2).astype(np.uint8) * 255
    matrix = np.array([[1.4, 0.3, -14.0], [-0.3, 1.4, 12.0]])
    crop = apply_to_image(matrix, disc, size=(256, 256))[None].astype(np.float32) / 255
    back = to_photo([to_patch(crop, matrix, (200, 160))], (200, 160), outputs=1)[0] > 0.5
    assert (back != (disc > 0)).mean() < 0.002


def test_faces_are_merged_by_the_highest() -> None:
    size = (40, 80)
    left, right = (np.array([[1.0, 0, -shift], [0, 1.0, -4]]) for shift in (0, 20))
    low, high = np.full((1, SIDE, SIDE), 0.4, np.float32), np.full((1, SIDE, SIDE), 0.9, np.float32)
    merged = to_photo([to_patch(high, left, size), to_patch(low, right, size)], size, outputs=1)[0]
    np.testing.assert_array_equal(merged[20, [10, 25, 40, 60]], np.float32([0.9, 0.9, 0.4, 0]))
    assert not to_photo([], size, outputs=2).any()


def test_a_pixel_at_the_threshold_belongs_to_no_mask() -> None:
    at, above = np.float32(0.7), np.nextafter(np.float32(0.7), np.float32(1))
    photo = np.zeros((SIDE, SIDE, 3), np.uint8)
    answer = np.full((2, SIDE, SIDE), at)
    answer[:, :, 5:] = above
    (location,) = whole_photo(size=SIDE)(photo, "photo")
    model = ColourPredictor()
    model.size, model.threshold = SIDE, 0.7
    faces = describe_faces(model, photo, [location], [answer])
    masks = merge_faces(faces, (SIDE, SIDE), outputs=model.outputs, threshold=model.threshold)
    for mask in (masks.visible, masks.full):
        assert mask is not None
        np.testing.assert_array_equal(mask.any(axis=0), np.arange(SIDE) >= 5)
    answer[0] = at
    assert describe_faces(model, photo, [location], [answer])[0].occlusion_ratio == 1.0


@pytest.mark.parametrize("shift", [500.0, -500.0])
def test_crop_beside_the_photo_gives_nothing(shift: float) -> None:
    patch = to_patch(crop_answer(0), np.array([[1.0, 0, shift], [0, 1.0, 0]]), (30, 30))
    assert patch.probabilities.size == 0
    assert not to_photo([patch], (30, 30), outputs=2).any()


def test_occlusion_ratio() -> None:
    full = np.zeros((10, 10), np.float32)
    full[2:8] = 1
    visible = full.copy()
    visible[5:8] = 0
    visible[0] = 1  # outside the full face: does not count
    assert occlusion_ratio(np.stack([visible, full]), threshold=0.5) == 0.5
    assert occlusion_ratio(np.stack([visible, full * 0]), threshold=0.5) is None
    assert occlusion_ratio(visible[None], threshold=0.5) is None
