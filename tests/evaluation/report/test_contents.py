from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import UserError
from evaluation.report import write_report
from evaluation.report.contents import LISTED_PROBLEMS, read_results
from tests.evaluation.report.drawn_evaluation import SETS, Drawn, iou_at, write_evaluation


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return write_evaluation(tmp_path / "eval")


def edit_summaries(output: Path, edit: Callable[[list[dict[str, Any]]], object]) -> None:
    summaries = json.loads((output / "summary.json").read_text())
    edit(summaries)
    (output / "summary.json").write_text(json.dumps(summaries))


def edit_table(output: Path, edit: Callable[[list[dict[str, str]]], object]) -> None:
    path = output / "hands" / "per_image.csv"
    with path.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    edit(lines)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def message_of(output: Path) -> str:
    with pytest.raises(UserError) as found:
        write_report(output)
    assert not (output / "report.html").exists()
    assert "run the same `python eval.py CONFIG weights=FILE` again" in str(found.value)
    return str(found.value)


def test_rows_hold_what_was_scored(output: Path) -> None:
    hands, masks = read_results(output)
    assert [row.id for row in hands.rows] == ["right", "half", "nested/most"]
    assert [row.occlusion_types for row in hands.rows] == [("hand",), ("hand", "object"), ()]
    assert [row.coverage for row in (*hands.rows, *masks.rows)] == [0.1, 0.6, 0.3, None, None]
    for row, image in zip((*hands.rows, *masks.rows), (*SETS["hands"], *SETS["masks"]), strict=True):
        assert row.face_iou == pytest.approx(iou_at(image, 0.5), abs=1e-6)
    assert hands.rows[1].scores["fp"] == 16 * 48
    assert "subject" not in hands.rows[1].scores
    assert "face_iou" not in hands.rows[1].scores


def test_every_missing_or_damaged_view_is_named(output: Path) -> None:
    (output / "hands" / "views" / "half.truth.png").unlink()
    (output / "hands" / "views" / "nested" / "most.photo.jpg").write_bytes(b"\xff\xd8 half a photo")
    shutil.rmtree(output / "masks" / "views")
    message = message_of(output)
    for file in ("hands/views/half.truth.png", "nested/most.photo.jpg", "all.photo.jpg", "none.photo.jpg"):
        assert file in message
    assert "right" not in message
    assert "remove summary.json in the folder of each set named here" in message  # without it nothing is scored again


def test_of_thousands_of_missing_views_the_first_are_named(tmp_path: Path) -> None:
    output = write_evaluation(tmp_path, {"a": [Drawn(str(number)) for number in range(LISTED_PROBLEMS + 5)]})
    shutil.rmtree(output / "a" / "views")
    message = message_of(output)
    assert message.count("no such file") == LISTED_PROBLEMS
    assert "... and 5 more" in message


def test_only_the_first_images_may_have_views(output: Path) -> None:
    (output / "hands" / "views" / "half.truth.png").unlink()
    edit_summaries(output, lambda summaries: summaries[0].update(views=1))
    page = write_report(output).read_text()
    assert "the first 1 of 3 of hands, 2 of masks" in page
    assert page.count('id="view-') == 3


def test_summaries_that_cannot_be_read(output: Path) -> None:
    path = output / "summary.json"
    for content, told in [
        (b"[{", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b'[{"set": "a", "n": 1, "face_iou": NaN, "threshold": 0.5}]', "NaN is no number"),
        (b"{}", "expected a list of sets"),
        (b"[]", "expected a list of sets"),
        (b'[{"set": "a", "n": 1}]', "no face_iou, threshold"),
    ]:
        path.write_bytes(content)
        message = message_of(output)
        assert told in message
        assert str(path) in message
    path.unlink()
    assert f"{path}: no such file" in message_of(output)


def test_tables_that_cannot_be_read(output: Path) -> None:
    path = output / "hands" / "per_image.csv"
    original = path.read_text()
    for content, told in [
        (original.replace("face_iou", "iou"), "no face_iou"),
        ("", "no id, face_iou, tp, fp, fn"),
        (original.replace(",0.6,", ",much,"), "line 3: expected a number as coverage, found 'much'"),
        (original.replace(",0.6,", ",nan,"), "line 3: expected a number as coverage, found 'nan'"),
        (original.rstrip("\n") + ",1\n", "line 4: expected a number as"),
        (original.rstrip("\n").rsplit(",", 3)[0] + "\n", "line 4: expected a number as face_iou"),
        (original.rsplit("nested", 1)[0], "2 images, but"),
    ]:
        path.write_text(content)
        message = message_of(output)
        assert told in message
        assert str(path) in message
    path.write_bytes(original.encode().replace(b"half", b"h\xe9lf"))
    assert "no such file" in message_of(output)  # the bytes of a name that is no UTF-8 are kept; no view has that name
    path.unlink()
    (output / "masks" / "per_image.csv").unlink()
    assert message_of(output).count("per_image.csv: no such file") == 2


def test_cells_may_be_empty_where_a_score_is_not_defined(output: Path) -> None:
    edit_table(output, lambda lines: lines[0].update(dice="", tn=""))
    assert set(read_results(output)[0].rows[0].scores) == {"pixels", "tp", "fp", "fn", "face_found"}
    edit_table(output, lambda lines: lines[0].update(fp=""))
    assert "line 2: no fp" in message_of(output)
