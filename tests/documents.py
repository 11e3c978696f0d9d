"""README and docs as the tests read them: their commands and files, and a place to run them in."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRAMS = ("python", "bash", "torchrun", "sbatch", "pip", "pytest")
BLOCK = re.compile(r"^```(?P<kind>\w*)(?: file=(?P<name>\S+))?\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
FIRST_CELL = re.compile(r"^\|[^|]*\|", re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")


class Command(NamedTuple):
    """One command line of a page.

    Attributes:
        page: name of the page.
        words: of the line, without variables and comments.
        variables: that stand before it.
        quoted: whether it stands within a sentence, where it may be no more than a name.
    """

    page: str
    words: tuple[str, ...]
    variables: dict[str, str]
    quoted: bool = False

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def commands_of(page: Path) -> Iterator[Command]:
    """Yield the commands of the page, those of blocks first."""
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        if block["kind"] in ("", "bash"):
            lines = block["text"].replace("\\\n", " ").splitlines()
            yield from filter(None, (_command(page, line, quoted=False) for line in lines))
    sentences = BLOCK.sub("", text)
    if page.name == "migration.md":
        sentences = FIRST_CELL.sub("", sentences)  # commands of other people's code
    for found in INLINE.finditer(sentences):
        command = _command(page, found[1].replace("\n", " "), quoted=True)
        if command:
            yield command


def files_of(page: Path, folder: Path) -> list[str]:
    """Write the files that the page shows into `folder`, and return their names."""
    names = []
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["name"]:
            path = folder / block["name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["text"], encoding="utf-8")
            names.append(block["name"])
    return names


def python_of(page: Path) -> list[str]:
    """Return the snippets of Python on the page that are no files."""
    blocks = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [block["text"] for block in blocks if block["kind"] == "python" and not block["name"]]


def shell_of(page: Path) -> list[str]:
    """Return the blocks of the page that a shell is needed for."""
    blocks = (block["text"] for block in BLOCK.finditer(page.read_text(encoding="utf-8")) if block["kind"] == "bash")
    return [text for text in blocks if text.startswith(("mkdir ", "("))]


def _command(page: Path, line: str, *, quoted: bool) -> Command | None:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a sentence with an apostrophe
        return None
    variables = {}
    while words and re.fullmatch(r"[A-Z_]+=\S+", words[0]):
        name, _, variables[name] = words.pop(0).partition("=")
    return Command(page.name, tuple(words), variables, quoted) if words and words[0] in PROGRAMS else None


def make_checkout(folder: Path) -> Path:
    """Make `folder` look like the repository, with folders of its own for what commands write."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name not in ("runs", "data", "mine"):
            (folder / path.name).symlink_to(path)
    return folder


def run_python(command: Command, monkeypatch: pytest.MonkeyPatch, *, cwd: Path, more: tuple[str, ...] = ()) -> None:
    """Run a `python` command in this process, where all modules are loaded already, with `more` words at its end.

    Raises:
        AssertionError: it ends with an exit code that is not 0.
    """
    words = [os.path.expandvars(word) for word in command.words[1:]] + list(more)
    code: object = 0
    with monkeypatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "path", sys.path[:])
        for name, value in command.variables.items():
            patch.setenv(name, value)
        for folder in filter(None, command.variables.get("PYTHONPATH", "").split(":")):
            patch.syspath_prepend(str(cwd / folder))
        try:
            if words[0] == "-m":
                patch.setattr(sys, "argv", words[1:])
                runpy.run_module(words[1], run_name="__main__", alter_sys=True)
            else:
                patch.setattr(sys, "argv", words)
                runpy.run_path(str(ROOT / words[0]), run_name="__main__")
        except SystemExit as end:
            code = end.code
    assert not code, f"{command}: ended with {code}"
