"""Every reader on a file written to the published format; real files where OCCFACE_DATA has them."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from common.errors import UserError
from face_align.landmark_formats import (
    LandmarkError,
    LandmarkRecord,
    open_landmarks,
    read_landmark_file,
    write_landmarks_jsonl,
)
from face_align.landmark_formats.lists import CELEBA_COLUMNS, HSU_COLUMNS, without_suffix
from face_align.landmarks import points_in_photo, read_landmarks
from tests.face_align.landmark_files import POINTS, outcome_of, real
from tests.tiny_world import FIVE


def test_the_list_of_the_mask_generator(tmp_path: Path) -> None:
    numbers = ",".join(f"{value:g}" for value in POINTS.ravel())
    rows = [f"\\,1.jpg,0_1,{numbers}", f"\\n0001\\b,0002_01.jpg,1_0,{numbers}", "\\,3.jpg,0_0,1,2",
            f"\\,4.jpg,0_0,x{numbers}", ""]  # fmt: skip
    (tmp_path / "test.csv").write_text(",".join(HSU_COLUMNS) + "\r\n" + "\r\n".join(rows))
    source = open_landmarks(tmp_path / "test.csv")
    (first,) = source.get("1")
    assert (first.face_type, first.scheme) == ("0_1", "ibug68")
    assert_allclose(first.points, POINTS, rtol=1e-5)
    assert source.get("n0001/b/0002_01")[0].face_type == "1_0"
    assert outcome_of(tmp_path / "test.csv", "3") == "bad_landmarks"
    assert outcome_of(tmp_path / "test.csv", "4") == "bad_landmarks"
    assert outcome_of(tmp_path / "test.csv", "5") == "no_landmarks"
    (tmp_path / "other.csv").write_text("image,x,y\n1,2,3\n")
    with pytest.raises(UserError, match=r"expected the 139 columns .* found 3: image, x, y"):
        open_landmarks(tmp_path / "other.csv")


def test_the_real_list_of_the_mask_generator() -> None:
    source = open_landmarks(real("hsu_lab_masks/landmark/test.csv"))
    assert [source.get(name)[0].face_type for name in "123"] == ["0_0", "1_0", "0_1"]
    assert_array_equal(source.get("1")[0].points[:2], [[15, 51], [15, 63]])
    for name in "123":
        points = source.get(name)[0].points
        assert points.shape == (68, 2)
        assert ((points >= 0) & (points < 116)).all()  # one jaw lies 2 px below its photo of 112 px


def test_the_list_of_celeba(tmp_path: Path) -> None:
    path = tmp_path / "list_landmarks_align_celeba.txt"
    path.write_text(
        "3\n" + " ".join(CELEBA_COLUMNS) + " \n"
        "000001.jpg 69  109  106  113   77  142   73  152  108  154\n"
        "000002.jpg 69  110  107  112   81  135   70  151  108  153\n000003.jpg 1 2\n"
    )
    (found,) = open_landmarks(path).get("000001")
    assert (found.scheme, found.image_size) == ("five", (218, 178))
    assert_array_equal(found.points, [[69, 109], [106, 113], [77, 142], [73, 152], [108, 154]])
    assert outcome_of(path, "000003") == "bad_landmarks"
    assert open_landmarks(path.rename(tmp_path / "list_landmarks_celeba.txt")).get("000002")[0].image_size is None


def test_the_list_of_wflw(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(0, 900, (98, 2)).round(3)
    numbers = " ".join(map(str, points.ravel()))
    line = f"{numbers} 182 268 305 406 1 0 0 0 0 1 37--Soccer/37_Soccer_{{}}.jpg\n"
    path = tmp_path / "list_98pt_rect_attr_test.txt"
    path.write_text(line.format(1) + line.format(1) + line.format(2))
    first, second = open_landmarks(path).get("37--Soccer/37_Soccer_1")
    assert (first.scheme, first.box) == ("wflw98", (182, 268, 123, 138))
    assert_array_equal(second.points, points)
    (tmp_path / "other.txt").write_text("hello\n")
    with pytest.raises(UserError, match=r"other\.txt: expected CelebA's list"):
        open_landmarks(tmp_path / "other.txt")
    np.save(tmp_path / "9.npy", points)
    assert open_landmarks(tmp_path).get("9")[0].scheme == "wflw98"


@pytest.mark.parametrize("count", [468, 478])
def test_shares_of_the_photo_become_pixels(tmp_path: Path, count: int) -> None:
    shares = np.random.default_rng(0).uniform(0, 1, (count, 3))
    np.save(tmp_path / "1.npy", shares)
    (found,) = open_landmarks(tmp_path).get("1")
    assert (found.scheme, found.image_size) == ("mediapipe478", (1, 1))
    expected = shares[:, :2] * [640, 480] - 0.5  # shares count from the corner of a pixel
    assert_allclose(points_in_photo(found, (480, 640)), expected)
    assert_allclose(read_landmarks(tmp_path / "1.npy", photo_size=(480, 640)), expected)
    with pytest.raises(LandmarkError, match="size of the photo is not known"):
        read_landmarks(tmp_path / "1.npy")
    np.save(tmp_path / "2.npy", shares[:, :2] * [640, 480])
    assert open_landmarks(tmp_path).get("2")[0].image_size is None


def write_cofw(path: Path, *, suffix: str, count: int = 3) -> np.ndarray:
    """Write COFW's HDF5 layout and return `phis` as (count, 87)."""
    h5py = pytest.importorskip("h5py", reason="COFW's files need h5py")
    phis = np.random.default_rng(0).uniform(2, 90, (count, 87))
    phis[:, 58:] = phis[:, 58:] > 60
    with h5py.File(path, "w", userblock_size=512) as content:
        content[f"phis{suffix}"] = phis.T  # MATLAB's N x 87
        content[f"bboxes{suffix}"] = np.tile([[11.0], [21], [30], [40]], count)
        for index in range(count):
            content[f"#refs#/{index}"] = np.zeros((120, 100) if index else (3, 120, 100), np.uint8)  # (W, H) = 120, 100
        references = [content[f"#refs#/{index}"].ref for index in range(count)]
        content.create_dataset(f"Is{suffix}", data=np.array([references], dtype=object), dtype=h5py.ref_dtype)
    return phis


