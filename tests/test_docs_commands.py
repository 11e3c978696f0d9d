"""Every command in README and docs: its program exists, it takes these options, and its configuration is valid."""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

from datasets.checks.jobs import load_job
from tests.documents import PAGES, ROOT, Command, commands_of, run_python

ALL = [command for page in PAGES for command in commands_of(page)]
PYTHON = [command for command in ALL if command.words[0] == "python"]
OTHERS = [command for command in ALL if command.words[0] != "python"]
# What stands for a reader's own choice, where only some words would do.
STANDS_FOR = {"LAYOUT": "coco", "NAME": "align", "N": "3", "PHOTOS": "photos"}
LAUNCHERS = ("torchrun", "sbatch")
OF_READERS = ("CONFIG", "OTHER_CONFIG", "align.yaml")  # configurations that no file here is
SOURCED = ("environment.sh", "common.sh", "table_common.sh")
SCRIPTS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "scripts").rglob("*.sh") if path.name not in SOURCED)


class Understood(Exception):  # noqa: N818
    """The command line was read to its end."""


class Refused(Exception):  # noqa: N818
    """The command line was not understood."""


def test_there_are_commands() -> None:
    assert len(PYTHON) > 90
    assert len(OTHERS) > 20
    assert {command.page for command in ALL if not command.quoted} >= {"README.md", "training.md", "data.md"}


@pytest.fixture
def parse_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every command stop once its words and its configuration were read."""

    def stop_after(name: str) -> None:
        parse = getattr(argparse.ArgumentParser, name)

        def parse_and_stop(self: argparse.ArgumentParser, *words: Any, **options: Any) -> NoReturn:
            found = parse(self, *words, **options)
            judge_configs(found)
            raise Understood

        monkeypatch.setattr(argparse.ArgumentParser, name, parse_and_stop)

    def refuse(self: argparse.ArgumentParser, message: str) -> NoReturn:
        raise Refused(message)

    for name in ("parse_args", "parse_intermixed_args"):
        stop_after(name)
    monkeypatch.setattr(argparse.ArgumentParser, "error", refuse)


def judge_configs(found: argparse.Namespace) -> None:
    """Check the configurations that a command was given, with the keys set behind them."""
    words = getattr(found, "words", None) or [str(getattr(found, "config", "")), *getattr(found, "overrides", [])]
    for path in words:
        if path.endswith(".yaml") and "=" not in path and path not in OF_READERS and not path.startswith("mine/"):
            load_job(Path(path), [word for word in words if "=" in word])


@pytest.mark.usefixtures("parse_only")
@pytest.mark.parametrize("command", PYTHON, ids=str)
def test_python_commands_are_understood(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    words = tuple(STANDS_FOR.get(word, word) for word in command.words)
    plain = command._replace(words=words, variables={})
    try:
        with pytest.raises(Understood):
            run_python(plain, monkeypatch, cwd=ROOT)
    except Refused as refused:
        # Within a sentence a command may be named without what it works on.
        if not (command.quoted and "required" in str(refused)):
            raise


@pytest.mark.parametrize("command", OTHERS, ids=str)
def test_other_commands_name_things_that_exist(command: Command) -> None:
    program, *words = command.words
    if program == "bash":
        judge_script(words)
    elif program == "pip":
        assert [word for word in words if word.endswith(".txt")]
    elif program in LAUNCHERS and words:
        assert [word for word in words if (ROOT / word).is_file()]
    for word in words:
        path = word.partition("::")[0]
        if path.endswith((".yaml", ".txt", ".py", ".sh")) and "/" in path and not path.startswith("/"):
            assert (ROOT / path).is_file(), path


def judge_script(words: list[str]) -> None:
    """Check that a shell script exists and knows the options that it is given."""
    script, *options = words
    text = (ROOT / script).read_text()
    text += "".join((ROOT / name).read_text() for name in re.findall(r"^\. (\S+\.sh)", text, flags=re.MULTILINE))
    for option in options:
        if option.startswith("--"):
            assert option in text, f"{script} does not know {option}"


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("option", ["--help", "--dry-run"])
def test_scripts_answer_without_doing_anything(script: str, option: str) -> None:
    done = subprocess.run(["bash", script, option], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


ROOMS = "common|configs|face_align|occlusion_gen|datasets|models|evaluation|inference|benchmarks|scripts|tests|weights"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_names_of_the_code_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(rf"`((?:{ROOMS})/[^\s`{{*]*)`", text):
        assert (ROOT / name).exists() or name == "face_align/process_CelebAMaskHQ.py", name  # FaceOcc's
    for name in re.findall(rf"`((?:{ROOMS})(?:\.[A-Za-z_]\w*)+)`", text):
        judge_name(name.split("."))


def judge_name(parts: list[str]) -> None:
    """Check that a dotted name leads to a module, or to something that a module mentions."""
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        module = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if module.is_file():
            assert length == len(parts) or re.search(rf"\b{parts[length]}\b", module.read_text()), parts
            return
    pytest.fail(f"no module for {parts}")
