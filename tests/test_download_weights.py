"""`scripts/download_weights.sh` against a folder that stands for the network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "download_weights.sh"
NAME = "yunet_n_640_640.onnx"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


def run(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    command = ["bash", str(SCRIPT), *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / NAME).write_bytes(b"not the model")
    return folder


def test_help_names_every_file_and_its_size() -> None:
    text = run("--help").stdout
    entries = re.findall(r'^    "(\S+?)\|(\d+)\|([0-9a-f]+)\|(https://\S+?)"$', SCRIPT.read_text(), re.MULTILINE)
    assert len(entries) == 3
    for name, size, digest, _ in entries:
        assert f"{name}" in text
        assert f"{int(size) / 1e6:.1f} MB" in text
        assert len(digest) == 64


def test_a_changed_file_is_refused_and_not_kept(mirror: Path, tmp_path: Path) -> None:
    done = run("--mirror", mirror, "--to", tmp_path / "to", NAME)
    assert done.returncode == 2
    assert "expected 317466 bytes" in done.stderr
    assert "found 13 bytes" in done.stderr
    assert list((tmp_path / "to").iterdir()) == []


def test_a_dry_run_tells_and_writes_nothing(mirror: Path, tmp_path: Path) -> None:
    done = run("--dry-run", OCCFACE_WEIGHTS=str(tmp_path / "to"), OCCFACE_WEIGHTS_MIRROR=str(mirror))
    assert done.returncode == 0
    assert f"file://{mirror}/{NAME}" in done.stdout
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("words", [["none.onnx"], ["--mirror"], ["--mirror", "/nowhere/at/all"], ["--what"]])
def test_mistakes_end_with_2(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_the_real_file_is_fetched_once(tmp_path: Path) -> None:
    source = Path(os.environ.get("OCCFACE_WEIGHTS", "nowhere"))
    if not (source / NAME).is_file():
        pytest.skip(f"needs {NAME}: set OCCFACE_WEIGHTS to its folder")
    done = run("--mirror", source, "--to", tmp_path / "to", NAME)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "to" / NAME).read_bytes() == (source / NAME).read_bytes()
    (tmp_path / "to" / NAME).write_bytes(b"damaged")
    assert run("--mirror", source, "--to", tmp_path / "to", NAME).returncode == 0
    assert "is there and whole" in run("--to", tmp_path / "to", NAME).stdout
