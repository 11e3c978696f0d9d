"""`python -m evaluation table SPEC`: from raw folders to a table with the published numbers beside ours."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path

from common.cli import parser, print_dry_run
from common.config import load_config
from common.errors import UserError
from configs.schema import TableJob
from evaluation.tables.render import to_markdown, write_tables
from evaluation.tables.results import read_published, read_results
from evaluation.tables.run import Runner
from evaluation.tables.stages import Stage, choose, plan

EXAMPLES = """  python -m evaluation table configs/tables/natocc.yaml --dry-run
  python -m evaluation table configs/tables/natocc.yaml --smoke
  python -m evaluation table configs/tables/natocc.yaml data=/data --only c_wo/segformer --seeds 0,1,2
  python -m evaluation table configs/tables/natocc.yaml data=/data --only hands --only '*/pspnet'
  python -m evaluation table configs/tables/natocc.yaml data=/data --only table      # only write it anew"""


def main(words: Sequence[str]) -> None:
    """Parse the command line, run what is not done yet, and write the table.

    Raises:
        UserError: the table's file, a stage or a summary cannot be used.
    """
    options = _parse(words)
    path = smoke_path(options.spec) if options.smoke else options.spec
    overrides = [*options.overrides, *([f"seeds={list(options.seeds)}"] if options.seeds else [])]
    job = load_config(path, TableJob, overrides)
    _check_checkout()
    read_published(job.published)
    stages = plan(job)
    chosen = choose(stages, options.only)
    runner = Runner(job.work, stages)
    if options.dry_run:
        print_dry_run(job, _describe(runner, chosen, job))
        return
    try:
        runner.run(chosen, jobs=job.jobs)
    except UserError:
        with contextlib.suppress(UserError):  # what is finished is worth a table; what failed first is told
            write_tables(read_results(job))
        raise
    results = read_results(job)
    paths = write_tables(results)
    print(to_markdown(results))
    for written in paths:
        print(written)


def smoke_path(spec: Path) -> Path:
    """Return the file of the same table on sample data: smoke/NAME.yaml beside it."""
    return spec if spec.parent.name == "smoke" else spec.parent / "smoke" / spec.name


def seeds_from(text: str) -> tuple[int, ...]:
    """Return the seeds of "0,1,2"."""
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f"expected whole numbers such as 0,1,2, found {text!r}")
    return tuple(int(word) for word in words)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    arguments = parser("Make a table of a paper, from raw folders on; the same command again goes on.", EXAMPLES)
    arguments.prog = "python -m evaluation table"
    arguments.add_argument("spec", type=Path, metavar="SPEC", help="YAML file of a table, see configs/tables/")
    arguments.add_argument("overrides", nargs="*", metavar="key=value", help="set single keys, e.g. data=/data jobs=2")
    arguments.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="STAGE|CELL",
        help="only these stages or cells, and what they need; may stand several times; `table` writes the table alone",
    )
    arguments.add_argument("--seeds", type=seeds_from, metavar="0,1,2", help="one training a seed: mean ± deviation")
    arguments.add_argument("--smoke", action="store_true", help="the same path on drawn data and a CPU, in minutes")
    arguments.add_argument("--dry-run", action="store_true", help="tell every command and what is done, and stop")
    return arguments.parse_intermixed_args(list(words))


def _describe(runner: Runner, stages: Sequence[Stage], job: TableJob) -> str:
    lines = [f"#   {stage.name}: {'done' if runner.is_done(stage) else 'to do'}: {stage.line}" for stage in stages]
    return "\n".join([f"{len(stages)} stages, then {job.output}/{job.name}.md, .tex and .csv", *lines])


def _check_checkout() -> None:
    if not Path("train.py").is_file():
        raise UserError(f"{Path.cwd()}: expected the root of the checkout, where train.py lies; change into it first")
