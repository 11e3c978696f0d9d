from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from evaluation import __main__ as command
from evaluation.compare import compare
from evaluation.run_folder import read_run, shared_sets
from tests.evaluation.runs import write_run


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    write_run(tmp_path / "a", n=12)
    write_run(tmp_path / "b" / "eval", n=12, gain=0.3, weights_sha256="b" * 64)  # inside a run folder
    return tmp_path / "a", tmp_path / "b"


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr("sys.argv", ["evaluation/__main__.py", *map(str, words)])
    command.main()


def test_differences_are_those_of_the_images(runs: tuple[Path, Path]) -> None:
    first, second = (read_run(path) for path in runs)
    found = compare(first, second, "drawn", score="face_iou")
    assert found is not None
    values = [[float(row["face_iou"]) for row in run.rows("drawn").values()] for run in (first, second)]
    gains = np.subtract(values[1], values[0])
    assert found.n == 12
    assert found.difference == pytest.approx(gains.mean())
    assert found.second - found.first == pytest.approx(found.difference)
    assert found.interval.low < found.difference < found.interval.high
    assert (found.better, found.worse) == ((gains > 0).sum(), (gains < 0).sum())
    brier = compare(first, second, "drawn", score="brier")
    assert brier is not None
    assert brier.difference < 0
    assert brier.better == 12  # less is better
    pooled = compare(first, second, "drawn", score="miou")
    assert pooled is not None
    assert pooled.second == pytest.approx(second.summaries["drawn"]["miou"])
    assert pooled.interval.low <= pooled.difference <= pooled.interval.high


def test_paired_intervals_are_narrower_than_those_of_the_scores(runs: tuple[Path, Path]) -> None:
    first, second = (read_run(path) for path in runs)
    found = compare(first, second, "drawn", score="face_iou")
    assert found is not None
    low, high = first.summaries["drawn"]["face_iou_interval"]
    assert found.interval.high - found.interval.low < high - low


def test_a_run_does_not_differ_from_itself(runs: tuple[Path, Path]) -> None:
    run = read_run(runs[0])
    found = compare(run, run, "drawn", score="boundary_iou")
    assert found is not None
    assert (found.difference, *found.interval, found.better, found.worse) == (0, 0, 0, 0, 0)


def test_the_command_prints_and_writes(
    monkeypatch: pytest.MonkeyPatch, runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, "compare", *runs, "--output", tmp_path / "out.json")
    printed = capsys.readouterr().out
    rows = json.loads((tmp_path / "out.json").read_text())
    assert [row["score"] for row in rows] == ["face_iou", "boundary_iou", "miou"]
    assert f"{rows[0]['difference']:+.4f}" in printed
    assert "a.safetensors" in printed
    call(monkeypatch, "compare", *runs, "--dry-run")
    assert "would compare face_iou, boundary_iou, miou" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n": 11}, "1 images are in one of them only, e.g. a11"),
        ({"face_policy": {"ears": True}}, "face_policy differs: {'ears': False} and {'ears': True}"),
        ({"role": "validation"}, "role differs"),
        ({"name": "other"}, "no set in common"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(
    runs: tuple[Path, Path], tmp_path: Path, change: dict[str, object], told: str
) -> None:
    write_run(tmp_path / "c", **({"n": 12} | change))  # type: ignore[arg-type]
    with pytest.raises(UserError) as caught:
        shared_sets([read_run(runs[0]), read_run(tmp_path / "c")])
    assert told in str(caught.value)


def test_other_photos_of_equal_names_are_refused(runs: tuple[Path, Path]) -> None:
    path = runs[0] / "summary.json"
    summaries = json.loads(path.read_text())
    summaries[0]["set_sha256"] = "0" * 64
    path.write_text(json.dumps(summaries))
    with pytest.raises(UserError, match="photos or masks of equal names differ"):
        shared_sets([read_run(path) for path in runs])


def test_damaged_folders_are_told(
    monkeypatch: pytest.MonkeyPatch, runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        call(monkeypatch, "compare", runs[0], tmp_path / "none")
    assert caught.value.code == 2
    assert "expected an output folder of eval.py" in capsys.readouterr().err
    table = runs[0] / "drawn" / "per_image.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-2]))
    with pytest.raises(UserError, match="expected 12 images, found 10"):
        read_run(runs[0]).rows("drawn")
    summary = runs[0] / "summary.json"
    summary.write_text(summary.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(UserError, match="another version"):
        read_run(runs[0])


def test_scores_that_no_image_has_are_refused(
    monkeypatch: pytest.MonkeyPatch, runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (runs[0], runs[1] / "eval"):
        table = path / "drawn" / "per_image.csv"
        lines = [line.split(",") for line in table.read_text().splitlines()]
        at = lines[0].index("occluder_iou")
        table.write_text("\n".join(",".join([*line[:at], "" if row else line[at], *line[at + 1 :]])
                                   for row, line in enumerate(lines)))  # fmt: skip
    with pytest.raises(SystemExit):
        call(monkeypatch, "compare", *runs, "--scores", "occluder_iou")
    assert "no image has occluder_iou in both runs" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--help"], ["nonsense"]])
def test_usage(monkeypatch: pytest.MonkeyPatch, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        call(monkeypatch, *words)
    assert caught.value.code == (0 if words == ["--help"] else 2)
    assert "compare RUN_A RUN_B" in "".join(capsys.readouterr())
