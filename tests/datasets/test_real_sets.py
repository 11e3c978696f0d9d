"""Readers on the real files that `OCCFACE_DATA` names; skipped where there are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from common.labels import FacePolicy
from configs.schema import EvalSet
from datasets.checks.inspect import inspect_records
from datasets.test_sets import TestImage, examine, read_photo, read_truth

DATA = Path(os.environ.get("OCCFACE_DATA", "/none"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="OCCFACE_DATA names no folder with the real photos")
POLICY = FacePolicy(eyeglasses="face")


def read(root: Path, **keys: Any) -> list[TestImage]:
    records, problems = examine(EvalSet.model_validate({"root": root, **keys}))
    assert problems == []
    return records


def mean_share(records: list[TestImage]) -> float:
    return float(sum(read_truth(record, POLICY)[0].mean() for record in records) / len(records))


@pytest.mark.parametrize(
    ("name", "count", "types"),
    [
        ("helen_afw", 40, {"hand", "object", "sunglasses", "glasses", "hair", "cloth"}),
        ("rmfd", 10, {"mask", "object", "hair", "glasses", "hand", "cloth"}),
    ],
)
def test_the_development_set(name: str, count: int, types: set[str]) -> None:
    records = read(DATA / "occluded_dev" / name, layout="occluded_dev")
    assert len(records) == count
    found = {kind for record in records for kind in record.occlusion_types}
    assert found <= types
    assert {"hand", "object", "sunglasses"} <= found if name == "helen_afw" else "mask" in found
    findings = inspect_records(records, processes=1, title=name)
    assert all(finding.faults == () for finding in findings)
    assert len({record.subject for record in records}) == count
    assert read_truth(records[0], POLICY)[1] is not None


def test_the_excerpt_of_celebamask_hq() -> None:
    records = read(DATA / "celebamask_hq_mini", layout="celebamask_hq")
    splits = {split: [record for record in records if record.split == split] for split in ("train", "val")}
    assert {split: len(found) for split, found in splits.items()} == {"train": 800, "val": 100}
    assert not {record.subject for record in splits["train"]} & {record.subject for record in splits["val"]}
    some = splits["val"][:5]
    assert all(read_photo(record).shape == (512, 512, 3) for record in some)
    assert 0.2 < mean_share(some) < 0.45


def test_masked_faces_of_ffhq_share_no_photo() -> None:
    train, val = (
        read(DATA / f"faces_{side}" / "ffhq_masked", layout="folder", ignore="ears_ignore") for side in ("train", "val")
    )
    assert (len(train), len(val)) == (450, 50)
    assert not {record.id for record in train} & {record.id for record in val}
    assert 0.05 < mean_share(val[:5]) < 0.4


def test_cofw68_is_whole_without_photos() -> None:
    assert len(list((DATA / "cofw" / "cofw68" / "test_annotations").glob("*_points.mat"))) == 507
    _, problems = examine(EvalSet(layout="cofw68", root=DATA / "cofw" / "cofw68"))
    assert [str(problem) for problem in problems] == [
        "no photo found for layout cofw68; docs/data.md shows what is expected"
    ]


def test_the_two_test_photos_of_cofw_are_found_by_their_number(tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(DATA / "cofw" / "test_images")
    (tmp_path / "test_annotations").symlink_to(DATA / "cofw" / "cofw68" / "test_annotations")
    records = read(tmp_path, layout="cofw68")
    assert [record.subject for record in records] == ["test_0421", "test_0460"]
