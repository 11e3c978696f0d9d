from __future__ import annotations

import pytest

import face_align.__main__ as script
from tests.face_align.align_runs import Main
from tests.in_process import run_script


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run the script in this process and return its exit code."""

    def call(*arguments: object) -> int:
        return run_script(script.main, monkeypatch, "face_align", *arguments, "--processes", "1")

    return call
