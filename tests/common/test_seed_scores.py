from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.seed_scores import print_seed_scores, summarise_seeds, write_seed_scores


def test_scores_are_written_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = write_seed_scores(tmp_path, {0: 0.8, 1: 0.9, 4: 0.7})
    assert found.mean == pytest.approx(0.8)
    assert found.deviation == pytest.approx(0.1)
    content = json.loads((tmp_path / "seeds.json").read_text())
    assert content["face_iou"] == {"0": 0.8, "1": 0.9, "4": 0.7}
    assert content["n"] == 3
    print_seed_scores(found)
    assert capsys.readouterr().out == (tmp_path / "seeds.md").read_text()
    assert "| mean of 3 | 0.8000 ± 0.1000 |" in found.markdown()


def test_one_seed_has_no_deviation() -> None:
    found = summarise_seeds({7: 0.5})
    assert found.deviation is None
    assert "| mean of 1 | 0.5000 |" in found.markdown()
