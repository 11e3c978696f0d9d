from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from face_align.landmarks import LandmarkError, check_frame, five_points, read_landmarks
from tests.tiny_world import FIVE, points68

POINTS = points68()


def save(folder: Path, values: np.ndarray) -> Path:
    np.save(folder / "1.npy", values)
    return folder / "1.npy"


@pytest.mark.parametrize(
    "stored",
    [
        POINTS,
        POINTS.T,
        np.column_stack([POINTS, np.arange(68)]),
        np.column_stack([POINTS, np.arange(68)]).T,
        POINTS.astype(np.float32),
    ],
    ids=["(68, 2)", "(2, 68)", "(68, 3)", "(3, 68)", "float32"],
)
def test_known_shapes_give_the_same_points(tmp_path: Path, stored: np.ndarray) -> None:
    points = read_landmarks(save(tmp_path, stored))
    assert points.dtype == np.float64
    assert_allclose(points, POINTS, atol=1e-4)


def test_five_points_and_whole_numbers(tmp_path: Path) -> None:
    assert_array_equal(read_landmarks(save(tmp_path, FIVE)), FIVE)
    assert read_landmarks(save(tmp_path, POINTS.astype(np.int32))).dtype == np.float64


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((67, 2)),
        np.zeros((98, 2)),
        np.zeros((5, 3)),
        np.zeros((1, 68, 2)),
        np.zeros(136),
        np.array("text"),
        np.zeros((68, 2), bool),
        np.zeros((68, 2), complex),
    ],
    ids=lambda values: f"{values.dtype}{values.shape}",
)
def test_other_shapes_are_told_with_those_that_are_known(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(LandmarkError, match=r"1\.npy: expected landmarks of shape \(68, 2\)") as caught:
        read_landmarks(save(tmp_path, values))
    assert caught.value.outcome == "bad_landmarks"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_points_are_finite(tmp_path: Path, value: float) -> None:
    points = POINTS.copy()
    points[5, 1] = value
    with pytest.raises(LandmarkError, match="not a finite number"):
        read_landmarks(save(tmp_path, points))


def test_pickles_are_refused_and_never_run(tmp_path: Path) -> None:
    witness = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (witness,)

    np.save(tmp_path / "1.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    with pytest.raises(LandmarkError, match=r"1\.npy") as caught:
        read_landmarks(tmp_path / "1.npy")
    assert caught.value.outcome == "bad_landmarks"
    assert not witness.exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x93NUMPY", b"PK\x03\x04broken"])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "1.npy"
    path.write_bytes(content)
    with pytest.raises(LandmarkError, match=r"1\.npy") as caught:
        read_landmarks(path)
    assert caught.value.outcome == "bad_landmarks"


def test_an_archive_of_arrays_is_told(tmp_path: Path) -> None:
    with (tmp_path / "1.npy").open("wb") as stream:
        np.savez(stream, points=POINTS)
    with pytest.raises(LandmarkError, match=r"1\.npy"):
        read_landmarks(tmp_path / "1.npy")


def test_a_missing_file_has_its_own_outcome(tmp_path: Path) -> None:
    with pytest.raises(LandmarkError) as caught:
        read_landmarks(tmp_path / "1.npy")
    assert caught.value.outcome == "no_landmarks"


def test_an_eye_is_the_mean_of_its_corners() -> None:
    assert_allclose(five_points(POINTS), FIVE, atol=1e-9)
    moved = POINTS.copy()
    moved[[37, 38, 40, 41]] += 50  # lids do not count
    assert_allclose(five_points(moved), FIVE, atol=1e-9)
    assert_array_equal(five_points(FIVE), FIVE)
    with pytest.raises(ValueError, match="68 or 5"):
        five_points(np.zeros((98, 2)))


@pytest.mark.parametrize(
    ("shift", "refused"), [((0, 0), False), ((-1000, 0), True), ((0, 1000), True), ((1000, 0), True), ((0, -60), False)]
)
def test_points_of_another_photo_are_refused(shift: tuple[float, float], refused: bool) -> None:
    if not refused:
        check_frame(Path("7.npy"), POINTS + shift, (256, 256))
        return
    with pytest.raises(LandmarkError, match=r"7\.npy: .*256 x 256") as caught:
        check_frame(Path("7.npy"), POINTS + shift, (256, 256))
    assert caught.value.outcome == "bad_landmarks"


def test_points_of_the_double_size_are_refused() -> None:
    with pytest.raises(LandmarkError, match="another size"):
        check_frame(Path("7.npy"), POINTS * 2, (256, 256))
