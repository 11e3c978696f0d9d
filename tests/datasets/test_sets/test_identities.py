from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from common.errors import UserError
from datasets.test_sets import Pair, read_face_pairs
from tests.datasets.conftest import FACES

PEOPLE = FACES // 2


@pytest.mark.parametrize("layout", ["lfw", "mlfw", "mfr2"])
def test_pairs_name_photos_by_their_ids(drawn: Path, layout: str) -> None:
    found = read_face_pairs(drawn / layout.upper(), layout=layout)
    subject_of = {photo.id: photo.subject for photo in found.photos}
    assert len(found.photos) == 2 * PEOPLE
    assert len(set(subject_of.values())) == PEOPLE
    assert sum(pair.same for pair in found.pairs) == PEOPLE == len(found.pairs) / 2
    for pair in found.pairs:
        assert (subject_of[pair.first] == subject_of[pair.second]) == pair.same
        assert pair.first != pair.second


def test_the_list_of_mfr2_tells_who_wears_a_mask(drawn: Path) -> None:
    photos = read_face_pairs(drawn / "MFR2", layout="mfr2").photos
    assert {photo.id[-1]: photo.occlusion_types for photo in photos} == {"1": (), "2": ("mask",)}


@pytest.mark.parametrize(
    ("line", "pair"),
    [
        ("Al_Gore 1 3", Pair("Al_Gore/Al_Gore_0001", "Al_Gore/Al_Gore_0003", True)),
        ("Al_Gore\t1\tJo_Ho\t2", Pair("Al_Gore/Al_Gore_0001", "Jo_Ho/Jo_Ho_0002", False)),
    ],
)
def test_lines_of_lfw(tmp_path: Path, drawn: Path, line: str, pair: Pair) -> None:
    photo = next((drawn / "LFW").rglob("*_0001.jpg"))
    for name in (pair.first, pair.second):
        (tmp_path / "lfw" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / "lfw" / f"{name}.jpg")
    (tmp_path / "pairs.txt").write_text(f"10\t300\n{line}\n")
    assert read_face_pairs(tmp_path, layout="lfw").pairs == (pair,)


def test_everything_wrong_stands_in_one_message(drawn: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(drawn / "MFR2", tmp_path / "MFR2"))
    with (root / "mfr2_labels.txt").open("a") as stream:
        stream.write("Nobody, 1, cloth\nno comma\n")
    with (root / "pairs.txt").open("a") as stream:
        stream.write("one two three four five\nAbsent 1 2\n")
    with pytest.raises(UserError) as caught:
        read_face_pairs(root, layout="mfr2")
    for expected in ("Nobody/Nobody_0001", "'no comma'", "line 8", "Absent/Absent_0001, Absent/Absent_0002"):
        assert expected in str(caught.value)


def test_unknown_layouts_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="known: lfw, mlfw, mfr2"):
        read_face_pairs(tmp_path, layout="cfp")
    with pytest.raises(UserError, match="no photo found"):
        read_face_pairs(tmp_path, layout="lfw")
