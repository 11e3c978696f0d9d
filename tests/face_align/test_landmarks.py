from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from face_align.landmarks import LandmarkError, check_frame, five_points, ibug68_points, read_landmarks
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
        np.zeros((97, 2)),
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
        five_points(np.zeros((97, 2)))
    for points, scheme in ((FIVE, "ibug68"), (POINTS, "wflw98"), (POINTS, "other")):
        with pytest.raises(ValueError, match=r"expected 68 or 5 points, or another of five 5"):
            five_points(points, scheme)


@pytest.mark.parametrize(
    ("count", "scheme", "groups"),
    [
        (98, "wflw98", [(60, 64), (68, 72), (54,), (76,), (82,)]),
        (468, "mediapipe478", [(33, 133), (362, 263), (1,), (61,), (291,)]),
        (478, "mediapipe478", [(33, 133), (362, 263), (1,), (61,), (291,)]),
        (29, "cofw29", [(8, 10), (9, 11), (20,), (22,), (23,)]),
    ],
)
def test_five_points_of_other_schemes(count: int, scheme: str, groups: list[tuple[int, ...]]) -> None:
    points = np.random.default_rng(0).uniform(0, 99, (count, 2))
    expected = [points[list(group)].mean(axis=0) for group in groups]
    assert_allclose(five_points(points, scheme), expected)
    assert_allclose(five_points(points), expected)


def test_the_mesh_in_the_order_of_68() -> None:
    mesh = np.column_stack([np.arange(478.0), np.zeros(478)])
    found = ibug68_points(mesh, "mediapipe478")
    assert found is not None
    numbers = found[:, 0].astype(int).tolist()
    assert len(set(numbers)) == 68
    assert numbers[:3] + numbers[8:9] + numbers[16:18] == [162, 234, 93, 152, 389, 71]
    assert numbers[30] == 4
    assert numbers[36:48] == [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]
    assert [numbers[index] for index in (48, 54, 60, 67)] == [61, 291, 78, 87]
    eyes = five_points(mesh, "mediapipe478")[:2]
    assert_allclose(five_points(found)[:2], eyes)  # the same corners
    assert ibug68_points(POINTS, "ibug68") is POINTS
    assert ibug68_points(FIVE, "five") is None


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


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("points", [POINTS, FIVE], ids=["68", "five"])
def test_the_factor_between_two_sizes_is_named(points: np.ndarray, factor: int) -> None:
    """The points stand as in CelebA-HQ, in a photo of 512 px."""
    photo = points + np.array([128, 178])
    check_frame(Path("7.npy"), photo, (512, 512), centred=True)
    large, small = (photo + 0.5) * factor - 0.5, (photo + 0.5) / factor - 0.5
    with pytest.raises(LandmarkError, match=rf"factor is {factor}: divide"):
        check_frame(Path("7.npy"), large, (512, 512), centred=True)
    with pytest.raises(LandmarkError, match=rf"factor is {factor}: multiply"):
        check_frame(Path("7.npy"), small, (512, 512), centred=True)
    check_frame(Path("7.npy"), small, (512, 512))  # in any photo it may be a small face


@pytest.mark.parametrize("angle_deg", [0, 50, 120, 180])
def test_mirrored_points_are_told_at_any_turn(angle_deg: float) -> None:
    angle = np.radians(angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = (POINTS - 128) @ turn.T + 128
    check_frame(Path("7.npy"), turned, (256, 256))
    for wrong in (turned[:, ::-1], [255, 0] + [-1, 1] * turned):
        with pytest.raises(LandmarkError, match=r"7\.npy.*x and y are exchanged, or right comes before left"):
            check_frame(Path("7.npy"), np.asarray(wrong), (256, 256))


def test_shares_of_the_photo_are_told() -> None:
    with pytest.raises(LandmarkError, match="look like shares: multiply by its size"):
        check_frame(Path("7.npy"), FIVE / 256, (256, 256))


def test_the_frames_of_real_faces_are_told() -> None:
    folder = Path(os.environ.get("OCCFACE_DATA") or "nowhere") / "celebamask_hq_mini" / "landmarks"
    if not folder.is_dir():
        pytest.skip("needs real landmarks: set OCCFACE_DATA to the folder that holds celebamask_hq_mini")
    for path in sorted(folder.iterdir()):
        points = read_landmarks(path)
        check_frame(path, points, (512, 512), centred=True)
        with pytest.raises(LandmarkError, match="x and y are exchanged"):
            check_frame(path, points[:, ::-1], (512, 512), centred=True)
        for factor, step in ((2, "divide"), (0.5, "multiply")):
            with pytest.raises(LandmarkError, match=f"factor is 2: {step}"):
                check_frame(path, (points + 0.5) * factor - 0.5, (512, 512), centred=True)
