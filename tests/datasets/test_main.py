from __future__ import annotations

from pathlib import Path

import pytest

import datasets.__main__ as script
from tests.in_process import run_script


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    return run_script(script.main, monkeypatch, script.__file__, *words)


def test_published_sets_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("published", str(tmp_path / "sets"), "--sets", "EgoHands", "--faces", "2", "--photo-size", "64")
    assert run(monkeypatch, *words, "--dry-run") == 0
    assert not (tmp_path / "sets").exists()
    assert run(monkeypatch, *words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "sets" / "EgoHands")
    assert len(list((tmp_path / "sets").rglob("*.jpg"))) == 2


@pytest.mark.parametrize("command", ["", "sample", "published", "pack", "verify", "check", "browse", "extract"])
def test_every_command_explains_itself(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *filter(None, [command]), "--help") == 0
    printed = capsys.readouterr().out
    assert "usage: python -m datasets" in printed
    assert "--dry-run" in printed or not command


@pytest.mark.parametrize("command", ["check", "browse", "extract"])
def test_commands_of_their_own_are_reached(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert (
        run(monkeypatch, command, str(tmp_path / "none.yaml"), *([str(tmp_path)] if command == "extract" else [])) == 2
    )
    assert "none.yaml" in capsys.readouterr().err
