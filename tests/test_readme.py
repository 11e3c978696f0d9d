"""The README's commands name things that exist, and its shell scripts answer."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
COMMANDS = [shlex.split(line, comments=True) for block in BLOCKS for line in block.splitlines() if line.strip()]
OPTIONS = {"infer.py": (ROOT / "inference" / "options.py",)}  # where a script has its options, if elsewhere


def entry_point(words: list[str]) -> Path:
    if words[0] == "bash":
        return ROOT / words[1]
    return ROOT / words[2] / "__main__.py" if words[1] == "-m" else ROOT / words[1]


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 7


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_command_names_things_that_exist(words: list[str]) -> None:
    assert words[0] in ("bash", "python")
    assert entry_point(words).is_file()
    for word in words[1:]:
        if word.endswith(".yaml"):
            assert (ROOT / word).is_file()
        if word.startswith("--"):
            assert any(f'"{word}"' in path.read_text() for path in (entry_point(words), *OPTIONS.get(words[1], ())))


SOURCED = ("environment.sh", "common.sh", "table_common.sh")
SCRIPTS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "scripts").rglob("*.sh") if path.name not in SOURCED)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("option", ["--help", "--dry-run"])
def test_scripts_answer_without_doing_anything(script: str, option: str) -> None:
    done = subprocess.run(["bash", script, option], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
