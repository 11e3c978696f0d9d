from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from common.image_io import UnreadableImageError, write_grey, write_image, write_label, write_mask
from common.labels import PART_ID, FacePolicy
from common.manifest import write_manifest
from configs.schema import EvalSet
from datasets import test_sets

PHOTO = np.full((12, 20, 3), 120, np.uint8)
MASK = np.zeros((12, 20), bool)
MASK[2:6, 3:9] = True


def make_folder_set(root: Path, names: tuple[str, ...] = ("a", "b", "sub/c")) -> None:
    for name in names:
        write_image(root / "images" / f"{name}.jpg", PHOTO)
        write_mask(root / "masks" / f"{name}.png", MASK)
        write_mask(root / "ignore" / f"{name}.png", ~MASK)


def test_folder_layout_keeps_sub_folders(tmp_path: Path) -> None:
    make_folder_set(tmp_path)
    records = test_sets.read_test_set(tmp_path, layout="folder", ignore="ignore")
    assert [record.id for record in records] == ["a", "b", "sub/c"]
    visible, valid = test_sets.read_truth(records[2], FacePolicy())
    np.testing.assert_array_equal(visible, MASK)
    np.testing.assert_array_equal(valid, MASK)
    assert test_sets.read_truth(records[0]._replace(ignore=None), FacePolicy())[1] is None


def test_limit_takes_the_first(tmp_path: Path) -> None:
    make_folder_set(tmp_path)
    section = EvalSet(root=tmp_path, limit=2)
    assert [record.id for record in test_sets.build_test_set(section)] == ["a", "b"]


def test_everything_wrong_stands_in_one_message(tmp_path: Path) -> None:
    make_folder_set(tmp_path, ("a", "b", "c", "d"))
    (tmp_path / "masks" / "b.png").unlink()
    (tmp_path / "images" / "c.jpg").unlink()
    (tmp_path / "ignore" / "a.png").unlink()
    write_mask(tmp_path / "masks" / "d.png", MASK[:10])
    with pytest.raises(UserError) as caught:
        test_sets.read_test_set(tmp_path, layout="folder", ignore="ignore")
    message = str(caught.value)
    assert f"1 photos without a mask in {tmp_path / 'masks'}: b" in message
    assert f"1 masks without a photo in {tmp_path / 'images'}: c" in message
    assert f"1 photos without an ignore mask in {tmp_path / 'ignore'}: a" in message
    assert "d.png is 10 x 20" in message
    assert "d.jpg is 12 x 20" in message


def test_names_of_two_files_are_refused(tmp_path: Path) -> None:
    make_folder_set(tmp_path, ("a",))
    write_image(tmp_path / "images" / "a.png", PHOTO)
    with pytest.raises(UserError, match=r"names that more than one file has .*: a"):
        test_sets.read_test_set(tmp_path, layout="folder")


def test_turned_photo_is_compared_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    Image.fromarray(PHOTO.transpose(1, 0, 2)).save(tmp_path / "images" / "a.jpg", exif=exif)  # 20 x 12 stored
    write_mask(tmp_path / "masks" / "a.png", MASK)
    assert len(test_sets.read_test_set(tmp_path, layout="folder")) == 1


def test_damaged_file_is_named(tmp_path: Path) -> None:
    make_folder_set(tmp_path)
    (tmp_path / "images" / "b.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(UserError, match=r"files that cannot be read: .*b\.jpg"):
        test_sets.read_test_set(tmp_path, layout="folder")


@pytest.mark.parametrize("photos", ["img", "image"])
def test_realocc_layout(tmp_path: Path, photos: str) -> None:
    for number in range(4):
        write_image(tmp_path / photos / f"val_{number}.jpg", PHOTO)
        write_grey(tmp_path / "mask" / f"val_{number}.png", MASK.astype(np.uint8))
    assert len(test_sets.read_test_set(tmp_path, layout="realocc")) == 4
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "val.txt").write_text("val_3\nval_0.jpg\n\n")
    records = test_sets.read_test_set(tmp_path, layout="realocc")
    assert [record.id for record in records] == ["val_3", "val_0"]
    np.testing.assert_array_equal(test_sets.read_truth(records[0], FacePolicy())[0], MASK)
    (tmp_path / "split" / "val.txt").write_text("val_3\nval_9\n")
    with pytest.raises(UserError, match=r"entries of .*val\.txt without a photo.*: val_9"):
        test_sets.read_test_set(tmp_path, layout="realocc")


def make_prepared(root: Path) -> None:
    label = np.full((8, 8), PART_ID["hair"], np.uint8)
    label[2:] = PART_ID["skin"]
    label[5:] = PART_ID["hand"]
    label[2, :4] = PART_ID["eye_g"]
    rows = []
    for name, split in (("a", "train"), ("b", "test")):
        files = {"image": f"images/{name}.png", "label": f"labels/{name}.png"}
        write_image(root / files["image"], np.zeros((8, 8, 3), np.uint8))
        write_label(root / files["label"], label)
        rows.append({"id": name, "outcome": "ok", "split": split, "files": files, "sha256": {}})
    rows.append({"id": "c", "outcome": "no_landmarks", "reason": "none"})
    write_manifest(root, rows)


def test_prepared_layout_reads_labels_by_policy(tmp_path: Path) -> None:
    make_prepared(tmp_path)
    assert [r.id for r in test_sets.read_test_set(tmp_path, layout="prepared")] == ["a", "b"]
    (record,) = test_sets.read_test_set(tmp_path, layout="prepared", split="test")
    strict, _ = test_sets.read_truth(record, FacePolicy())
    generous, _ = test_sets.read_truth(record, FacePolicy(eyeglasses="face"))
    assert strict.sum() == 3 * 8 - 4
    assert generous.sum() == 3 * 8
    assert not generous[5:].any()


def test_missing_files_of_a_prepared_set(tmp_path: Path) -> None:
    make_prepared(tmp_path)
    (tmp_path / "labels" / "a.png").unlink()
    with pytest.raises(UserError, match=r"files of truth that are missing: .*a\.png"):
        test_sets.read_test_set(tmp_path, layout="prepared")
    with pytest.raises(UserError, match="run that first"):
        test_sets.read_test_set(tmp_path / "elsewhere", layout="prepared")


def test_missing_landmarks_are_listed(tmp_path: Path) -> None:
    make_folder_set(tmp_path)
    (tmp_path / "points").mkdir()
    np.save(tmp_path / "points" / "a.npy", np.zeros((68, 2)))
    section = EvalSet(root=tmp_path, crop="landmarks", landmarks=tmp_path / "points")
    with pytest.raises(UserError, match=r"2 files of landmarks that are missing: .*b\.npy, .*c\.npy"):
        test_sets.build_test_set(section)


def test_empty_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found nothing"):
        test_sets.read_test_set(tmp_path / "none", layout="folder")
    with pytest.raises(UserError, match=r"images is missing\n.*masks is missing"):
        test_sets.read_test_set(tmp_path, layout="folder")
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(UserError, match="no photo found"):
        test_sets.read_test_set(tmp_path, layout="folder")


def test_label_map_is_no_mask(tmp_path: Path) -> None:
    make_folder_set(tmp_path, ("a",))
    write_grey(tmp_path / "masks" / "a.png", np.arange(240, dtype=np.uint8).reshape(12, 20) % 19)
    (record,) = test_sets.read_test_set(tmp_path, layout="folder")
    with pytest.raises(UnreadableImageError, match="label map"):
        test_sets.read_truth(record, FacePolicy())
