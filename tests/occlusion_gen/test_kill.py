"""Runs and workers that are killed at any moment, and parts that run apart, leave what one uninterrupted run leaves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.jobs import run_job
from configs.schema import AlignJob, AlignSection, DataSection
from face_align.align import build_aligner
from face_align.celebamask_hq import read_celebamask_hq
from tests.tiny_world import HOLDOUT, draw_world

REPOSITORY = Path(__file__).resolve().parents[2]
FACES = 36
SIDE_PX = 512  # large, so that a run takes long enough to be killed in
TIMES = ("report.json",)  # holds wall time and rate


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration over drawn faces, whose output folder each test names."""
    folder = tmp_path_factory.mktemp("kill")
    world = draw_world(folder / "world", train=FACES - 2, val=2)
    prepared = folder / "prepared"
    align = AlignJob(
        data=DataSection(root=world.root, prepared=prepared), align=AlignSection(size=SIDE_PX), output=prepared
    )
    records = read_celebamask_hq(world.root, split="split.csv")
    run_job(build_aligner(align), records, folder=prepared, title="align", max_failed_share=0)
    path = folder / "shapes.yaml"
    path.write_text(
        f"data: {{root: {world.root}, prepared: {prepared}}}\nsplit: null\noutput: {folder / 'whole'}\n"
        f"occlusion:\n  generators:\n"
        f"    hands: {{kind: natocc, part: hand, occluders: {world.pairs}, holdout_share: {HOLDOUT}}}\n"
        f"    shapes: {{kind: randocc, textures: {world.textures}, holdout_share: {HOLDOUT}}}\n"
    )
    finish(path)
    return path


@pytest.fixture
def whole(config: Path) -> dict[str, str]:
    """What one run leaves."""
    return contents(config.parent / "whole")


def command(config: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "occlusion_gen", str(config), "--processes", "2", *overrides]


def finish(config: Path, *overrides: str) -> None:
    subprocess.run(command(config, *overrides), cwd=REPOSITORY, check=True, capture_output=True, timeout=120)


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in TIMES)
    found = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    # The configuration names the output folder, which differs from test to test.
    return {name: "" if name == "config.yaml" else digest for name, digest in found.items()}


def interrupted(config: Path, out: Path, strike: Callable[[subprocess.Popen[bytes]], None]) -> subprocess.Popen[bytes]:
    """Start the command, strike once it has made four faces, and return it as it is after that."""
    job = subprocess.Popen(
        command(config, f"output={out}"), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    journal, end_s = out / "journal.jsonl", time.monotonic() + 100
    while job.poll() is None and time.monotonic() < end_s:
        if journal.exists() and journal.read_bytes().count(b"\n") >= 4:
            break
        time.sleep(0.002)
    assert job.poll() is None, "the run ended before it could be struck"
    strike(job)
    return job


def children(pid: int) -> list[int]:
    """Return the processes that `pid` has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_killed_run_goes_on_and_redoes_nothing(config: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    out = tmp_path / "out"
    job = interrupted(config, out, lambda job: os.kill(job.pid, signal.SIGKILL))
    job.communicate()  # until the workers have noticed, too
    done = [json.loads(line)["id"] for line in (out / "journal.jsonl").read_text().split("\n")[:-1]]
    assert 4 <= len(done) < FACES
    times = {name: (out / "images" / f"{name}.jpg").stat().st_mtime_ns for name in done}
    finish(config, f"output={out}")
    assert contents(out) == whole
    assert json.loads((out / "report.json").read_text())["reused"] == len(done)
    assert times == {name: (out / "images" / f"{name}.jpg").stat().st_mtime_ns for name in done}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for the workers in /proc")
def test_a_killed_worker_is_replaced(config: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    out = tmp_path / "out"
    struck: list[int] = []

    def strike(job: subprocess.Popen[bytes]) -> None:
        struck.extend(children(job.pid)[:1])
        os.kill(struck[0], signal.SIGKILL)

    job = interrupted(config, out, strike)
    output, _ = job.communicate(timeout=120)
    assert struck
    assert job.returncode == 0, output.decode()
    assert f"{{'ok': {FACES}}}" in output.decode()
    assert contents(out) == whole


def test_a_second_run_at_the_same_time_is_refused(config: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    out = tmp_path / "out"
    second: list[subprocess.CompletedProcess[bytes]] = []

    def strike(job: subprocess.Popen[bytes]) -> None:
        os.kill(job.pid, signal.SIGSTOP)
        try:
            second.append(
                subprocess.run(command(config, f"output={out}"), cwd=REPOSITORY, capture_output=True, timeout=60)
            )
        finally:
            os.kill(job.pid, signal.SIGCONT)

    job = interrupted(config, out, strike)
    job.communicate(timeout=120)
    assert second[0].returncode == 2
    assert f"another run is at work here (process {job.pid} on " in second[0].stderr.decode()
    assert job.returncode == 0
    assert contents(out) == whole


def test_parts_and_the_run_that_puts_them_together(config: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    out = tmp_path / "out"
    parts = [f"{number}/3" for number in (1, 2, 3)]
    jobs = [
        subprocess.Popen(command(config, f"output={out}", f"shard={part}"), cwd=REPOSITORY, stdout=subprocess.DEVNULL)
        for part in parts
    ]
    assert [job.wait(timeout=120) for job in jobs] == [0, 0, 0]
    times = {path.name: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    assert len(times) == FACES
    assert not (out / "manifest.jsonl").exists()
    finish(config, f"output={out}")
    assert contents(out) == whole
    assert json.loads((out / "report.json").read_text())["reused"] == FACES
    assert times == {path.name: path.stat().st_mtime_ns for path in (out / "images").iterdir()}


def test_a_missing_part_is_made_up_for(config: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    out = tmp_path / "out"
    finish(config, f"output={out}", "shard=2/2")
    finish(config, f"output={out}")
    assert json.loads((out / "report.json").read_text())["reused"] == FACES // 2
    assert contents(out) == whole
    shutil.rmtree(out)
