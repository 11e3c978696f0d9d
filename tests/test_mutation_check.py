"""The list of breaks fits the code; the breaks themselves take minutes and are run by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_line_to_break_is_where_it_should_be() -> None:
    command = [sys.executable, "scripts/mutation_check.py", "--dry-run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "union" in done.stdout
