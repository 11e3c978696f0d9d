from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from common.errors import UserError
from evaluation import __main__ as command
from evaluation.run_folder import read_run
from evaluation.seeds import over_seeds, refuse_same_weights
from tests.evaluation.runs import write_run


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    for seed, gain in enumerate((0.1, 0.2, 0.4)):
        write_run(tmp_path / f"seed_{seed}", gain=gain, weights_sha256=str(seed) * 64)
    return [tmp_path / f"seed_{seed}" for seed in range(3)]


def test_mean_and_deviation_over_runs(
    monkeypatch: pytest.MonkeyPatch, runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*map(str, runs), "--scores", "face_iou", "ece", "--output", str(tmp_path / "seeds.json")]
    monkeypatch.setattr("sys.argv", ["evaluation/__main__.py", "seeds", *words])
    command.main()
    values = [read_run(path).summaries["drawn"]["face_iou"] for path in runs]
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    assert f"| drawn | 6 | face_iou | {mean:.4f} ± {deviation:.4f} |" in capsys.readouterr().out
    first, second = json.loads((tmp_path / "seeds.json").read_text())["scores"]
    assert first["each"] == values
    assert first["standard_deviation"] == pytest.approx(deviation)
    assert second["score"] == "ece"


def test_one_run_has_no_deviation(runs: list[Path]) -> None:
    assert over_seeds([read_run(runs[0])], "drawn", score="miou").over.deviation is None


def test_the_same_weights_twice_are_refused(runs: list[Path]) -> None:
    found = [read_run(path) for path in (runs[0], runs[1], runs[0])]
    with pytest.raises(UserError, match="scored the same weights"):
        refuse_same_weights(found, ["drawn"])


def test_scores_that_are_no_number_name_those_that_are(runs: list[Path]) -> None:
    for score in ("curves", "nonsense", "occlusion"):
        with pytest.raises(UserError, match="numbers of the first: face_iou"):
            over_seeds([read_run(runs[0])], "drawn", score=score)