@pytest.mark.parametrize("suffix", ["Tr", "T"])
def test_cofw(tmp_path: Path, suffix: str) -> None:
    phis = write_cofw(tmp_path / "COFW.mat", suffix=suffix)
    source = open_landmarks(tmp_path / "COFW.mat")
    for number in (1, 3):
        (found,) = source.get(str(number))
        row = phis[number - 1]
        assert (found.scheme, found.image_size, found.box) == ("cofw29", (100, 120), (10, 20, 30, 40))
        assert_allclose(found.points, np.column_stack([row[:29], row[29:58]]) - 1)
        assert found.occluded is not None
        assert_array_equal(found.occluded, row[58:] == 1)
    assert outcome_of(tmp_path / "COFW.mat", "4") == "no_landmarks"


def test_without_h5py_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "COFW.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(UserError, match="pip install h5py"):
        open_landmarks(tmp_path / "COFW.mat")


def test_cofw68(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    flags = np.arange(68) % 3 == 0
    scipy_io.savemat(tmp_path / "7_points.mat", {"Points": POINTS + 1, "Occ": flags[None].astype(np.uint8)})
    (found,) = open_landmarks(tmp_path).get("7")
    assert (found.id, found.scheme) == ("7", "ibug68")
    assert_allclose(found.points, POINTS)
    assert_array_equal(found.occluded, flags)  # type: ignore[arg-type]
    scipy_io.savemat(tmp_path / "8_points.mat", {"bboxes": np.zeros((2, 4))})
    (tmp_path / "9.mat").write_bytes(b"MATLAB 5.0 broken")
    assert outcome_of(tmp_path, "8") == outcome_of(tmp_path, "9") == "bad_landmarks"


def test_the_real_cofw68() -> None:
    folder = real("cofw/cofw68/test_annotations")
    source = open_landmarks(folder)
    records = [source.get(str(number))[0] for number in range(1, 508)]
    assert all(record.points.shape == (68, 2) and record.occluded is not None for record in records)
    share = np.mean([record.occluded for record in records])
    assert 0.1 < share < 0.4  # the set's authors give 23 %
    document = json.loads(real("cofw/test_images/test_cofw.json").read_text())
    for annotation in document["annotations"]:  # 29 points of the same photos
        nose = np.array(annotation["keypoints"]).reshape(29, 3)[20, :2]
        assert np.linalg.norm(records[annotation["image_id"] - 1345 - 1].points[30] - nose) < 8


def faces() -> list[LandmarkRecord]:
    return [
        LandmarkRecord("a", POINTS, "ibug68", (80, 90), np.arange(68) % 2 == 0, "mediapipe", 0.5, (1.0, 2.0, 3.0, 4.0)),
        LandmarkRecord("b/c#0", FIVE, "five", (80, 90), None, "yunet", 0.25),
        LandmarkRecord("b/c#10", FIVE + 10, "five", (80, 90), None, "yunet", None),
        LandmarkRecord("b/c#2", FIVE + 2, "five", None, None, "yunet", None, None, "0_1"),
        LandmarkRecord(os.fsdecode(b"caf\xe9"), FIVE, "five"),  # a name that is no UTF-8
        LandmarkRecord("d.e ü", FIVE, "five"),
    ]


def test_our_own_format_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "landmarks.jsonl"
    write_landmarks_jsonl(path, faces())
    source = pickle.loads(pickle.dumps(open_landmarks(path)))  # as it goes to other processes
    found = [source.get(record.id)[0] for record in faces()]
    for record, again in zip(faces(), found, strict=True):
        assert_allclose(again.points, record.points, atol=5e-4)
        assert again._replace(points=0, occluded=0) == record._replace(points=0, occluded=0)
    assert_array_equal(found[0].occluded, faces()[0].occluded)
    assert [face.id for face in source.get("b/c")] == ["b/c#0", "b/c#2", "b/c#10"]
    assert outcome_of(path, "b") == "no_landmarks"
    first = path.read_bytes()
    write_landmarks_jsonl(path, [record for name in found for record in source.get(name.id)])
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    "change",
    [
        {"points": [[1, 2]] * 67},
        {"points": "text"},
        {"points": [[1, 2], [3]]},
        {"points": [[float("nan"), 2]] * 5},
        {"scheme": "ibug68"},
        {"scheme": None},
        {"image_size": [10]},
        {"image_size": [0, 10]},
        {"box": [1, 2]},
        {"occluded": [1, 0]},
        {"score": "high"},
        {"pionts": []},
    ],
    ids=str,
)
def test_a_bad_line_spoils_its_photo_alone(tmp_path: Path, change: dict[str, Any]) -> None:
    good = {"id": "a", "image_size": [80, 90], "scheme": "five", "points": FIVE.tolist()}
    path = tmp_path / "landmarks.jsonl"
    path.write_text(f"{json.dumps(good)}\n\n{json.dumps(good | {'id': 'b'} | change)}\n")
    assert open_landmarks(path).get("a")[0].image_size == (80, 90)
    assert outcome_of(path, "b") == "bad_landmarks"
    with pytest.raises(LandmarkError, match=r"landmarks\.jsonl:3"):
        open_landmarks(path).get("b")


