"""`python -m face_align`: repeated, refused, and told what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.image_io import write_image
from common.manifest import read_manifest
from configs.schema import AlignJob, AlignSection, DataSection
from face_align.align import build_aligner
from face_align.celebamask_hq import read_celebamask_hq
from tests.face_align.align_runs import Main, write_config
from tests.tiny_world import World

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_command_repeats_itself_and_guards_its_folder(world: World, tmp_path: Path) -> None:
    """The real command once, on two processes; then its mistakes."""
    config = write_config(tmp_path, world.root)
    command = [sys.executable, "-m", "face_align", str(config)]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
        )

    done = run("--processes", "2")
    assert done.returncode == 0, done.stderr
    assert "'ok': 6" in done.stdout
    out = tmp_path / "out"
    kept = {path.name for path in out.iterdir()}
    files = {"config.yaml", "contact_sheet.jpg", "histograms.png", "manifest.jsonl", "manifest.sha256", "report.json"}
    assert kept == {*files, "images", "labels"}
    other = run("align.size=32")
    assert other.returncode == 2
    assert "align.size: 64 -> 32" in other.stderr
    assert "Traceback" not in other.stderr


def test_one_process_writes_the_same_manifest_as_two(world: World, tmp_path: Path, main: Main) -> None:
    config = write_config(tmp_path, world.root)
    assert main(config) == 0
    one = (tmp_path / "out" / "manifest.jsonl").read_bytes()
    assert main(config) == 0
    assert (tmp_path / "out" / "manifest.jsonl").read_bytes() == one
    records = read_celebamask_hq(world.root, split="split.csv")
    job = AlignJob(
        data=DataSection(root=world.root, prepared=tmp_path),
        align=AlignSection(size=64),
        output=tmp_path / "again",
    )
    rows = [build_aligner(job)(record) for record in reversed(records)]
    assert list(reversed(rows)) == read_manifest(tmp_path / "out")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["algin.size=32"], "algin: unknown key; did you mean 'align'?"),
        (["align.siez=32"], "align.siez: unknown key; did you mean 'size'?"),
        (["align.method=eyes"], "align.method: "),
        (["align.size=8"], "align.size: "),
        (["data.root=/nowhere/at/all"], "/nowhere/at/all/CelebA-HQ-img"),
        (["source.landmarks=/nowhere"], "/nowhere"),
        (["source.split=none.csv"], "none.csv"),
        (["face.face=[skin, brows]"], "unknown parts ['brows']"),
    ],
)
def test_mistakes_in_the_configuration_end_with_2(
    world: World, tmp_path: Path, main: Main, overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(write_config(tmp_path, world.root), *overrides) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_writes_nothing(world: World, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, world.root)
    assert main(config, "--dry-run") == 0
    text = capsys.readouterr().out
    assert "would align 6 photos {'train': 4, 'val': 2}" in text
    assert "method: pos3d" in text
    assert [path.name for path in tmp_path.iterdir()] == ["align.yaml"]


def test_a_folder_of_somebody_else_is_left_alone(
    world: World, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "out" / "holiday.png", np.zeros((2, 2, 3), np.uint8))
    assert main(write_config(tmp_path, world.root)) == 2
    assert "is not the output of this command" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["holiday.png"]
