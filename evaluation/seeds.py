"""`python -m evaluation seeds RUN ...`: mean and standard deviation over trainings with different seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common.cli import parser
from common.errors import UserError
from common.image_io import write_bytes
from common.seed_scores import SeedScores, summarise_seeds
from evaluation.run_folder import EvaluationRun, read_run, shared_sets

SCORES = ("face_iou", "boundary_iou", "miou", "pixel_accuracy", "dice", "ece")

EXAMPLES = """  python -m evaluation seeds runs/natocc/seed_0 runs/natocc/seed_1 runs/natocc/seed_2
  python -m evaluation seeds runs/natocc/seed_*/eval --scores face_iou miou --output runs/natocc/seeds.json
  python -m evaluation seeds runs/natocc/seed_* --dry-run"""


class SeedScore(NamedTuple):
    """One score of one set over runs; `over` has them by their place in the command, from 0."""

    set: str
    score: str
    n: int
    over: SeedScores


def main(arguments: Sequence[str]) -> None:
    """Print a table of means and standard deviations."""
    commands = parser(
        "Tell mean and standard deviation (n - 1) of scores over runs that differ in their seed only.", EXAMPLES
    )
    commands.prog = "python -m evaluation seeds"
    commands.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="output folders of eval.py, or run folders with them"
    )
    commands.add_argument(
        "--scores", nargs="+", default=SCORES, metavar="NAME",
        help=f"keys of summary.json that hold one number (default: {' '.join(SCORES)})",
    )  # fmt: skip
    commands.add_argument("--output", type=Path, metavar="FILE.json", help="write them there, too")
    commands.add_argument("--dry-run", action="store_true", help="check the runs, say what would be done, and stop")
    options = commands.parse_args(arguments)
    runs = [read_run(path) for path in options.runs]
    sets = shared_sets(runs)
    refuse_same_weights(runs, sets)
    if options.dry_run:
        print(f"would tell {', '.join(options.scores)} over {len(runs)} runs on {', '.join(sets)}")
        return
    found = [over_seeds(runs, name, score=score) for name in sets for score in options.scores]
    print(markdown(found), end="")
    if options.output is not None:
        content = {"runs": [str(run.path) for run in runs], "scores": [_plain(row) for row in found]}
        write_bytes(options.output, (json.dumps(content, indent=2) + "\n").encode())


def refuse_same_weights(runs: Sequence[EvaluationRun], sets: Sequence[str]) -> None:
    """Raise `UserError` if two runs scored the same weights: they are one training, and would hide the spread."""
    seen: dict[str, Path] = {}
    for run in runs:
        weights = run.summaries[sets[0]]["weights_sha256"]
        if weights is not None and weights in seen:
            raise UserError(f"{seen[weights]} and {run.path} scored the same weights; name runs of different seeds")
        seen[weights] = run.path


def over_seeds(runs: Sequence[EvaluationRun], name: str, *, score: str) -> SeedScore:
    """Return mean and standard deviation of one score of the set `name`.

    Args:
        runs: that were scored on it by the same protocol.
        name: of the set.
        score: a key of summary.json.

    Raises:
        UserError: the summaries hold no such number.
    """
    values = [run.summaries[name].get(score) for run in runs]
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(runs):
        known = [key for key, value in runs[0].summaries[name].items() if isinstance(value, float)]
        raise UserError(f"{name}: not every run has a number {score!r}; numbers of the first: {', '.join(known)}")
    return SeedScore(name, score, int(runs[0].summaries[name]["n"]), summarise_seeds(dict(enumerate(numbers))))


def markdown(found: Sequence[SeedScore]) -> str:
    """Return the scores as a table: mean ± standard deviation, and each run."""
    runs = len(found[0].over.scores)
    lines = [f"| set | n | score | mean ± std of {runs} | {' | '.join(f'run {at}' for at in range(runs))} |"]
    lines.append("|---" * (4 + runs) + "|")
    for row in found:
        spread = "" if row.over.deviation is None else f" ± {row.over.deviation:.4f}"
        each = " | ".join(f"{value:.4f}" for value in row.over.scores.values())
        lines.append(f"| {row.set} | {row.n} | {row.score} | {row.over.mean:.4f}{spread} | {each} |")
    return "\n".join(lines) + "\n"


def _plain(row: SeedScore) -> dict[str, object]:
    return {
        "set": row.set,
        "score": row.score,
        "n": row.n,
        "mean": row.over.mean,
        "standard_deviation": row.over.deviation,
        "each": list(row.over.scores.values()),
    }
