"""What readers say of sets that are not as they should be."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import RecordError, UserError
from common.image_io import write_grey, write_image, write_mask
from common.labels import FacePolicy
from datasets.test_sets import TestImage, read_test_set, read_truth

POLICY = FacePolicy()


@pytest.fixture
def copy_of(drawn: Path, tmp_path: Path) -> Any:
    return lambda name: Path(shutil.copytree(drawn / name, tmp_path / name))


def refusal(root: Path, layout: str, **keys: Any) -> str:
    with pytest.raises(UserError) as caught:
        read_test_set(root, layout=layout, **keys)  # type: ignore[arg-type]
    return str(caught.value)


def mask_record(tmp_path: Path, values: list[int], *, suffix: str = ".png") -> TestImage:
    mask = np.array(values, np.uint8)[np.arange(400).reshape(20, 20) % len(values)]
    path = tmp_path / f"mask{suffix}"
    if suffix == ".png":
        write_grey(path, mask)
    else:
        write_image(path, np.dstack([mask] * 3))
    return TestImage("a", tmp_path / "a.jpg", path)


@pytest.mark.parametrize("values", [[0, 1], [0, 15], [0, 255], [0], [255], [1]])
def test_two_values_are_told_by_meaning(tmp_path: Path, values: list[int]) -> None:
    visible, _ = read_truth(mask_record(tmp_path, values), POLICY)
    assert visible.ravel()[: len(values)].tolist() == [value > 0 for value in values]


@pytest.mark.parametrize("values", [[0, 2], [0, 1, 255], [0, 128, 255], [0, 128], [7], [0, 1, 15], [3, 9, 200]])
def test_other_values_are_named_with_their_file(tmp_path: Path, values: list[int]) -> None:
    with pytest.raises(RecordError) as caught:
        read_truth(mask_record(tmp_path, values), POLICY)
    assert f"found {sorted(values)}" in str(caught.value)
    assert "mask.png" in str(caught.value)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 255), min_size=2, max_size=16, unique=True))
def test_few_values_are_a_mask_only_where_they_are_one_of_three_pairs(
    tmp_path_factory: pytest.TempPathFactory, values: list[int]
) -> None:
    record = mask_record(tmp_path_factory.mktemp("mask"), values)
    if any(set(values) <= pair for pair in ({0, 1}, {0, 15}, {0, 255})):
        read_truth(record, POLICY)
    else:
        with pytest.raises(RecordError):
            read_truth(record, POLICY)


def test_soft_edges_and_jpeg_noise_are_split_in_the_middle(tmp_path: Path) -> None:
    visible, _ = read_truth(mask_record(tmp_path, list(range(0, 250, 5))), POLICY)
    assert visible.ravel()[:50].tolist() == [value > 127 for value in range(0, 250, 5)]
    noisy = mask_record(tmp_path, [0, 255] * 10, suffix=".jpg")
    assert read_truth(noisy, POLICY)[0].any()


def test_a_mask_read_as_labels_names_its_values(copy_of: Any) -> None:
    root = copy_of("Helen")
    write_mask(root / "labels" / "1000_1.png", np.eye(64, dtype=bool))
    records = read_test_set(root, layout="helen")
    with pytest.raises(RecordError, match=r"1000_1\.png: expected class ids 0\.\.10 .*found the values \[0, 255\]"):
        read_truth(records[0], POLICY)


@pytest.mark.parametrize(
    "content", [{"a": 1}, np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 300), np.full((4, 4), 0.5), "text"]
)
def test_other_pickles_are_told(tmp_path: Path, content: object) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(RecordError, match=r"a\.pkl: expected a label map"):
        read_truth(TestImage("a", tmp_path / "a.png", tmp_path / "a.pkl", coding="faceocc"), POLICY)


class Evil:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("/tmp/must_not_exist_occface"),)


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(RecordError, match="nothing but NumPy arrays"):
        read_truth(TestImage("a", tmp_path / "a.png", tmp_path / "a.pkl", coding="faceocc"), POLICY)
    assert not Path("/tmp/must_not_exist_occface").exists()


def test_a_split_file_that_names_absent_photos_is_told(copy_of: Any) -> None:
    root = copy_of("CelebAMask-HQ")
    (root / "mine.txt").write_text("0.jpg\n99\n7777.jpg\n0.jpg\n")
    message = refusal(root, "celebamask_hq_wo", split="mine.txt")
    assert "2 entries of" in message
    assert "7777, 99" in message
    assert "the split file" in refusal(root, "celebamask_hq_wo", split="none.txt")


def test_numbers_that_are_one_apart_are_told(tmp_path: Path) -> None:
    for number in range(3):
        write_image(tmp_path / "images" / f"{number:03d}.jpg", np.zeros((8, 8, 3), np.uint8))
        write_mask(tmp_path / "masks" / f"{number + 1:03d}.png", np.eye(8, dtype=bool))
    message = refusal(tmp_path, "folder")
    assert "numbered one higher than the photos" in message
    assert "1 photos without a mask" in message
    assert "000" in message


def test_parts_that_are_missing_are_told(copy_of: Any) -> None:
    root = copy_of("CelebAMask-HQ")
    (root / "CelebAMask-HQ-mask-anno" / "0" / "00003_skin.png").unlink()
    (root / "CelebA-HQ-img" / "5.jpg").unlink()
    (root / "CelebA-HQ-to-CelebA-mapping.txt").unlink()
    message = refusal(root, "celebamask_hq")
    for expected in ("1 photos without a skin mask", ": 3", "1 masks without a photo", "neither"):
        assert expected in message


@pytest.mark.parametrize(
    ("name", "layout", "keys", "removed", "expected"),
    [
        ("COFW", "cofw", {}, "COFW_train_color.mat", "the file of split train is missing"),
        ("COFW", "cofw", {}, "masks/mask_2.png", "photos of COFW_train_color.mat without a mask"),
        ("COFW", "cofw", {"masks": "none"}, "", "is missing"),
        ("COFW", "cofw", {"split": "val"}, "", "has the splits"),
        ("FaceOcc", "faceocc_ffhq", {}, "ffhqMask/00000.pkl", "photos without a label map"),
        ("FaceOcc", "faceocc_cofw", {}, "COFW_test/mask/1.png", "photos without a mask"),
        ("LaPa", "lapa", {"split": "dev"}, "", "is missing"),
        ("occluded_dev", "occluded_dev", {}, "occluders/drawn_001.png", "photos without a class map"),
        ("occluded_dev", "occluded_dev", {}, "ignore/drawn_001.png", "photos without an ignore mask"),
        ("RealOcc", "realocc", {}, "mask/val_3.png", "photos without a mask"),
    ],
)
def test_what_is_missing_is_told(
    copy_of: Any, name: str, layout: str, keys: dict[str, Any], removed: str, expected: str
) -> None:
    root = copy_of(name)
    if removed:
        (root / removed).unlink()
    assert expected in refusal(root, layout, **keys)


def test_masks_beyond_the_photos_of_cofw_are_told(copy_of: Any) -> None:
    root = copy_of("COFW")
    write_mask(root / "masks" / "mask_4.png", np.eye(64, dtype=bool))
    message = refusal(root, "cofw")
    assert "masks without a photo in COFW_train_color.mat (mask_i belongs to photo 845 + i of 848)" in message


def test_damaged_matlab_files_are_told(copy_of: Any) -> None:
    root = copy_of("COFW")
    (root / "COFW_train_color.mat").write_bytes(b"MATLAB 7.3 or not")
    assert "expected COFW's MATLAB 7.3 file" in refusal(root, "cofw")


def test_an_unknown_class_of_occluder_is_told(copy_of: Any) -> None:
    root = copy_of("occluded_dev")
    write_grey(root / "occluders" / "drawn_000.png", np.full((64, 64), 6, np.uint8))
    assert "unknown classes [6]" in refusal(root, "occluded_dev")


def test_damaged_photos_can_be_left_out_by_name(copy_of: Any, tmp_path: Path) -> None:
    root = copy_of("RealOcc")
    (root / "image" / "val_2.jpg").write_bytes(b"")
    (root / "image" / "val_4.jpg").write_bytes((root / "image" / "val_5.jpg").read_bytes()[:40])
    message = refusal(root, "realocc")
    assert "2 files that cannot be read" in message
    assert "--quarantine" in message
    (tmp_path / "damaged.txt").write_text("val_2\nval_4\n")
    records = read_test_set(root, layout="realocc", leave_out=tmp_path / "damaged.txt")
    assert [record.id for record in records] == ["val_0", "val_1", "val_3", "val_5"]


def test_an_ignore_mask_of_another_size_is_told(tmp_path: Path) -> None:
    record = mask_record(tmp_path, [0, 255])
    write_mask(tmp_path / "ignore.png", np.eye(8, dtype=bool))
    with pytest.raises(RecordError, match=r"ignore\.png: is \(8, 8\), the mask of the face \(20, 20\)"):
        read_truth(record._replace(ignore=tmp_path / "ignore.png"), POLICY)
