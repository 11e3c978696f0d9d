"""Parts of a data set: the photos that a folder or a list names, and photos that were cut before they came here."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from common.config import ConfigError, validate
from common.errors import RecordError, UserError
from common.geometry import apply_to_points, scaling
from common.image_io import write_mask
from configs.schema import AlignJob, SourceSection
from face_align.align import build_aligner
from face_align.celebamask_hq import read_celebamask_hq
from face_align.crop import TEMPLATES, photo_to_crop
from face_align.locate import CropRule, by_template
from face_align.photo_choice import PhotoChoice, read_choice, read_names
from face_align.photo_folders import read_photo_folder
from face_align.sources import build_records
from tests.tiny_world import World


def job(root: Path, output: Path, **source: object) -> AlignJob:
    content = {
        "data": {"root": str(root), "prepared": str(output)}, "output": str(output), "faults": "keep",
        "align": {"method": "none", "photos_cut_by": "ffhq", "size": 32}, "source": source,
    }  # fmt: skip
    return validate(content, AlignJob, source="test")


def test_names_come_from_a_folder_or_a_list(tmp_path: Path) -> None:
    (tmp_path / "masks" / "sub").mkdir(parents=True)
    for name in ("3.png", "7.png", "sub/a.b.png"):
        write_mask(tmp_path / "masks" / name, np.ones((2, 2), np.bool_))
    (tmp_path / "list.txt").write_text("3.jpg\n\n7.jpg\nsub/a.b\n")
    assert read_names(tmp_path / "masks") == read_names(tmp_path / "list.txt") == {"3", "7", "sub/a.b"}
    choice = read_choice(tmp_path / "masks", tmp_path / "list.txt")
    assert not any(choice.takes(name) for name in ("3", "7", "9"))
    assert read_choice(None, tmp_path / "list.txt").takes("9")


def test_what_is_missing_or_empty_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    for path, message in ((tmp_path / "none", "found nothing"), (tmp_path / "empty.txt", "found an empty list")):
        with pytest.raises(UserError, match=message):
            read_names(path)
    with pytest.raises(UserError, match=r"names 2 photos that are not there, e\.g\. \['8', '9'\]"):
        PhotoChoice(frozenset({"1", "8", "9"})).check({"1", "2"}, told=tmp_path)
    with pytest.raises(UserError, match="leave none of the 2 photos"):
        PhotoChoice(leave_out=frozenset({"1", "2"})).check({"1", "2"}, told=tmp_path)


def test_both_readers_choose(world: World, tmp_path: Path) -> None:
    choice = PhotoChoice(only=frozenset({"0", "2", "5"}), leave_out=frozenset({"2"}))
    parts = read_celebamask_hq(world.root, split="split.csv", choice=choice)
    masks = tmp_path / "masks"
    for name in ("0", "5"):  # no mask of any other photo
        write_mask(masks / f"{name}.png", np.ones((80, 96), np.bool_))
    whole = read_photo_folder(world.root / "CelebA-HQ-img", layout="folder", labels=masks, choice=choice)
    assert [record.id for record in parts] == [record.id for record in whole] == ["0", "5"]
    assert [record.subject for record in parts] == [record.subject for record in whole]


def test_whole_photos_need_no_landmarks_and_keep_their_rule(world: World, tmp_path: Path) -> None:
    root = tmp_path / "celeba"
    shutil.copytree(world.root, root, ignore=shutil.ignore_patterns("landmarks"))
    one = job(root, tmp_path / "out", split="split.csv", limit=1)
    (record,) = build_records(one, None)
    row = build_aligner(one)(record)
    assert row["crop"] == {"method": "similarity5", "template": "ffhq"}
    assert "landmarks" not in row
    size = tuple(row["photo_size"])
    assert np.allclose(row["photo_to_crop"], scaling(size, (32, 32)))
    with pytest.raises(UserError, match="landmarks"):  # other methods still ask for them
        read_celebamask_hq(root, split="split.csv")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"align": {"method": "pos3d", "photos_cut_by": "ffhq"}}, "photos_cut_by is for method: none"),
        ({"source": {"layout": "cofw", "only": "x"}}, "only and leave_out are not for layout cofw"),
    ],
)
def test_keys_that_do_not_fit_are_refused(section: dict[str, object], message: str) -> None:
    content = {"data": {"root": "a", "prepared": "b"}, "output": "b", **section}
    with pytest.raises(ConfigError, match=message):
        validate(content, AlignJob, source="test")
    assert SourceSection().only is None


def test_photos_that_stand_on_another_template_are_cut_by_its_points() -> None:
    rule = CropRule("pos3d", "faceocc256", 64)
    (location,) = by_template("arcface112", rule)(np.zeros((224, 224, 3), np.uint8), "a")
    points = TEMPLATES["arcface112"][1] * 2
    assert np.allclose(location.photo_to_crop, photo_to_crop(points, photo_size=(224, 224), method="pos3d", size=64))
    moved = apply_to_points(location.photo_to_crop, points)
    assert np.linalg.norm(moved - TEMPLATES["faceocc256"][1] / 4, axis=1).max() < 4
    with pytest.raises(RecordError, match="needs landmarks of the whole face"):
        by_template("arcface112", CropRule("bbox", "faceocc256", 64))(np.zeros((112, 112, 3), np.uint8), "a")
