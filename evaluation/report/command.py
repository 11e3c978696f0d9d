"""`python -m evaluation report OUTPUT`: write the page of an evaluation anew, without its weights or photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.cli import parser
from evaluation.report.contents import read_results
from evaluation.report.page import write_report

EXAMPLES = """  python -m evaluation report runs/sample/train/eval
  python -m evaluation report runs/sample/train/eval --dry-run"""


def main(words: Sequence[str]) -> None:
    """Write report.html.

    Args:
        words: the command line behind `report`.

    Raises:
        UserError: a file of the evaluation is missing or damaged.
    """
    arguments = parser("Write report.html of an evaluation anew from its scores and views.", EXAMPLES)
    arguments.prog += " report"
    arguments.add_argument("output", type=Path, metavar="OUTPUT", help="output folder of eval.py, with summary.json")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be written, and stop")
    options = arguments.parse_args(words)
    if options.dry_run:
        sizes = ", ".join(f"{result.name} ({result.pictured} images)" for result in read_results(options.output))
        print(f"would write {options.output / 'report.html'} with {sizes}")
        return
    path = write_report(options.output)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser")
