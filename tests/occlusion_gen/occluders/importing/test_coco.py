"""COCO objects become cut-outs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.image_io import read_image, read_rgba
from tests.occlusion_gen.occluders.importing.raw_sets import (
    error_of,
    rows_of,
    run,
    write_coco,
)


@pytest.mark.parametrize("nested", [False, True])
def test_coco_objects_become_cut_outs_by_photo(tmp_path: Path, nested: bool) -> None:
    source, output = write_coco(tmp_path / "coco", nested=nested), tmp_path / "out"
    run("coco", source, output)
    rows = rows_of(output)
    assert [row["file"] for row in rows] == ["cup_9_11.png", "cell_phone_9_12.png", "cup_25_17.png"]
    assert [row["group"] for row in rows] == ["image 9", "image 9", "image 25"]
    assert [row["class"] for row in rows] == ["cup", "cell phone", "cup"]
    assert [row["licence"] for row in rows] == ["http://example.org/by", "http://example.org/by", ""]
    assert rows[0]["source"] == ("images/" if nested else "") + "val2017/000000000009.jpg"
    pixels = read_image(source / rows[0]["source"])
    cup = read_rgba(output / "cup_9_11.png")
    np.testing.assert_array_equal(cup[..., :3], pixels[20:80, 10 : 10 + cup.shape[1]])
    assert cup.shape[:2] in ((60, 80), (60, 81))
    assert cup[30, 40, 3] == 255
    assert int(cup[30, 0, 3]) == pytest.approx(140, abs=40)  # the polygon begins amid a pixel
    phone = read_rgba(output / "cell_phone_9_12.png")
    np.testing.assert_array_equal(phone[..., :3], pixels[30:100, 40:120])
    assert (phone[20:30, 20:30, 3] == 0).all()
    assert (phone[..., 3] == 255).sum() == 70 * 80 - 100
    gap = read_rgba(output / "cup_25_17.png")[..., 3]
    assert (gap[50, 52:58] == 0).all()
    assert gap[50, 70] == 255


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (["--categories", "cell phone"], ["cell_phone_9_12.png"]),
        (["--people", "--categories", "person"], ["person_25_14.png"]),
        (["--min-area", "300", "--max-borders", "4", "--categories", "cup"],
         ["cup_9_11.png", "cup_25_15.png", "cup_25_16.png", "cup_25_17.png"]),
        (["--limit", "1"], ["cup_9_11.png"]),
    ],
)  # fmt: skip
def test_coco_options_choose_objects(tmp_path: Path, words: list[str], files: list[str]) -> None:
    source = write_coco(tmp_path / "coco")
    run("coco", source, tmp_path / "out", *words)
    assert [row["file"] for row in rows_of(tmp_path / "out")] == files


def test_mistakes_about_coco_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = write_coco(tmp_path / "coco"), tmp_path / "out"
    table = source / "annotations" / "instances_val2017.json"
    assert "unknown categories cop; known: cell phone, cup, person" in error_of(
        capsys, "coco", source, output, "--categories", "cop"
    )
    assert "no object is left" in error_of(capsys, "coco", source, output, "--min-area", "1e9")
    (source / "val2017" / "000000000025.jpg").unlink()
    said = error_of(capsys, "coco", source, output)
    assert "Missing:\n  val2017/000000000025.jpg\nExpected below it:\n  annotations/instances_train2017.json" in said
    content = json.loads(table.read_text())
    del content["images"]
    table.write_text(json.dumps(content))
    assert "is no table of COCO instances, it has no images" in error_of(capsys, "coco", source, output)
    table.write_text("{")
    assert "cannot be read as JSON" in error_of(capsys, "coco", source, output)
    assert not output.exists()
