"""Runs of `python -m face_align` in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Main = Callable[..., int]


def write_config(folder: Path, root: Path, more: str = "") -> Path:
    path = folder / "align.yaml"
    path.write_text(
        f"data: {{root: {root}, prepared: {folder / 'out'}}}\nsource: {{split: split.csv}}\n"
        f"align: {{size: 64}}\noutput: {folder / 'out'}\n{more}"
    )
    return path
