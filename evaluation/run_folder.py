"""What an evaluation left on disk, read for comparisons and tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import UserError
from evaluation.scores import FORMAT, Summary

# What has to be equal before two scores may be held against each other. How the face was found is told, not asked for.
PROTOCOL_KEYS = ("format", "protocol", "face_policy", "set_sha256", "role")


class EvaluationRun(NamedTuple):
    """One output folder of eval.py.

    Attributes:
        path: the folder.
        summaries: set -> summary, in the order of the configuration.
    """

    path: Path
    summaries: dict[str, Summary]

    def rows(self, name: str) -> dict[str, dict[str, str]]:
        """Return the lines of per_image.csv of one set by id.

        Raises:
            UserError: the file is missing, or has not one line an image.
        """
        path = self.path / name / "per_image.csv"
        try:
            with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
                rows = {row["id"]: row for row in csv.DictReader(stream)}
        except (OSError, KeyError, ValueError, csv.Error) as error:
            raise UserError(f"{path}: cannot be read ({error!r}); run eval.py again") from error
        if len(rows) != self.summaries[name]["n"]:
            raise UserError(
                f"{path}: expected {self.summaries[name]['n']} images, found {len(rows)}; run eval.py again"
            )
        return rows


def read_run(path: Path) -> EvaluationRun:
    """Return the evaluation in `path`, or in its folder eval/.

    Args:
        path: output folder of eval.py, or the run folder of train.py around it.

    Raises:
        UserError: there is none, or it was written by another version.
    """
    folder = path if (path / "summary.json").is_file() else path / "eval"
    file = folder / "summary.json"
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        summaries = {str(summary["set"]): summary for summary in content}
    except OSError as error:
        raise UserError(f"{path}: expected an output folder of eval.py with summary.json, found none") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file}: is no summary of eval.py ({error!r}); run eval.py again") from error
    old = [name for name, summary in summaries.items() if summary.get("format") != FORMAT]
    if old:
        raise UserError(f"{file}: {', '.join(old)} were scored by another version of this code; run eval.py again")
    return EvaluationRun(folder, summaries)


def shared_sets(runs: Sequence[EvaluationRun]) -> list[str]:
    """Return the sets that all runs were scored on, by the same protocol and on the same images.

    Raises:
        UserError: there is none, or the runs differ in protocol or images; all differences are told.
    """
    first = runs[0]
    shared = [name for name in first.summaries if all(name in run.summaries for run in runs)]
    if not shared:
        listed = "\n".join(f"  {run.path}: {', '.join(run.summaries)}" for run in runs)
        raise UserError(f"these runs have no set in common, so there is nothing to compare:\n{listed}")
    problems = [
        f"  {name}: {told} ({first.path} and {run.path})"
        for name in shared
        for run in runs[1:]
        for told in _differences(first, run, name)
    ]
    if problems:
        listed = "\n".join(problems)
        raise UserError(f"these runs cannot be compared; score them by the same configuration:\n{listed}")
    return shared


def _differences(first: EvaluationRun, second: EvaluationRun, name: str) -> list[str]:
    """Return what keeps the scores of one set from being compared."""
    one, other = first.summaries[name], second.summaries[name]
    different = [key for key in PROTOCOL_KEYS if one.get(key) != other.get(key)]
    told = [f"{key} differs{_values(one, other, key)}" for key in different if key != "set_sha256"]
    ids, other_ids = first.rows(name).keys(), second.rows(name).keys()
    if ids != other_ids:
        alone = sorted(ids ^ other_ids)
        told.append(f"{len(alone)} images are in one of them only, e.g. {', '.join(alone[:5])}")
    elif "set_sha256" in different:
        told.append("the photos or masks of equal names differ")
    return told


def _values(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> str:
    return "" if key == "protocol" else f": {one.get(key)} and {other.get(key)}"
