from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.run_log import Pace, RunLog

log = logging.getLogger("occface")


def test_one_process_tells_and_the_others_are_silent(tmp_path: Path) -> None:
    for active, name in ((True, "first"), (False, "second")):
        folder = tmp_path / name
        folder.mkdir()
        with RunLog(folder, active=active, total=10, initial=0) as run:
            log.info("hello")
            run.advance(4)
            run.metrics(4, "train", {"loss": float("nan"), "waiting_share": 0.25})
    assert list((tmp_path / "second").iterdir()) == []
    rows = [json.loads(line) for line in (tmp_path / "first" / "metrics.jsonl").read_text().splitlines()]
    assert rows == [{"images": 4, "kind": "train", "waiting_share": 0.25}]
    assert "hello" in (tmp_path / "first" / "log.txt").read_text()
    assert list((tmp_path / "first" / "tensorboard").iterdir())
    assert log.handlers == []


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_speed_and_waiting_are_shares_of_the_time_since_the_last_report() -> None:
    clock = Clock()
    pace = Pace(clock)

    def slow() -> Iterator[int]:
        for number in range(3):
            clock.now_s += 1.0
            yield number

    for number in pace.timed(slow()):
        clock.now_s += 3.0
        pace.add(8, loss=None if number == 1 else float(number))
    assert pace.report() == pytest.approx({"loss": 1.0, "images_per_s": 24 / 12, "waiting_share": 0.25})
    clock.now_s += 5.0
    pace.restart()
    clock.now_s += 2.0
    pace.add(8, loss=0.5)
    assert pace.report() == pytest.approx({"loss": 0.5, "images_per_s": 4.0, "waiting_share": 0.0})
