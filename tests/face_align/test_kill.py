"""A run that is killed at any moment and started again leaves what an uninterrupted one leaves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny_world import draw_world

REPOSITORY = Path(__file__).resolve().parents[2]
PHOTOS = 44  # faces of larger numbers reach out of their photos
TIMES = ("report.json",)  # holds wall time and rate


def command(config: Path) -> list[str]:
    return [sys.executable, "-m", "face_align", str(config), "--processes", "2"]


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in TIMES)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def kill_after(config: Path, journal: Path, rows: int) -> list[str]:
    """Start the command, kill it without warning once the journal has `rows` lines, and return the ids in there."""
    job = subprocess.Popen(command(config), cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end_s = time.monotonic() + 100
    while job.poll() is None and time.monotonic() < end_s:
        if journal.exists() and journal.read_bytes().count(b"\n") >= rows:
            break
        time.sleep(0.002)
    assert job.poll() is None, "the run ended before it could be killed"
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    time.sleep(1.2)  # workers notice within half a second
    lines = journal.read_text().split("\n")[:-1]
    return [json.loads(line)["id"] for line in lines]


def test_killed_and_started_again(tmp_path: Path) -> None:
    world = draw_world(tmp_path / "world", train=PHOTOS - 10, val=10)
    out, config = tmp_path / "out", tmp_path / "align.yaml"
    config.write_text(
        f"data: {{root: {world.root}, prepared: {out}}}\nsource: {{split: split.csv}}\n"
        f"align: {{size: 256}}\noutput: {out}\n"
    )
    subprocess.run(command(config), cwd=REPOSITORY, check=True, capture_output=True, timeout=120)
    whole = contents(out)
    assert len(whole) == 2 * PHOTOS + 5  # crops, label maps; configuration, manifest and its sum, sheet, histograms
    shutil.rmtree(out)
    done = kill_after(config, out / "journal.jsonl", 5)
    if len(done) >= PHOTOS:
        pytest.skip("this machine is too fast to be interrupted here")
    before = {name: (out / "images" / f"{name}.jpg").stat().st_mtime_ns for name in done}
    subprocess.run(command(config), cwd=REPOSITORY, check=True, capture_output=True, timeout=120)
    assert contents(out) == whole
    assert json.loads((out / "report.json").read_text())["reused"] == len(done)
    assert before == {name: (out / "images" / f"{name}.jpg").stat().st_mtime_ns for name in done}
