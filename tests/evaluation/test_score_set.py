from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from common.image_io import read_image
from evaluation.calibration import scale, scale_threshold
from evaluation.image_score import Truth
from evaluation.score_set import Rule, SetDigest, calibrate_on, read_finished
from tests.evaluation.masks import blob
from tests.evaluation.runs import INPUTS, answer, write_run


def test_files_of_a_set(tmp_path: Path) -> None:
    summary = write_run(tmp_path, n=5, rule=Rule(0.5, views=3, worst_cases=2))
    folder = tmp_path / "drawn"
    assert summary["views"] == 3
    assert {path.name.split(".")[0] for path in (folder / "views").iterdir()} == {"a0", "a1", "a2"}
    assert read_image(folder / "worst_cases.jpg").size > 0
    assert len((folder / "per_image.csv").read_text().splitlines()) == 6


def test_a_temperature_with_its_threshold_changes_probabilities_and_no_mask(tmp_path: Path) -> None:
    plain = write_run(tmp_path / "plain")
    scaled = write_run(tmp_path / "scaled", rule=Rule(scale_threshold(0.5, 0.3), 0.3))
    assert scaled["face_iou"] == pytest.approx(plain["face_iou"])
    assert scaled["brier"] != pytest.approx(plain["brier"], rel=0.01)


def test_finished_sets_are_recognised_by_all_that_decides_them(tmp_path: Path) -> None:
    summary = write_run(tmp_path)
    folder = tmp_path / "drawn"
    assert read_finished(folder, expected=INPUTS | {"threshold": 0.5}) == summary
    assert read_finished(folder, expected=INPUTS | {"threshold": 0.6}) is None
    assert read_finished(folder, expected=INPUTS | {"weights_sha256": "b" * 64}) is None
    (folder / "per_image.csv").unlink()
    assert read_finished(folder, expected=INPUTS) is None
    (folder / "summary.json").write_text('{"set":')  # a full disk
    assert read_finished(folder, expected=INPUTS) is None


def test_the_digest_tells_every_change() -> None:
    def digest(id: str = "a", photo: np.ndarray | None = None, truth: Truth | None = None) -> str:
        made = SetDigest()
        made.add(id, np.zeros((40, 48, 3), np.uint8) if photo is None else photo, truth or Truth(blob(1)))
        return made.hexdigest()

    changed = blob(1)
    changed[7, 9] ^= True
    others = [
        digest("b"),
        digest(photo=np.ones((40, 48, 3), np.uint8)),
        digest(truth=Truth(changed)),
        digest(truth=Truth(blob(1), blob(2))),
        digest(truth=Truth(blob(1), None, blob(2))),
    ]
    assert digest() == digest()
    assert len({digest(), *others}) == 6


def test_calibration_on_a_set_betters_it_and_may_not_be_scored_as_a_test(tmp_path: Path) -> None:
    answers = [answer(seed) for seed in range(8)]
    found = calibrate_on("val", iter(answers), n=8, weights_sha256=None)
    assert found.n == 8
    before, after = found.found["log_loss"]
    assert after < before
    plain = write_run(tmp_path / "plain", n=8)
    best = write_run(tmp_path / "best", n=8, rule=Rule(found.threshold, found.temperature), role="validation")
    assert best["face_iou"] == pytest.approx(found.found["face_iou"])
    assert best["face_iou"] >= plain["face_iou"]
    assert best["set_sha256"] == found.set_sha256
    with pytest.raises(UserError, match="chosen on these very images"):
        write_run(tmp_path / "refused", n=8, rule=Rule(found.threshold, found.temperature), calibration=found)
    assert not (tmp_path / "refused" / "drawn" / "summary.json").exists()
    write_run(tmp_path / "others", n=7, rule=Rule(found.threshold, found.temperature), calibration=found)


def test_scale_is_applied_to_all_outputs() -> None:
    maps = answer(1).probabilities
    assert scale(maps, 0.5).shape == maps.shape
