"""What lies in the output folder of an evaluation, read for its page."""

from __future__ import annotations

import csv
import functools
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from common.errors import RecordError, UserError
from evaluation.report.views import View, read_view

RERUN = "run the same `python eval.py CONFIG weights=FILE` again"
ANEW = f"remove summary.json in the folder of each set named here, which marks the set as done, and {RERUN}"
LISTED_PROBLEMS = 20  # of many; a folder that was copied by half has thousands

Read = TypeVar("Read")
NEEDED_COLUMNS = ("id", "face_iou", "tp", "fp", "fn")
TEXT_COLUMNS = ("id", "subject", "occlusion_types")
NEEDED_KEYS = ("set", "n", "face_iou", "threshold")


class Row(NamedTuple):
    """One scored image.

    Attributes:
        id: name in the test set.
        face_iou: at the threshold of the evaluation and the photo's own size.
        occlusion_types: names of what hides the face; empty where the set does not tell, or there is none.
        coverage: hidden share of the face, 0..1; None where the set does not tell.
        subject: the person; empty where the set does not tell.
        scores: every other column that holds a number.
    """

    id: str
    face_iou: float
    occlusion_types: tuple[str, ...]
    coverage: float | None
    scores: dict[str, float]
    subject: str = ""


class SetResult(NamedTuple):
    """One test set: its summary.json, the rows of per_image.csv and where the views lie."""

    summary: dict[str, Any]
    rows: list[Row]
    views: Path

    @property
    def name(self) -> str:
        """Name of the set."""
        return str(self.summary["set"])

    @property
    def pictured(self) -> int:
        """Number of images, the first of `rows`, that pictures were kept of."""
        return int(self.summary.get("views", self.summary["n"]))


def read_results(output: Path) -> list[SetResult]:
    """Return what an evaluation left in `output`, in the order of its summary.json.

    Raises:
        UserError: files are missing or damaged; all of them are named.
    """
    path = output / "summary.json"
    problems: list[str] = []
    results = []
    for summary in _read_summaries(path):
        name = str(summary["set"])
        table = output / name / "per_image.csv"
        rows = collect(functools.partial(read_rows, table), problems)
        if rows is not None and len(rows) != summary["n"]:
            problems.append(f"{table}: {len(rows)} images, but {path} tells n = {summary['n']} of {name}")
        results.append(SetResult(summary, rows or [], output / name / "views"))
    raise_problems(problems)
    return results


def read_views(places: Iterable[tuple[Path, str]]) -> list[View]:
    """Return the views of images, each given by its folder and its id.

    Raises:
        UserError: files are missing or damaged; they are named, of many the first.
    """
    problems: list[str] = []
    views = [collect(functools.partial(read_view, folder, id), problems) for folder, id in places]
    raise_problems(problems)
    return [view for view in views if view is not None]


def read_rows(path: Path) -> list[Row]:
    """Return the lines of a per_image.csv.

    Raises:
        RecordError: the file is missing, lacks a column, or holds something else than numbers.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [column for column in NEEDED_COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise RecordError(f"{path}: expected the columns {', '.join(NEEDED_COLUMNS)}; no {', '.join(missing)}")
            return [_row(path, line, number) for number, line in enumerate(reader, 2)]
    except FileNotFoundError as error:
        raise RecordError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: cannot be read ({error})") from error


def collect(read: Callable[[], Read], problems: list[str]) -> Read | None:
    """Return what `read` returns, or None after noting down what is wrong."""
    try:
        return read()
    except RecordError as error:
        problems.append(str(error))
        return None


def raise_problems(problems: list[str]) -> None:
    """Raise a `UserError` with all problems, of many the first, and what to do; nothing where there is none."""
    if not problems:
        return
    more = [f"... and {len(problems) - LISTED_PROBLEMS} more"] if len(problems) > LISTED_PROBLEMS else []
    listed = "\n  ".join(problems[:LISTED_PROBLEMS] + more)
    raise UserError(f"the page of this evaluation cannot be written; {ANEW}\n  {listed}")


def _read_summaries(path: Path) -> list[dict[str, Any]]:
    try:
        summaries = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; name the output folder of an evaluation, or {RERUN}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {RERUN}") from error
    whole = isinstance(summaries, list) and all(isinstance(summary, dict) for summary in summaries)
    missing = [key for key in NEEDED_KEYS if whole and any(key not in summary for summary in summaries)]
    if not whole or not summaries or missing:
        what = f"no {', '.join(missing)}" if missing else "another content"
        raise UserError(f"{path}: expected a list of sets, each with {', '.join(NEEDED_KEYS)}; found {what}; {RERUN}")
    return summaries


def _row(path: Path, line: dict[str, str | None], number: int) -> Row:
    """Return a line of the table; texts other than id and types must be numbers or empty."""
    scores = {}
    for column, text in line.items():
        if column in TEXT_COLUMNS or text == "":
            continue
        scores[column] = _number(text)
        if not math.isfinite(scores[column]):
            raise RecordError(f"{path}, line {number}: expected a number as {column}, found {text!r}")
    missing = [column for column in NEEDED_COLUMNS[1:] if column not in scores]
    if missing or not line["id"]:
        raise RecordError(f"{path}, line {number}: no {', '.join(missing) or 'id'}")
    types = tuple(name for name in (line.get("occlusion_types") or "").split(";") if name)
    face_iou = scores.pop("face_iou")
    return Row(line["id"], face_iou, types, scores.pop("coverage", None), scores, line.get("subject") or "")


def _number(text: object) -> float:
    """Return the number that a cell holds, or not a number where there is none, or the line has too few or too many."""
    try:
        return float(str(text))
    except ValueError:
        return math.nan


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
