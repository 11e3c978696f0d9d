"""`python -m evaluation COMMAND`: what is made from scores that `eval.py` wrote."""

from __future__ import annotations

import sys

from common.errors import exit_on_user_error
from evaluation import compare, seeds
from evaluation.report import command as report
from evaluation.tables import command as table

COMMANDS = {"compare": compare.main, "seeds": seeds.main, "report": report.main, "table": table.main}

USAGE = """usage: python -m evaluation COMMAND ...

commands, each with --help:
  compare RUN_A RUN_B   difference of two models, paired by image, with its interval
  seeds RUN ...         mean and standard deviation over trainings with different seeds
  report OUTPUT         write report.html of an evaluation again
  table SPEC            from raw folders to a table with the published numbers beside ours

examples:
  python -m evaluation compare runs/a/eval runs/b/eval
  python -m evaluation seeds runs/natocc/seed_0 runs/natocc/seed_1
  python -m evaluation table configs/tables/natocc.yaml --dry-run"""


@exit_on_user_error
def main() -> None:
    """Do the one thing that was asked for."""
    words = sys.argv[1:]
    if words and words[0] in COMMANDS:
        COMMANDS[words[0]](words[1:])
        return
    told = sys.stdout if words and words[0] in ("-h", "--help") else sys.stderr
    print(USAGE, file=told)
    sys.exit(0 if told is sys.stdout else 2)


if __name__ == "__main__":
    main()
