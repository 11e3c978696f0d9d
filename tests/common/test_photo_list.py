from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from common.photo_list import find_photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("photos/b.jpg", "photos/a.PNG", "photos/deep/c.jpg", "photos/out/visible/x.png", "photos/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def test_a_folder_with_its_sub_folders(folder: Path) -> None:
    found = find_photos(str(folder / "photos"), leave_out=folder / "photos" / "out")
    assert [photo.id for photo in found.photos] == ["a.PNG", "b.jpg", "deep/c.jpg"]
    assert [photo.name for photo in found.photos] == ["a", "b", "deep/c"]
    assert found.root == folder / "photos"


def test_one_file(folder: Path) -> None:
    found = find_photos(str(folder / "photos" / "b.jpg"))
    assert [(photo.id, photo.path) for photo in found.photos] == [("b.jpg", folder / "photos" / "b.jpg")]


@pytest.mark.parametrize(
    ("pattern", "ids"),
    [
        ("photos/*.jpg", ["b.jpg"]),
        ("photos/*", ["a.PNG", "b.jpg"]),
        ("ph*/**/*.jpg", ["photos/b.jpg", "photos/deep/c.jpg"]),
    ],
)
def test_a_pattern(folder: Path, pattern: str, ids: list[str]) -> None:
    assert [photo.id for photo in find_photos(str(folder / pattern)).photos] == ids


def test_a_file_named_like_a_pattern(folder: Path) -> None:
    odd = folder / "photos" / "[1].jpg"
    odd.write_bytes(b"")
    assert [photo.path for photo in find_photos(str(odd)).photos] == [odd]


@pytest.mark.parametrize("pattern", ["photos/gone.jpg", "photos/*.bmp", "empty"])
def test_nothing_there(folder: Path, pattern: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match=pattern.replace("*", r"\*")):
        find_photos(str(folder / pattern))


def test_results_never_overwrite_each_other_or_the_photos(folder: Path) -> None:
    (folder / "photos" / "b.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"b\.jpg and b\.png"):
        find_photos(str(folder / "photos"))
    with pytest.raises(UserError, match="folder of the photos itself"):
        find_photos(str(folder / "photos"), leave_out=folder / "photos")
