"""Docstrings name what is there: parameters under Args, fields under Attributes, and errors that the code knows."""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LISTED = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True).stdout.split()
MODULES = [ROOT / name for name in LISTED if not name.startswith("tests/")] or sorted(
    path for path in ROOT.rglob("*.py") if not {"tests", ".venv", "runs", "data"} & set(path.relative_to(ROOT).parts)
)
Function = ast.FunctionDef | ast.AsyncFunctionDef
SECTION = r"^{indent}{title}:\n(?P<body>(?:(?:{indent} +.*)?\n)+)"


def section(docstring: str, title: str) -> list[str]:
    """Return the names that a section of a docstring lists; several may share a line."""
    found = re.search(SECTION.format(indent="", title=title), docstring + "\n", flags=re.MULTILINE)
    if found is None:
        return []
    lines = found["body"].splitlines()
    depth = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    heads = (re.match(rf" {{{depth}}}(?! )([*\w`, .]+?)(?: \([^)]*\))?:(?: |$)", line) for line in lines)
    return [name.strip(" *`") for head in heads if head for name in head[1].split(",")]


def documented(tree: ast.Module) -> Iterator[tuple[Function | ast.ClassDef, str]]:
    for node in ast.walk(tree):
        if isinstance(node, Function | ast.ClassDef) and (text := ast.get_docstring(node)):
            yield node, text


def parameters(function: Function) -> set[str]:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return {argument.arg for argument in named}


def fields(owner: ast.ClassDef) -> set[str]:
    """Return all names that a class or its objects have of their own."""
    names = set()
    for node in ast.walk(owner):
        if isinstance(node, Function):
            names |= {node.name, *(parameters(node) if node.name == "__init__" else ())}
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            for target in [node.target] if isinstance(node, ast.AnnAssign) else node.targets:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name | ast.Attribute):
                        names.add(part.id if isinstance(part, ast.Name) else part.attr)
    return names


def known_errors(tree: ast.Module) -> set[str]:
    """Return the names of errors that can be meant: built in, made or imported anywhere in the project."""
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
ERRORS = {*dir(builtins), "LinAlgError", "YAMLError"}.union(*map(known_errors, TREES.values()))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_name_what_is_there(path: Path) -> None:
    wrong = []
    for node, text in documented(TREES[path]):
        there = fields(node) if isinstance(node, ast.ClassDef) else parameters(node)
        names = [*section(text, "Args"), *section(text, "Attributes")]
        wrong += [f"{node.name}: {name!r} is neither a parameter nor a field" for name in names if name not in there]
        errors = [name.rpartition(".")[2] for name in section(text, "Raises")]
        wrong += [f"{node.name}: there is no error {name!r}" for name in errors if name not in ERRORS]
    assert not wrong, "\n".join(wrong)


def test_the_sections_are_read() -> None:
    text = (
        "Return it.\n\nArgs:\n    one, two: what\n        goes: on\n    *more: and more\n\nRaises:\n    ValueError: no."
    )
    assert section(text, "Args") == ["one", "two", "more"]
    assert section(text, "Raises") == ["ValueError"]
    assert sum(len(section(text, "Args")) for tree in TREES.values() for _, text in documented(tree)) > 700
