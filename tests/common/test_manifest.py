from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.manifest import (
    FILE_NAME,
    ManifestError,
    Row,
    encode_row,
    is_whole,
    read_manifest,
    read_samples,
    sha256,
    write_manifest,
)

GOOD: Row = {"id": "a", "outcome": "ok", "split": "train", "files": {"image": "images/a.png"}}
FAILED: Row = {"id": "b", "outcome": "no_landmarks", "reason": "none", "split": "val"}


def write_lines(folder: Path, *lines: str) -> Path:
    (folder / FILE_NAME).write_text("".join(line + "\n" for line in lines))
    return folder


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.tuples(st.text(max_size=8), values), max_size=6, unique_by=lambda pair: pair[0]))
def test_rows_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, object]]) -> None:
    rows = [{"id": name, "outcome": "ok", "value": value} for name, value in pairs]
    folder = tmp_path_factory.mktemp("manifest")
    write_manifest(folder, rows)
    assert read_manifest(folder) == rows


def test_lines_do_not_depend_on_the_order_of_keys() -> None:
    assert encode_row({"b": 1, "a": "é"}) == encode_row({"a": "é", "b": 1}) == '{"a": "é", "b": 1}'
    with pytest.raises(ValueError, match="JSON"):
        encode_row({"a": float("nan")})


def test_samples_are_the_rows_that_worked(tmp_path: Path) -> None:
    write_manifest(tmp_path, [GOOD, FAILED, {**GOOD, "id": "c", "split": "val"}])
    assert [row["id"] for row in read_samples(tmp_path, labelled=False)] == ["a", "c"]
    assert [row["id"] for row in read_samples(tmp_path, split="val", labelled=False)] == ["c"]
    with pytest.raises(ManifestError, match=r"split 'test'.*\['train', 'val'\]"):
        read_samples(tmp_path, split="test")


def test_crops_without_label_maps_are_refused_where_these_are_wanted(tmp_path: Path) -> None:
    labelled = {**GOOD, "files": {"image": "images/a.jpg", "label": "labels/a.png"}}
    bare = {**GOOD, "id": "b", "files": {"image": "images/b.jpg"}}
    write_manifest(tmp_path, [labelled, bare])
    with pytest.raises(ManifestError, match=r"1 of 2 crops have no label map.*\['b'\].*source\.labels"):
        read_samples(tmp_path)
    assert len(read_samples(tmp_path, labelled=False)) == 2


def test_names_that_are_no_utf_8_are_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xa9")
    write_manifest(tmp_path, [{**GOOD, "id": name}])
    (row,) = read_manifest(tmp_path)
    assert os.fsencode(row["id"]) == b"caf\xe9 \xc3\xa9"


@pytest.mark.parametrize("line", ['{"id": "x", "outcome', "[1]", '"text"', '{"id": 5, "outcome": "ok"}', '{"id": "x"}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.jsonl:2: "):
        read_manifest(write_lines(tmp_path, json.dumps(GOOD), line))


@pytest.mark.parametrize("path", ["/etc/passwd", "../other/a.png", "images/../../a.png"])
def test_files_outside_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ManifestError, match="outside"):
        read_manifest(write_lines(tmp_path, json.dumps({**GOOD, "files": {"image": path}})))


def test_an_id_stands_once(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r":3: the id 'a' stands twice"):
        read_manifest(write_lines(tmp_path, json.dumps(GOOD), json.dumps(FAILED), json.dumps(GOOD)))


def test_a_missing_manifest_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="python -m face_align"):
        read_manifest(tmp_path / "nowhere")


def test_a_manifest_of_other_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path)


def test_an_empty_manifest_has_no_row(tmp_path: Path) -> None:
    assert read_manifest(write_lines(tmp_path)) == []


def test_wholeness_is_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / "images" / "a.png"
    path.parent.mkdir()
    path.write_bytes(b"content")
    row = {**GOOD, "sha256": {"image": hashlib.sha256(b"content").hexdigest()}}
    assert sha256(path) == row["sha256"]["image"]
    assert is_whole(tmp_path, row)
    path.write_bytes(b"Content")
    assert not is_whole(tmp_path, row)
    path.unlink()
    assert not is_whole(tmp_path, row)
    assert not is_whole(tmp_path, GOOD)
