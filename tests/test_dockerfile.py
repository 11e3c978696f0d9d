"""The Dockerfile does what the README says; its steps are run here with a stand-in for pip."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINES = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text()).splitlines()
STEPS = [line.partition(" ")[::2] for line in LINES if line and not line.startswith("#")]
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
INDEX = "wheels without CUDA"
README = (ROOT / "README.md").read_text()


def steps(kind: str) -> list[str]:
    return [words.strip() for name, words in STEPS if name == kind]


def test_only_known_steps_are_used() -> None:
    assert {name for name, _ in STEPS} <= {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "ENTRYPOINT"}
    assert STEPS[0][0] == "FROM"


def test_the_interpreter_is_one_that_the_readme_allows() -> None:
    wanted = re.search(r"Python (\d+)\.(\d+) or newer", README)
    found = re.fullmatch(r"python:(\d+)\.(\d+)-slim", steps("FROM")[0])
    assert wanted
    assert found
    assert tuple(map(int, found.groups())) >= tuple(map(int, wanted.groups()))


def run_install(tmp_path: Path, device: str) -> subprocess.CompletedProcess[str]:
    pip = tmp_path / "pip"
    pip.write_text('#!/bin/sh\necho "$PIP_EXTRA_INDEX_URL|$@"\n')
    pip.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "DEVICE": device, "TORCH_INDEX": INDEX}
    command = ["sh", "-c", steps("RUN")[0]]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_it_installs_what_the_readme_installs(tmp_path: Path, device: str) -> None:
    done = run_install(tmp_path, device)
    assert done.returncode == 0, done.stderr
    calls = [line.split("|") for line in done.stdout.splitlines()]
    assert all((index == INDEX) == (device == "cpu") for index, _ in calls)
    files = [words.split(" -r ")[1] for _, words in calls]
    assert all((ROOT / name).is_file() for name in files)
    assert f"pip install -r {files[0]}" in README
    copied = " ".join(steps("COPY"))
    assert all(name in copied for name in files)


def test_another_device_is_refused(tmp_path: Path) -> None:
    done = run_install(tmp_path, "tpu")
    assert done.returncode == 2
    assert "DEVICE=tpu is unknown; use cpu or gpu" in done.stderr
    assert not done.stdout


def test_what_it_runs_is_there_and_not_ignored() -> None:
    (entry,) = (json.loads(words) for words in steps("ENTRYPOINT"))
    script = Path(entry[1]).relative_to(steps("WORKDIR")[0])
    assert f"python {script} " in README
    assert any(words.startswith(f"python {script}") for words in steps("RUN"))
    needed = [str(script), "train.py", "weights/occface_mobile.safetensors"]
    needed += ["requirements.txt", "requirements-onnx.txt", "models/registry.yaml"]
    for name in needed:
        assert not any(fnmatch.fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in IGNORED)
    packages = [folder.parent.name for folder in ROOT.glob("*/__init__.py")]
    assert "inference" in packages
    assert not set(packages) & set(IGNORED)


def test_what_git_ignores_stays_out_of_the_image() -> None:
    lines = (ROOT / ".gitignore").read_text().splitlines()
    folders = [line.strip("/") for line in lines if line.startswith("/") and line.endswith("/")]
    assert folders
    assert set(folders) <= set(IGNORED)
