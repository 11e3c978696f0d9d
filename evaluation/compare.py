"""`python -m evaluation compare A B`: is B better than A, image by image, and how sure is that?"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.cli import parser
from common.errors import UserError
from common.image_io import write_bytes
from evaluation.bootstrap import Interval, bootstrap_interval, bootstrap_statistic
from evaluation.run_folder import EvaluationRun, read_run, shared_sets
from evaluation.scores import pooled_miou

Floats = NDArray[np.float64]

SCORES = ("face_iou", "boundary_iou", "boundary_f", "dice", "precision", "recall", "accuracy", "brier", "occluder_iou")
POOLED = "miou"
DEFAULT_SCORES = ("face_iou", "boundary_iou", POOLED)
LOWER_IS_BETTER = ("brier",)
COUNTS = ("tp", "fp", "fn", "tn")

EXAMPLES = """  python -m evaluation compare runs/a/eval runs/b/eval
  python -m evaluation compare runs/a runs/b --scores face_iou brier --output runs/a_and_b.json
  python -m evaluation compare runs/a runs/b --dry-run"""


class Difference(NamedTuple):
    """One score of one set in two runs.

    Attributes:
        set: name of the set.
        score: name of the score.
        n: images that have it in both.
        first: mean over them in the first run.
        second: likewise in the second.
        difference: second - first.
        interval: 95 % bootstrap interval of the difference; the same images are drawn for both runs.
        better: images with a better score in the second run; None for pooled scores.
        worse: images with a worse one.
    """

    set: str
    score: str
    n: int
    first: float
    second: float
    difference: float
    interval: Interval
    better: int | None
    worse: int | None


def main(arguments: Sequence[str]) -> None:
    """Print a table of the differences."""
    commands = parser(
        "Tell how two evaluations differ, paired by image, with a 95 % bootstrap interval. An interval without 0 is a "
        "difference that other images of the same kind would very probably show, too.",
        EXAMPLES,
    )
    commands.prog = "python -m evaluation compare"
    commands.add_argument("first", type=Path, metavar="RUN_A", help="output folder of eval.py, or a run folder with it")
    commands.add_argument("second", type=Path, metavar="RUN_B", help="the same for the other model")
    commands.add_argument(
        "--scores", nargs="+", choices=(*SCORES, POOLED), default=DEFAULT_SCORES, metavar="NAME",
        help=f"of {', '.join((*SCORES, POOLED))} (default: {' '.join(DEFAULT_SCORES)})",
    )  # fmt: skip
    commands.add_argument("--output", type=Path, metavar="FILE.json", help="write the differences there, too")
    commands.add_argument("--dry-run", action="store_true", help="check the runs, say what would be compared, and stop")
    options = commands.parse_args(arguments)
    runs = read_run(options.first), read_run(options.second)
    sets = shared_sets(runs)
    if options.dry_run:
        print(f"would compare {', '.join(options.scores)} of {runs[0].path} and {runs[1].path} on {', '.join(sets)}")
        return
    all_found = (compare(*runs, name, score=score) for name in sets for score in options.scores)
    found = [row for row in all_found if row is not None]
    if not found:
        raise UserError(f"no image has {', '.join(options.scores)} in both runs; name other --scores")
    print(markdown(*runs, found), end="")
    if options.output is not None:
        content = [{**row._asdict(), "interval": list(row.interval)} for row in found]
        write_bytes(options.output, (json.dumps(content, indent=2) + "\n").encode())


def compare(first: EvaluationRun, second: EvaluationRun, name: str, *, score: str) -> Difference | None:
    """Return how a score of the set `name` differs between two runs on the same images; None where no image has it.

    Args:
        first: the run to compare with.
        second: the run in question.
        name: of a set of both, see `evaluation.run_folder.shared_sets`.
        score: a column of per_image.csv, or "miou" for the pooled one.
    """
    rows, other = first.rows(name), second.rows(name)
    columns = COUNTS if score == POOLED else (score,)
    ids = [id for id in rows if all(rows[id][column] and other[id][column] for column in columns)]
    if not ids:
        return None
    values = np.array([[float(run[id][column]) for run in (rows, other) for column in columns] for id in ids])
    if score == POOLED:
        return _pooled(name, values)
    gains = values[:, 1] - values[:, 0]
    signs = -np.sign(gains) if score in LOWER_IS_BETTER else np.sign(gains)
    first_mean, second_mean = (float(mean) for mean in values.mean(axis=0))
    return Difference(
        name,
        score,
        len(ids),
        first_mean,
        second_mean,
        float(gains.mean()),
        bootstrap_interval(gains.tolist()),
        int((signs > 0).sum()),
        int((signs < 0).sum()),
    )


def markdown(first: EvaluationRun, second: EvaluationRun, found: Sequence[Difference]) -> str:
    """Return the differences as a table, under a line that says what A and B are."""
    lines = [f"{letter}: {run.path} ({_told(run)})" for letter, run in (("A", first), ("B", second))]
    head = ("set", "score", "n", "A", "B", "B - A", "95 % interval", "B better on", "B worse on")
    lines += ["", _line(head), _line(["---"] * len(head))]
    for row in found:
        cells = [row.set, row.score, row.n, f"{row.first:.4f}", f"{row.second:.4f}", f"{row.difference:+.4f}"]
        interval = f"{row.interval.low:+.4f} .. {row.interval.high:+.4f}"
        lines.append(_line([*cells, interval, *("-" if value is None else value for value in (row.better, row.worse))]))
    return "\n".join(lines) + "\n"


def _pooled(name: str, counts: Floats) -> Difference:
    """Return the difference of `dataset_miou` from (N, 8) counts of both runs."""
    gain: Callable[[Floats], Floats] = lambda sums: pooled_miou(sums[:, 4:]) - pooled_miou(sums[:, :4])  # noqa: E731
    totals = counts.sum(axis=0, keepdims=True)
    first, second = (float(pooled_miou(totals[:, part])[0]) for part in (slice(4), slice(4, 8)))
    interval = bootstrap_statistic(counts, gain)
    return Difference(name, POOLED, len(counts), first, second, second - first, interval, None, None)


def _told(run: EvaluationRun) -> str:
    """Return what was scored, and how faces were found and thresholds set, each once."""
    summaries = list(run.summaries.values())
    sources = dict.fromkeys(str(summary["weights"] or summary["predictions"]) for summary in summaries)
    crops = dict.fromkeys(str(summary["crop"]) for summary in summaries)
    thresholds = dict.fromkeys(f"{summary['threshold']:.3g}" for summary in summaries)
    return f"{', '.join(sources)}; crops: {' / '.join(crops)}; threshold {', '.join(thresholds)}"


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"
