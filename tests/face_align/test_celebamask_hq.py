from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from common.errors import RecordError, UserError
from common.image_io import write_mask
from common.labels import CELEBAMASK_PARTS, PART_ID
from face_align.celebamask_hq import (
    PhotoRecord,
    official_split,
    read_celebamask_hq,
    read_known_faults,
    read_official_split,
    read_parts,
    resize_label,
)
from tests.tiny_world import World, face_in_photo, part_masks

SQUARE = np.zeros((20, 24), bool)
SQUARE[4:15, 5:18] = True


@pytest.fixture
def copy(world: World, tmp_path: Path) -> Path:
    return shutil.copytree(world.root, tmp_path / "celeba")


def record_of(folder: Path, **parts: Image.Image | np.ndarray) -> PhotoRecord:
    paths = {}
    for name, mask in parts.items():
        paths[name] = folder / f"00003_{name}.png"
        if isinstance(mask, Image.Image):
            mask.save(paths[name])
        else:
            write_mask(paths[name], mask)
    return PhotoRecord("3", folder / "3.jpg", paths, folder / "3.npy", "train", "3")


def test_records_come_in_the_order_of_their_numbers(world: World) -> None:
    records = read_celebamask_hq(world.root, split="split.csv")
    assert [record.id for record in records] == ["0", "1", "2", "3", "4", "5"]
    assert [record.split for record in records] == ["train"] * 4 + ["val"] * 2
    assert set(records[3].parts) == {"hair", "skin", "nose", "l_eye", "r_eye", "u_lip", "l_lip"}
    assert records[3].landmarks == world.root / "landmarks" / "3.npy"
    assert [record.id for record in read_celebamask_hq(world.root, split="split.csv", limit=2)] == ["0", "1"]


def test_numbers_are_not_sorted_as_text(copy: Path) -> None:
    for path in (copy / "CelebA-HQ-img" / "5.jpg", copy / "landmarks" / "5.npy"):
        path.rename(path.with_stem("10"))
    with (copy / "split.csv").open("a") as stream:
        stream.write("10,val\n")
    assert [record.id for record in read_celebamask_hq(copy, split="split.csv")][-2:] == ["4", "10"]


def test_the_official_split_follows_the_original_photos(world: World) -> None:
    assert [record.split for record in read_celebamask_hq(world.root)] == ["train"] * 4 + ["val"] * 2
    bounds = [0, 162770, 162771, 182637, 182638, 202598]
    assert [official_split(index) for index in bounds] == ["train", "train", "val", "val", "test", "test"]


@pytest.mark.parametrize("header", ["", "idx orig_idx orig_file\n", "idx          orig_idx       orig_file\n"])
def test_the_mapping_file_with_and_without_a_header(tmp_path: Path, header: str) -> None:
    path = tmp_path / "mapping.txt"
    path.write_text(header + "0\t119613  119614.jpg\n1 162771 162772.jpg\n\n2 200121 200122.jpg\n")
    assert read_official_split(path) == {0: "train", 1: "val", 2: "test"}


@pytest.mark.parametrize("line", ["1 x 2.jpg", "1 2", "1 2 3.jpg 4", "-1 2 3.jpg"])
def test_a_damaged_line_of_the_mapping_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "mapping.txt"
    path.write_text(f"0 5 6.jpg\n{line}\n")
    with pytest.raises(UserError, match=r"mapping\.txt:2: expected 'idx orig_idx orig_file'"):
        read_official_split(path)


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_celebamask_hq(tmp_path / "nowhere", split="mine.csv")
    for name in ("CelebA-HQ-img", "CelebAMask-HQ-mask-anno", "landmarks", "mine.csv"):
        assert str(tmp_path / "nowhere" / name) in str(caught.value)


def test_photos_without_a_number_an_empty_folder_and_a_split_without_them(copy: Path) -> None:
    (copy / "split.csv").write_text("id,split\n0,train\n")
    with pytest.raises(UserError, match=r"split\.csv: has no row for 5 photos, e\.g\. \[1, 2, 3, 4, 5\]"):
        read_celebamask_hq(copy, split="split.csv")
    (copy / "split.csv").write_text("number,part\n0,train\n")
    with pytest.raises(UserError, match="columns id and split"):
        read_celebamask_hq(copy, split="split.csv")
    (copy / "CelebA-HQ-img" / "me.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"named by number, found \['me'\]"):
        read_celebamask_hq(copy)
    for path in (copy / "CelebA-HQ-img").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="an empty folder"):
        read_celebamask_hq(copy)


def test_labels_are_the_painted_parts(world: World) -> None:
    record = read_celebamask_hq(world.root)[2]
    matrix, size = face_in_photo(2)
    masks = part_masks(matrix, size)
    expected = np.zeros(size, np.uint8)
    for name in CELEBAMASK_PARTS:
        if name in masks:
            expected[masks[name]] = PART_ID[name]
    label = read_parts(record)
    assert_array_equal(label, expected)
    assert len(np.unique(label)) == 8


