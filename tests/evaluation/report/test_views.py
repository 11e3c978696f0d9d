from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.errors import RecordError
from common.metrics import count
from evaluation.report.views import (
    FACE,
    INVENTED,
    MISSED,
    NOT_SCORED,
    VIEW_SIDE_PX,
    read_view,
    reduce_errors,
    view_paths,
    view_size,
    write_view,
)
from tests.evaluation.report.drawn_evaluation import Drawn, draw, ten_missed_pixels


def pictures(folder: Path, name: str) -> dict[str, Any]:
    return {
        kind: cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1] if kind == "photo" else cv2.imread(str(path), 0)
        for kind, path in view_paths(folder, name).items()
    }


def test_small_images_are_kept_pixel_by_pixel(tmp_path: Path) -> None:
    drawn = draw(Drawn("a", edge=16, ignored_rows=8))
    write_view(tmp_path, "a", **drawn)
    seen = pictures(tmp_path, "a")
    truth, valid, probability = drawn["truth"], drawn["valid"], drawn["probability"]
    np.testing.assert_array_equal(seen["truth"], np.where(valid, truth * FACE, NOT_SCORED))
    np.testing.assert_allclose(seen["probability"] / 255, probability, atol=0.5 / 255)
    np.testing.assert_array_equal(seen["errors"], ((probability > 0.5) & ~truth & valid) * INVENTED)
    np.testing.assert_allclose(seen["photo"], drawn["photo"], atol=3)
    assert seen["photo"].shape == drawn["photo"].shape


def test_the_threshold_itself_is_no_face_as_in_the_evaluation(tmp_path: Path) -> None:
    probability = np.array([[0.5, np.nextafter(np.float32(0.5), np.float32(1))]], np.float32)
    drawn = {"photo": np.zeros((1, 2, 3), np.uint8), "truth": np.zeros((1, 2), np.bool_), "valid": None}
    write_view(tmp_path, "a", probability=probability, threshold=0.5, **drawn)
    assert (pictures(tmp_path, "a")["probability"] > 0.5 * 255).tolist() == [[False, True]]


@pytest.mark.parametrize(("height", "width"), [(1024, 1024), (700, 1234), (257, 300), (900, 400)])
def test_views_fit_and_their_iou_is_close_to_that_of_the_photo(height: int, width: int, tmp_path: Path) -> None:
    y, x = np.mgrid[:height, :width] / np.array([[[height]], [[width]]])
    truth = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.16
    distance = np.hypot(x - 0.55, y - 0.45) - 0.38
    probability = (1 / (1 + np.exp(distance * 60))).astype(np.float32)
    valid = y > 0.2
    photo = np.zeros((height, width, 3), np.uint8)
    write_view(tmp_path, "a", photo=photo, probability=probability, truth=truth, valid=valid, threshold=0.5)
    seen = pictures(tmp_path, "a")
    assert max(seen["truth"].shape) == VIEW_SIDE_PX
    assert seen["photo"].shape[:2] == seen["truth"].shape == seen["probability"].shape == seen["errors"].shape
    for threshold in (0.3, 0.5, 0.8):
        reduced = count(seen["probability"] > threshold * 255, seen["truth"] == FACE, valid=seen["truth"] != NOT_SCORED)
        exact = count(probability > threshold, truth, valid=valid)
        assert reduced.face_iou == pytest.approx(exact.face_iou, abs=0.005)


def test_ten_wrong_pixels_of_a_large_photo_are_seen(tmp_path: Path) -> None:
    drawn, wrong = ten_missed_pixels(2048)
    write_view(tmp_path, "a", **drawn)
    errors = pictures(tmp_path, "a")["errors"]
    assert {tuple(cell) for cell in np.argwhere(errors)} == {tuple(cell) for cell in wrong // 8}
    assert set(errors[errors > 0]) == {MISSED}


@given(arrays(np.bool_, (37, 23)), arrays(np.bool_, (37, 23)), st.integers(1, 37), st.integers(1, 23))
def test_a_cell_tells_of_errors_exactly_if_it_holds_some(
    prediction: np.ndarray, truth: np.ndarray, height: int, width: int
) -> None:
    valid = np.ones_like(truth)
    errors = reduce_errors(prediction, truth, valid, size=(height, width))
    expected = np.zeros((height, width), np.uint8)
    rows = [next(cell for cell in reversed(range(height)) if cell * 37 // height <= y) for y in range(37)]
    columns = [next(cell for cell in reversed(range(width)) if cell * 23 // width <= x) for x in range(23)]
    for y, x in np.argwhere(prediction != truth):
        expected[rows[y], columns[x]] |= INVENTED if prediction[y, x] else MISSED
    np.testing.assert_array_equal(errors, expected)
    assert set(rows) == set(range(height))  # no cell is without a pixel


def test_errors_where_nothing_is_scored_are_none() -> None:
    wrong = np.ones((4, 4), np.bool_)
    assert not reduce_errors(wrong, ~wrong, ~wrong, size=(2, 2)).any()


def test_sizes() -> None:
    assert view_size((512, 512)) == (256, 256)
    assert view_size((100, 200)) == (100, 200)
    assert view_size((1, 5000)) == (1, 256)


def test_ids_may_name_folders_but_not_leave_theirs(tmp_path: Path) -> None:
    write_view(tmp_path / "views", "person 1/<a>&b", **draw(Drawn("")))
    assert read_view(tmp_path / "views", "person 1/<a>&b").size == (48, 64)
    for evil in ("../outside", "/tmp/outside"):
        with pytest.raises(RecordError, match="lies outside"):
            write_view(tmp_path / "views", evil, **draw(Drawn("")))


def test_sizes_that_differ_are_refused(tmp_path: Path) -> None:
    drawn = draw(Drawn(""))
    for name in ("photo", "probability", "truth", "valid"):
        with pytest.raises(ValueError, match=r"of one size .* \(47, 64\)"):
            write_view(tmp_path, "a", **{**drawn, name: drawn[name][1:]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["photo", "truth", "probability", "errors"])
def test_missing_and_damaged_files_are_named(kind: str, tmp_path: Path) -> None:
    write_view(tmp_path, "a", **draw(Drawn("")))
    path = view_paths(tmp_path, "a")[kind]
    content = path.read_bytes()
    for spoilt in (b"", b"no image", content[:-20], content[: len(content) // 2]):
        path.write_bytes(spoilt)
        with pytest.raises(RecordError, match=rf"{path.name}: cannot be read") as found:
            read_view(tmp_path, "a")
        assert found.value.outcome == "damaged_view"
    path.unlink()
    with pytest.raises(RecordError, match=rf"{path.name}: no such file"):
        read_view(tmp_path, "a")


def test_views_of_two_images_mixed_up_are_told(tmp_path: Path) -> None:
    write_view(tmp_path, "a", **draw(Drawn("")))
    write_view(tmp_path, "b", **ten_missed_pixels(200)[0])
    view_paths(tmp_path, "b")["truth"].replace(view_paths(tmp_path, "a")["truth"])
    with pytest.raises(RecordError, match=r"of one size, found photo 48 x 64, truth 200 x 200"):
        read_view(tmp_path, "a")
