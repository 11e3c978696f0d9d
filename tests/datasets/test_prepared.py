from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from common.errors import UserError
from common.manifest import read_manifest, sha256, write_manifest
from configs.schema import PreparedSet
from datasets.prepared import build_face_set


def test_records_point_at_whole_files(prepared: Path) -> None:
    faces = build_face_set({"faces": PreparedSet(prepared=prepared, split="train")})
    assert [record.id for record in faces.records] == ["faces/0", "faces/1", "faces/2", "faces/3"]
    assert all(record.image.is_file() and record.label.is_file() and record.parts is None for record in faces.records)
    assert all(record.occlude for record in faces.records)
    assert (faces.crop.method, faces.crop.template) == ("pos3d", "faceocc256")
    assert faces.manifests == {str(prepared / "manifest.jsonl"): sha256(prepared / "manifest.jsonl")}


def test_sets_are_taken_together_and_keep_their_settings(prepared: Path) -> None:
    sections = {
        "a": PreparedSet(prepared=prepared, split="val"),
        "b": PreparedSet(prepared=prepared, occlude=False, limit=3),
    }
    records = build_face_set(sections).records
    assert [record.id for record in records] == ["a/4", "a/5", "b/0", "b/1", "b/2"]
    assert [record.occlude for record in records] == [True, True, False, False, False]
    assert [record.subject for record in records] == ["4", "5", "0", "1", "2"]


def test_sets_of_another_cut_are_not_mixed(prepared: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(prepared, tmp_path / "copy")
    rows = [{**row, "crop": {"method": "similarity5", "template": "arcface112"}} for row in read_manifest(copy)]
    write_manifest(copy, rows)
    with pytest.raises(UserError, match=r"cut in different ways.*similarity5"):
        build_face_set({"a": PreparedSet(prepared=prepared), "b": PreparedSet(prepared=copy)})


def test_missing_files_are_counted_and_named(prepared: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(prepared, tmp_path / "copy")
    (copy / "images" / "2.png").unlink()
    (copy / "labels" / "3.png").unlink()
    with pytest.raises(UserError, match=r"2 files named by a manifest are missing.*2\.png"):
        build_face_set({"a": PreparedSet(prepared=copy)})


def test_a_folder_without_manifest_or_split(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run that first"):
        build_face_set({"a": PreparedSet(prepared=tmp_path)})
    with pytest.raises(UserError, match="no sample of split 'test'"):
        build_face_set({"a": PreparedSet(prepared=prepared, split="test")})
