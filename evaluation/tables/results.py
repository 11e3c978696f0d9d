"""What a table says: our scores, read from the evaluations on disk, beside the published ones."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from common.config import validate
from common.errors import UserError
from configs.schema import ColumnSection, PublishedSource, TableJob
from evaluation.tables.stages import Cell, cell_folder, cells_of

PUBLISHED = Path(__file__).resolve().parents[1] / "published.yaml"
SAME_THRESHOLD = 1e-6
Summary = dict[str, Any]


class Published(NamedTuple):
    """A number from the literature, in the column's unit."""

    value: float
    source: PublishedSource


class Entry(NamedTuple):
    """One number of the table.

    Attributes:
        values: ours, one a seed, 0..1; empty where nothing was evaluated.
        n: images behind ours.
        published: None where nothing is published.
    """

    values: tuple[float, ...]
    n: int | None
    published: Published | None

    @property
    def mean(self) -> float | None:
        """Mean over the seeds."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds, with n - 1; None for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


class Row(NamedTuple):
    """A line of the table: one cell, or numbers that are published only."""

    training: str
    network: str
    entries: dict[str, Entry]


class Results(NamedTuple):
    """All that is rendered.

    Attributes:
        job: what the table is told.
        rows: in order, published rows without ours last.
        sources: of the published numbers.
        n: images of each test set, where one was evaluated.
    """

    job: TableJob
    rows: list[Row]
    sources: list[PublishedSource]
    n: dict[str, int]


def read_published(keys: Sequence[str], path: Path = PUBLISHED) -> list[PublishedSource]:
    """Return the sources of published numbers by their keys in the file.

    Raises:
        UserError: a key is unknown, or the file is not as expected.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    unknown = [key for key in keys if key not in content]
    if unknown:
        raise UserError(f"{path}: has no {', '.join(unknown)}; known: {', '.join(content)}")
    return [validate(content[key], PublishedSource, source=f"{path}: {key}") for key in keys]


def read_results(job: TableJob) -> Results:
    """Return our numbers, as far as they are on disk, and the published ones.

    Raises:
        UserError: a summary cannot be read, lacks a set or a number, or two cells were scored on different images.
    """
    sources = read_published(job.published)
    cells = cells_of(job)
    scored = {cell: _summaries(job, cell) for cell in cells}
    counts = _counts(job, scored)
    rows = [
        Row(
            job.training_sets[cell.training].label,
            job.networks[cell.network].label,
            {name: _entry(job, cell, name, summaries=scored[cell], sources=sources) for name in job.columns},
        )
        for cell in cells
    ]
    return Results(job, [*rows, *_published_rows(job, cells, sources)], sources, counts)


def _summaries(job: TableJob, cell: Cell) -> list[dict[str, Summary]]:
    """Return test set -> summary, one a seed that was evaluated."""
    found = []
    for seed in job.seeds:
        folder = cell_folder(job, cell, seed)
        paths = [folder / name / "summary.json" for name in ("eval", *job.evaluation.jobs)]
        summaries = {summary["set"]: summary for path in paths if path.is_file() for summary in _read(path)}
        if summaries:
            found.append(summaries)
    return found


def _read(path: Path) -> list[Summary]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: is damaged ({error}); remove it and run the table again") from error
    if not isinstance(content, list) or not all(
        isinstance(one, dict) and {"set", "n"} <= one.keys() for one in content
    ):
        raise UserError(f"{path}: expected a list of summaries with `set` and `n`; remove it and run the table again")
    return content


def _counts(job: TableJob, scored: Mapping[Cell, list[dict[str, Summary]]]) -> dict[str, int]:
    """Return how many images each test set has."""
    counts: dict[str, int] = {}
    for name in job.test_sets:
        found = {
            cell.name: int(summaries[name]["n"]) for cell, seeds in scored.items() for summaries in seeds
            if name in summaries
        }  # fmt: skip
        if len(set(found.values())) > 1:
            listed = ", ".join(f"{cell} {n}" for cell, n in found.items())
            raise UserError(
                f"{name}: the cells were scored on different numbers of images ({listed}) and cannot stand in one "
                "table; evaluate them again: remove their folders eval/ and run the table again"
            )
        if found:
            counts[name] = next(iter(found.values()))
    return counts


def _entry(
    job: TableJob, cell: Cell, name: str, *, summaries: list[dict[str, Summary]], sources: Sequence[PublishedSource]
) -> Entry:
    column = job.columns[name]
    values = tuple(
        _value(one[column.set], column, told=f"{cell.name}, set {column.set}") for one in summaries if column.set in one
    )
    n = next((int(one[column.set]["n"]) for one in summaries if column.set in one), None)
    return Entry(values, n, _published(sources, cell, name))


def _published(sources: Sequence[PublishedSource], cell: Cell, column: str) -> Published | None:
    for source in sources:
        value = source.values.get(cell.training, {}).get(cell.network, {}).get(column)
        if value is not None:
            return Published(value, source)
    return None


def _published_rows(job: TableJob, cells: Sequence[Cell], sources: Sequence[PublishedSource]) -> list[Row]:
    """Return the rows of published numbers that no cell of ours stands beside."""
    labels = {key: section.label for key, section in job.training_sets.items()}
    labels |= {key: section.label for key, section in job.networks.items()}
    rows = []
    for source in sources:
        for training, networks in source.values.items():
            for network in networks:
                cell = Cell(training, network)
                if cell in cells or (training in job.training_sets and network in job.networks):
                    continue
                names = [source.labels.get(key) or labels.get(key, key) for key in cell]
                entries = {name: Entry((), None, _published([source], cell, name)) for name in job.columns}
                if any(entry.published for entry in entries.values()):
                    rows.append(Row(names[0], names[1], entries))
    return rows


def _value(summary: Summary, column: ColumnSection, *, told: str) -> float:
    """Return the number of a summary that the column shows."""
    found: Any = summary
    above: Any = None
    for part in column.measure.split("."):
        if not isinstance(found, dict) or part not in found:
            known = ", ".join(found) if isinstance(found, dict) else "none, it is no mapping"
            raise UserError(f"{told}: the summary has no {column.measure!r}; keys where {part!r} should be: {known}")
        above, found = found, found[part]
    if column.at is not None:
        found = _read_curve(above, found, column.at, told=f"{told}: {column.measure}")
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise UserError(f"{told}: expected a number at {column.measure!r}, found {found!r}")
    return float(found)


def _read_curve(curve: dict[str, Any], values: Any, threshold: float, *, told: str) -> Any:
    """Return the value of a curve at a threshold, which stands in its list `thresholds`."""
    thresholds = curve.get("thresholds")
    if not isinstance(thresholds, list) or not isinstance(values, list):
        raise UserError(f"{told}: expected a curve, a list beside `thresholds`, found {values!r}")
    for at, value in zip(thresholds, values, strict=True):
        if abs(at - threshold) < SAME_THRESHOLD:
            return value
    raise UserError(f"{told}: has no value at the threshold {threshold}; thresholds: {thresholds}")