def test_later_parts_cover_earlier_ones(tmp_path: Path) -> None:
    label = read_parts(record_of(tmp_path, **dict.fromkeys(reversed(CELEBAMASK_PARTS), SQUARE)))
    assert set(np.unique(label)) == {0, PART_ID["cloth"]}
    eyes = SQUARE.copy()
    eyes[8:] = False
    label = read_parts(record_of(tmp_path, l_eye=eyes, eye_g=SQUARE, skin=SQUARE))
    assert (label[eyes] == PART_ID["l_eye"]).all()  # seen through the lens
    assert (label[SQUARE & ~eyes] == PART_ID["eye_g"]).all()


GREY = SQUARE.astype(np.uint8) * np.uint8(255)
PALETTE_IMAGE = Image.fromarray(SQUARE.astype(np.uint8), "L")
PALETTE_IMAGE.putpalette([0, 0, 0, 255, 255, 255])


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(GREY),
        Image.fromarray(GREY).convert("1"),
        PALETTE_IMAGE,
        Image.fromarray(np.dstack([GREY] * 3)),
        Image.fromarray(np.dstack([GREY, GREY * 0, GREY * 0])),
        Image.fromarray(np.dstack([GREY] * 3 + [GREY * 0 + 255])),
        Image.fromarray(GREY.astype(np.uint16) * 257),
        Image.fromarray(SQUARE.astype(np.uint8)),
    ],
    ids=["L", "1", "P", "RGB", "one channel", "RGBA", "16 bits", "0/1"],
)
def test_part_masks_of_every_kind(tmp_path: Path, image: Image.Image) -> None:
    label = read_parts(record_of(tmp_path, skin=SQUARE, nose=image))
    assert_array_equal(label, np.where(SQUARE, np.uint8(PART_ID["nose"]), np.uint8(0)))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, r"3\.jpg: has no skin mask; expected 00003_skin\.png"),
        ({"nose": SQUARE}, "has no skin mask"),
        ({"skin": SQUARE & False, "nose": SQUARE}, r"00003_skin\.png: the skin mask is empty"),
        (
            {"skin": SQUARE, "nose": SQUARE[1:]},
            r"_nose\.png: mask is \(19, 24\) but the other parts are \(20, 24\)",
        ),
    ],
)
def test_a_label_without_skin_or_of_two_sizes_is_bad(
    tmp_path: Path, parts: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(RecordError, match=message) as caught:
        read_parts(record_of(tmp_path, **parts))
    assert caught.value.outcome == "bad_label"


def test_an_empty_part_beside_skin_is_no_fault(tmp_path: Path) -> None:
    assert (read_parts(record_of(tmp_path, skin=SQUARE, hair=SQUARE & False)) == PART_ID["skin"]).sum() == SQUARE.sum()


def test_labels_are_resized_at_pixel_centres() -> None:
    label = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert_array_equal(resize_label(label, (6, 8)), np.kron(label, np.ones((2, 2), np.uint8)))
    assert_array_equal(resize_label(np.kron(label, np.ones((3, 3), np.uint8)), (3, 4)), label)


def test_the_known_faults() -> None:
    faults = read_known_faults()
    bad = [481, 1499, 2260, 2281, 2905, 3137, 4790, 4995, 5130, 5591, 5608, 9150, 9895, 10184, 13008, 15587, 17586]
    second = [235, 3330, 5163, 6771, 7385, 7562, 12445, 12886, 13826, 15507, 19200, 20135, 24647]
    assert set(faults) == {*bad, 2110, 404, *second}
    assert faults[4790] == "all parts are empty"
    assert faults[2110] == "the photo is not aligned"
    assert faults[404] == "mouth and lips are missing"
    assert all(faults[number] == f"the same photo as {number - 1}" for number in second)


def test_faults_are_those_of_the_official_photos_and_stay_in_the_list(copy: Path) -> None:
    for path in (copy / "CelebA-HQ-img" / "5.jpg", copy / "landmarks" / "5.npy"):
        path.rename(path.with_stem("2110"))
    with (copy / "CelebA-HQ-to-CelebA-mapping.txt").open("a") as stream:
        stream.write("2110 7 000008.jpg\n")
    with (copy / "split.csv").open("a") as stream:
        stream.write("2110,val\n")
    faults = [record.fault for record in read_celebamask_hq(copy, faults="drop")]
    assert faults == [None] * 5 + ["the photo is not aligned"]
    for options in ({"faults": "keep"}, {"split": "split.csv", "faults": "drop"}):
        records = read_celebamask_hq(copy, **options)  # type: ignore[arg-type]
        assert [record.fault for record in records] == [None] * 6


def test_masks_of_the_last_folder_are_found(copy: Path) -> None:
    masks = copy / "CelebAMask-HQ-mask-anno"
    (masks / "14").mkdir()
    for path in masks.glob("0/00005_*.png"):
        path.rename(masks / "14" / path.name.replace("00005", "29999"))
    for path in (copy / "CelebA-HQ-img" / "5.jpg", copy / "landmarks" / "5.npy"):
        path.rename(path.with_stem("29999"))
    with (copy / "split.csv").open("a") as stream:
        stream.write("29999,val\n")
    record = read_celebamask_hq(copy, split="split.csv")[-1]
    assert record.id == "29999"
    assert (read_parts(record) == PART_ID["skin"]).any()
