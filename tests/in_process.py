"""Scripts run in the process of the tests, where all modules are loaded already."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest


def exit_code(main: Callable[..., None], *arguments: object) -> int:
    """Return the exit code that `main` ends with when it is called with these arguments."""
    try:
        main(*arguments)
    except SystemExit as stop:
        return int(str(stop.code or 0))
    return 0


def run_script(main: Callable[[], None], monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Return the exit code of a script that is typed with these words, its own name first."""
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    return exit_code(main)