@pytest.mark.parametrize("line", ["{", "3", "{}", '{"id": 3}', '{"id": "a"}\n{"id": "a"}'])
def test_lines_without_a_photo_or_twice_are_told(tmp_path: Path, line: str) -> None:
    (tmp_path / "landmarks.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=r"landmarks\.jsonl:\d: "):
        open_landmarks(tmp_path / "landmarks.jsonl")


def test_two_files_none_and_unknown_ones(tmp_path: Path) -> None:
    np.save(tmp_path / "1.npy", POINTS)
    np.savez(tmp_path / "1.npz", POINTS)
    with pytest.raises(LandmarkError, match=r"two files for one photo: 1\.npy and 1\.npz"):
        open_landmarks(tmp_path).get("1")
    assert outcome_of(tmp_path, "2") == "no_landmarks"
    with pytest.raises(UserError, match="found nothing"):
        open_landmarks(tmp_path / "none")
    for name in ("x.parquet", "x.npy"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(UserError, match="landmarks of a whole set"):
            open_landmarks(tmp_path / name)
    with pytest.raises(LandmarkError, match=r"end with \.npy"):
        read_landmark_file(tmp_path / "x.parquet")


def test_names_of_lists_become_ids() -> None:
    cases = {"\\/1.jpg": "1", "\\a\\b/x.y.png": "a/b/x.y", "a.b/c": "a.b/c", "c": "c"}
    assert {name: without_suffix(name) for name in cases} == cases


def test_points_of_another_shape_of_photo_are_refused() -> None:
    record = LandmarkRecord("7", FIVE, "five", (1024, 1024))
    assert_allclose(points_in_photo(record, (512, 512)), (FIVE + 0.5) / 2 - 0.5)
    assert_allclose(points_in_photo(record, (1024, 1024)), FIVE)
    with pytest.raises(LandmarkError, match=r"7: .*\(1024, 1024\).*\(512, 300\)"):
        points_in_photo(record, (512, 300))
