from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.geometry import apply_to_image
from face_align.locate import CropRule
from inference.self_detector import SelfDetector, View, agreement, by_segmenter
from inference.self_detector_shapes import Window, mean_face
from inference.self_detector_windows import SMALLEST_TILE_PX, cut_out, tile_windows, whole_window
from tests.stand_ins import ColourPredictor

RULE = CropRule("similarity5", "faceocc256", ColourPredictor.size)
RED, BLUE = (255, 0, 0), (0, 0, 255)


def draw_face(photo: NDArray[np.uint8], window: Window, *, hidden: bool = False) -> None:
    """Draw a red face where an aligned crop would be `window`; the lower half of a hidden one is blue."""
    fine = 4 * round(window.side)
    face = cv2.resize(mean_face(fine).astype(np.uint8), (fine // 4, fine // 4), interpolation=cv2.INTER_AREA) > 0
    rows, columns = np.nonzero(face)
    colours = np.where((rows > fine / 8)[:, None] & hidden, BLUE, RED)
    rows, columns = rows + round(window.y), columns + round(window.x)
    kept = (rows >= 0) & (columns >= 0) & (rows < photo.shape[0]) & (columns < photo.shape[1])
    photo[rows[kept], columns[kept]] = colours[kept]


def green(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), (0, 120, 0), np.uint8)


@given(
    side=st.integers(60, 360),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
    size=st.sampled_from([(400, 400), (300, 500), (512, 380)]),
)
@settings(max_examples=12, deadline=None)
def test_a_face_of_any_size_and_place_is_found(side: int, x: float, y: float, size: tuple[int, int]) -> None:
    photo, side = green(*size), min(side, *size)
    truth = Window(round(x * (size[1] - side)), round(y * (size[0] - side)), side)
    draw_face(photo, truth)
    (face,) = SelfDetector(ColourPredictor()).detect(photo)
    expected = truth.face(1.0)
    np.testing.assert_allclose(face.points, expected.points, atol=0.03 * side)
    np.testing.assert_allclose(face.box, expected.box, atol=0.04 * side)
    assert face.score > 0.9


def test_what_is_hidden_counts_where_the_model_predicts_the_full_face() -> None:
    photo, truth = green(300, 300), Window(60, 80, 150)
    draw_face(photo, truth, hidden=True)
    (found,) = SelfDetector(ColourPredictor()).detect(photo)
    np.testing.assert_allclose(found.points, truth.face(1.0).points, atol=4)
    visible_only = SelfDetector(ColourPredictor(("visible",)))
    assert all(np.abs(face.points - found.points).max() > 10 for face in visible_only.detect(photo))


def test_faces_are_told_apart_and_sorted_by_size() -> None:
    photo = green(400, 640)
    truths = [Window(300, 60, 240), Window(40, 30, 160), Window(90, 230, 90)]
    for truth in truths:
        draw_face(photo, truth)
    locations = by_segmenter(ColourPredictor(), RULE)(photo, "any")
    assert len(locations) == 3
    for location, truth in zip(locations, truths, strict=True):
        np.testing.assert_allclose(location.photo_to_crop, truth.to_picture(RULE.size), rtol=0.05, atol=2)
    (largest,) = by_segmenter(ColourPredictor(), RULE, max_faces=1)(photo, "any")
    np.testing.assert_array_equal(largest.photo_to_crop, locations[0].photo_to_crop)


def test_a_face_cut_by_the_edge_of_the_photo_keeps_its_size() -> None:
    photo, truth = green(300, 400), Window(100, -50, 200)  # the upper quarter of the face is outside
    draw_face(photo, truth)
    (face,) = SelfDetector(ColourPredictor()).detect(photo)
    assert face.box[2] == pytest.approx(truth.face(1.0).box[2], rel=0.08)


def test_what_has_not_the_shape_of_a_face_is_no_face() -> None:
    photo = green(400, 400)
    photo[180:200, 20:380] = RED
    photo[20:140:10, 200:330] = RED
    assert SelfDetector(ColourPredictor()).detect(photo) == []
    assert SelfDetector(ColourPredictor()).detect(green(50, 70)) == []


class SeesFacesEverywhere(ColourPredictor):
    """Says that each window shows a face, wherever it lies: what a network knows that only saw aligned crops."""

    def predict_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(crops))
        face = mean_face(self.size).astype(np.float32)
        return np.broadcast_to(face, (len(crops), 2, *face.shape)).copy()


def test_what_moves_with_the_window_is_no_face(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SelfDetector(SeesFacesEverywhere()).detect(green(400, 400)) == []
    monkeypatch.setattr("inference.self_detector.SAME_PLACE", 0.0)
    assert len(SelfDetector(SeesFacesEverywhere()).detect(green(400, 400))) > 0  # all else takes it for faces


@given(x=st.floats(-30, 30), y=st.floats(-30, 30), zoom=st.floats(0.8, 1.25))
@settings(max_examples=20, deadline=None)
def test_views_of_one_face_agree(x: float, y: float, zoom: float) -> None:
    photo, window = green(400, 400), Window(100, 100, 200)
    draw_face(photo, window)

    def look(at: Window) -> View:
        red = cut_out(photo, at, size=128)[..., 0] / np.float32(255)
        return View(at, red, at.inside((400, 400), size=128))

    shifted = Window(window.x + x, window.y + y, window.side).zoomed(zoom)
    assert agreement(look(window), look(shifted)) > 0.95
    elsewhere = look(window)._replace(window=Window(window.x + 100, window.y, window.side))
    assert agreement(look(window), elsewhere) < 0.5


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (2000, 30)])
def test_a_photo_of_any_shape_is_looked_at(size: tuple[int, int]) -> None:
    assert SelfDetector(ColourPredictor()).detect(np.full((*size, 3), RED, np.uint8)) is not None


@pytest.mark.parametrize(("side", "looks"), [(400, 1 + 2 + 2), (150, 1 + 4 + 2 + 2)])
def test_a_photo_takes_few_looks(side: int, looks: int) -> None:
    photo, predictor = green(480, 640), ColourPredictor()
    draw_face(photo, Window(120, 40, side))
    SelfDetector(predictor).detect(photo)
    assert sum(predictor.batches) == looks


@given(height=st.integers(1, 4000), width=st.integers(1, 4000), share=st.floats(0.2, 1))
def test_windows_cover_the_photo(height: int, width: int, share: float) -> None:
    whole, tiles = whole_window((height, width)), tile_windows((height, width), share=share)
    assert all(side < SMALLEST_TILE_PX for side in (share * max(height, width),) if not tiles)
    for axis, length in ((1, height), (0, width)):
        assert whole[axis] < -0.5 < length - 0.5 < whole[axis] + whole.side
        starts = sorted({tile[axis] for tile in tiles})
        if tiles:
            assert starts[0] <= -0.5
            assert starts[-1] + tiles[0].side >= length - 0.5
            assert all(later - earlier < tiles[0].side for earlier, later in itertools.pairwise(starts))


def test_a_cut_out_equals_the_warp_of_the_whole_photo() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    photo = cv2.GaussianBlur(photo, (0, 0), 3)
    for window in (Window(100.3, 50.7, 60), Window(-30, 180, 150), Window(350, -20, 64), Window(-50, -50, 500)):
        expected = apply_to_image(window.to_picture(64), photo, size=(64, 64))
        np.testing.assert_allclose(cut_out(photo, window, size=64), expected, atol=6)
