"""Each reader on a set drawn in the published layout, whose truth is known to the pixel."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import RecordError, UserError
from common.image_io import read_image, write_grey, write_image
from common.labels import PART_ID, FacePolicy
from configs.schema import EvalSet
from datasets.sample_world.published.draw import Drawn, Plan, aligned, draw
from datasets.test_sets import TestImage, examine, read_full, read_parts, read_photo, read_test_set, read_truth
from datasets.test_sets.read import READERS
from tests.datasets.conftest import CELEBA_FACES, FACES, PHOTO_PX

POLICY = FacePolicy()
WORN = FacePolicy(eyeglasses="face")


def plan() -> Plan:
    return Plan(Path("unused"), FACES, PHOTO_PX, seed=0)


def drawn_again(name: str, index: int, **how: Any) -> Drawn:
    return draw(plan(), name, index, **how)


def visible(record: TestImage, policy: FacePolicy = POLICY) -> np.ndarray:
    mask, _ = read_truth(record, policy)
    assert mask.shape == read_photo(record).shape[:2]
    return mask


def read(root: Path, layout: str, **keys: Any) -> list[TestImage]:
    return read_test_set(root, layout=layout, **keys)


def copy(root: Path, to: Path) -> Path:
    return Path(shutil.copytree(root, to / root.name))


@pytest.mark.parametrize(
    ("folder", "layout", "keys", "count"),
    [
        ("RealOcc", "realocc", {}, FACES),
        ("RealOcc-Wild", "realocc_wild", {}, FACES),
        ("CelebAMask-HQ", "celebamask_hq", {}, CELEBA_FACES),
        ("CelebAMask-HQ", "celebamask_hq", {"split": "val"}, 2),
        ("CelebAMask-HQ", "celebamask_hq_wo", {}, 6),
        ("CelebAMask-HQ", "celebamask_hq_wo", {"split": "CelebAMask-HQ-WO-Train.txt"}, 6),
        ("CelebAMask-HQ", "celebamask_hq_o", {}, 2),
        ("CelebAMask-HQ", "celebamask_hq_o", {"masks": "CelebAMask-HQ-masks_corrected"}, 2),
        ("COFW", "cofw", {}, FACES // 2),
        ("COFW", "cofw", {"split": "test", "masks": "masks_test"}, FACES // 2),
        ("FaceOcc", "faceocc_cofw", {}, FACES // 3),
        ("FaceOcc/COFW_test", "faceocc_cofw", {}, FACES // 3),
        ("FaceOcc", "faceocc_ffhq", {}, FACES // 3),
        ("LFW-PL", "lfw_pl", {}, FACES),
        ("LaPa", "lapa", {}, FACES),
        ("LaPa", "lapa", {"split": "val"}, FACES // 3),
        ("Helen", "helen", {}, FACES),
        ("occluded_dev", "occluded_dev", {}, FACES),
    ],
)
def test_every_layout_gives_photos_and_masks_of_one_size(
    drawn: Path, folder: str, layout: str, keys: dict[str, Any], count: int
) -> None:
    records = read(drawn / folder, layout, **keys)
    assert len({record.id for record in records}) == len(records) == count
    shares = [visible(record).mean() for record in records]
    assert all(0 < share < 0.9 for share in shares)


@pytest.mark.parametrize(
    ("folder", "layout"),
    [("FaceOcc", "faceocc_celebahq"), ("LFW", "lfw"), ("MLFW", "mlfw"), ("MFR2", "mfr2"), ("EgoHands", "egohands")],
)
def test_sets_without_masks_can_be_looked_at_and_not_scored(drawn: Path, folder: str, layout: str) -> None:
    records, problems = examine_at(drawn / folder, layout)
    assert problems == []
    assert read_photo(records[0]).ndim == 3
    with pytest.raises(RecordError, match="has no mask"):
        read_truth(records[0], POLICY)
    with pytest.raises(UserError, match=r"photos without a mask of the face.*cannot|not scored"):
        read(drawn / folder, layout)


def examine_at(root: Path, layout: str, **keys: Any) -> tuple[list[TestImage], list[Any]]:
    return examine(EvalSet.model_validate({"root": root, "layout": layout, **keys}))


def test_all_layouts_are_tested(drawn: Path) -> None:
    tested = {mark.args[1][number][1] for test in (test_every_layout_gives_photos_and_masks_of_one_size,
              test_sets_without_masks_can_be_looked_at_and_not_scored) for mark in test.pytestmark
              for number in range(len(mark.args[1]))}  # fmt: skip
    assert tested | {"folder", "prepared", "cofw68"} == set(READERS)


def test_masks_are_read_to_the_pixel(drawn: Path) -> None:
    for record, index in zip(read(drawn / "RealOcc", "realocc"), range(FACES), strict=True):
        np.testing.assert_array_equal(visible(record), drawn_again("RealOcc", index).visible)
    for record, index in zip(
        read(drawn / "COFW", "cofw", split="test", masks="masks_test"), range(FACES // 2, FACES), strict=True
    ):
        expected = drawn_again("COFW", index)
        np.testing.assert_array_equal(visible(record), expected.visible)
        np.testing.assert_array_equal(read_photo(record), expected.image)  # HDF5 stores it as it is, transposed
        assert record.split == "test"


def test_original_masks_overlook_what_corrected_ones_show(drawn: Path) -> None:
    root = drawn / "CelebAMask-HQ"
    original = read(root, "celebamask_hq_o")
    corrected = read(root, "celebamask_hq_o", masks="CelebAMask-HQ-masks_corrected")
    for before, after in zip(original, corrected, strict=True):
        lost = visible(before) & ~visible(after)
        assert lost.sum() > 50
        assert before.subject == before.id == after.id


def test_part_masks_of_half_the_size_come_back_at_the_photos_size(drawn: Path) -> None:
    record = read(drawn / "CelebAMask-HQ", "celebamask_hq")[0]
    expected = drawn_again("CelebAMask-HQ", 0, kind="none")
    found = visible(record, WORN)
    assert found.shape == (PHOTO_PX, PHOTO_PX)
    assert (found & expected.visible).sum() / (found | expected.visible).sum() > 0.9
    assert record.subject == "0"
    assert record.split == "train"


def test_corrected_masks_may_be_of_half_the_size(drawn: Path, tmp_path: Path) -> None:
    root = copy(drawn / "CelebAMask-HQ", tmp_path)
    whole = read(root, "celebamask_hq_o", masks="CelebAMask-HQ-masks_corrected")
    mask = whole[0].truth
    assert mask is not None
    expected = visible(whole[0])[::2, ::2]
    write_image(mask, np.dstack([expected.astype(np.uint8) * np.uint8(255)] * 3))
    found = visible(read(root, "celebamask_hq_o", masks="CelebAMask-HQ-masks_corrected")[0])
    np.testing.assert_array_equal(found, expected.repeat(2, axis=0).repeat(2, axis=1))
    write_image(mask, np.zeros((PHOTO_PX // 2, PHOTO_PX // 2 - 1, 3), np.uint8))
    with pytest.raises(UserError, match="masks of another size"):
        read(root, "celebamask_hq_o", masks="CelebAMask-HQ-masks_corrected")


def test_alpha_of_faceoccs_photos_hides_the_face_of_their_labels(drawn: Path) -> None:
    third = FACES // 3
    for index, record in enumerate(read(drawn / "FaceOcc", "faceocc_ffhq")):
        expected = aligned(drawn_again("FaceOcc", third + index, kind=("cup", "mask")[index]))
        face = np.isin(read_parts(record), [PART_ID[name] for name in POLICY.face])
        np.testing.assert_array_equal(visible(record), face & ~expected.added)
        np.testing.assert_array_equal(read_photo(record), expected.image)


def test_ids_of_other_sets_become_ours(drawn: Path) -> None:
    index = 2  # the third photo is the only one of its split whose number is even
    record = read(drawn / "LaPa", "lapa", split="test")[0]
    label = drawn_again("LaPa", index).label
    for name in ("skin", "nose", "hair", "l_eye", "u_lip"):
        np.testing.assert_array_equal(read_parts(record) == PART_ID[name], label == PART_ID[name])
    colours = read(drawn / "LFW-PL", "lfw_pl")[0]
    label = drawn_again("LFW-PL", 0).label
    np.testing.assert_array_equal(read_parts(colours) == PART_ID["hair"], label == PART_ID["hair"])
    np.testing.assert_array_equal(visible(colours), drawn_again("LFW-PL", 0).visible | (label == PART_ID["neck"]))
    assert colours.subject == "Drawn_Person_000"


def test_ids_of_lfw_pl_do_as_well(drawn: Path, tmp_path: Path) -> None:
    root = copy(drawn / "LFW-PL", tmp_path)
    record = read(root, "lfw_pl")[0]
    expected, path = read_parts(record), record.truth
    assert path is not None
    write_grey(path, np.select([expected == PART_ID["skin"], expected == PART_ID["hair"]], [1, 2]).astype(np.uint8))
    np.testing.assert_array_equal(read_parts(record), expected)
    write_image(path, np.full((PHOTO_PX, PHOTO_PX, 3), 90, np.uint8))
    with pytest.raises(RecordError, match=r"found \[\[90, 90, 90\]\]"):
        read_parts(record)


def test_the_class_map_tells_the_kinds_of_occlusion(drawn: Path) -> None:
    records = read(drawn / "occluded_dev", "occluded_dev")
    kinds = [drawn_again("occluded_dev", index).kind for index in range(FACES)]
    for record, kind in zip(records, kinds, strict=True):
        expected = {"hand": "hand", "mask": "mask", "sunglasses": "sunglasses", "none": None}.get(kind, "object")
        assert (expected in record.occlusion_types) if expected else record.occlusion_types == ()
        _, valid = read_truth(record, POLICY)
        assert valid is not None
        assert 0 < (~valid).mean() < 0.5
    assert records[0].subject == "drawn/drawn_000.jpg"


def test_only_sets_of_ours_know_what_is_behind(drawn: Path) -> None:
    record = read(drawn / "RealOcc", "realocc")[0]
    assert read_full(record, POLICY) is None
    assert read_image(record.image).shape == (PHOTO_PX, PHOTO_PX, 3)
