"""`python -m datasets check CONFIG`: tell everything that is wrong with the data that configurations name."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from common.cli import add_processes, parser
from common.errors import UserError, exit_on_user_error
from common.image_io import write_bytes
from datasets.checks.inspect import Finding, inspect_folder, inspect_records
from datasets.checks.jobs import Named, NamedFolder, NamedSet, named_by
from datasets.checks.overlap import overlaps
from datasets.checks.report import Checked, as_html, as_json, as_text, describe_set
from datasets.test_sets import Problem, TestImage, examine

EXAMPLES = """  python -m datasets check configs/sample/eval.yaml
  python -m datasets check configs/mini/train.yaml configs/mini/eval.yaml   # and what the two share
  python -m datasets check configs/data_sets/realocc.yaml data.root=/data/RealOcc --html realocc.html
  python -m datasets check configs/data_sets/lapa.yaml --quarantine runs/damaged   # lists for `leave_out`

exit code: 0 nothing is wrong, 1 something is, 2 the configuration cannot be used"""

Entry = tuple[NamedSet, list[TestImage], list[Finding]]


@exit_on_user_error
def main(words: Sequence[str]) -> None:
    """Check every folder that the configurations name, then tell all at once.

    Args:
        words: the command line behind `check`.
    """
    options = _options(words)
    named = named_by(options.configs, options.overrides)
    if options.dry_run:
        print(_plan(named))
        return
    entries, checked = _check_sets(named.sets, quick=options.quick, processes=options.processes)
    checked += [_check_folder(folder, quick=options.quick, processes=options.processes) for folder in named.folders]
    shared = overlaps(entries)
    print(as_text(checked, shared))
    if options.json is not None:
        write_bytes(options.json, (json.dumps(as_json(checked, shared), indent=2) + "\n").encode())
    if options.html is not None:
        title = f"check of {', '.join(map(str, options.configs))}"
        write_bytes(options.html, as_html(checked, shared, title=title).encode(errors="backslashreplace"))
    if options.quarantine is not None:
        _write_quarantine(options.quarantine, checked)
    if shared or any(_fails(entry, options.max_damaged_share) for entry in checked):
        sys.exit(1)


def _check_sets(sets: Sequence[NamedSet], *, quick: bool, processes: int) -> tuple[list[Entry], list[Checked]]:
    entries: list[Entry] = []
    checked: list[Checked] = []
    for named in sets:
        try:
            records, problems = examine(named.section)
        except UserError as error:
            checked.append(describe_set(named, [], [], [Problem(str(error))]))
            continue
        findings = [] if quick else inspect_records(records, processes=processes, title=named.name)
        if not quick:  # reading the files tells of the damaged ones better than their headers did
            problems = [problem for problem in problems if not problem.damage]
        entries.append((named, records, findings))
        checked.append(describe_set(named, records, findings, problems))
    return entries, checked


def _check_folder(folder: NamedFolder, *, quick: bool, processes: int) -> Checked:
    facts = {"folder": str(folder.path), "layout": "occluders or textures"}
    if folder.path.is_file():
        return Checked(folder.name, facts, [], [])
    if not folder.path.is_dir():
        return Checked(folder.name, facts, [Problem(f"the folder {folder.path} is missing")], [])
    findings = [] if quick else inspect_folder(folder.path, processes=processes, title=folder.name)
    damaged = tuple(finding.name for finding in findings if finding.faults)
    messages = tuple(fault for finding in findings for fault in finding.faults)
    faults = [Problem("files that cannot be used", messages, "remove or replace them", damage=True)] if messages else []
    return Checked(folder.name, facts | {"images": str(len(findings))}, faults, [], damaged, len(findings))


def _fails(entry: Checked, max_damaged_share: float) -> bool:
    """Return whether an entry has faults beyond files that are damaged, or too many of those."""
    if not all(problem.damage for problem in entry.faults):
        return True
    damaged = max(len(entry.damaged), sum(len(problem.names) for problem in entry.faults))
    return damaged > max_damaged_share * entry.total


def _write_quarantine(folder: Path, checked: Sequence[Checked]) -> None:
    for entry in checked:
        if entry.damaged:
            path = folder / f"{entry.name}.txt"
            write_bytes(path, "".join(f"{name}\n" for name in entry.damaged).encode(errors="surrogateescape"))
            print(f"{path}: {len(entry.damaged)} of {entry.total} cannot be read; name the file in leave_out")


def _plan(named: Named) -> str:
    lines = [f"{entry.name}: {entry.section.layout} in {entry.section.root}, for {entry.side}" for entry in named.sets]
    lines += [f"{folder.name}: {folder.path}" for folder in named.folders]
    return "\n".join(["# dry run: would check", *lines])


def _options(words: Sequence[str]) -> argparse.Namespace:
    arguments = parser("Tell everything that is wrong with the data that configurations name.", EXAMPLES)
    arguments.prog = "python -m datasets check"
    arguments.add_argument(
        "words", nargs="+", metavar="CONFIG | key=value", help="YAML files of any command; overrides go to each of them"
    )
    arguments.add_argument("--quick", action="store_true", help="names, sizes and headers only; decode no file")
    arguments.add_argument("--html", type=Path, metavar="FILE", help="write the report as a page of one file")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write the report for programs")
    arguments.add_argument(
        "--quarantine", type=Path, metavar="FOLDER", help="write the ids of damaged photos, a file a set"
    )
    arguments.add_argument(
        "--max-damaged-share",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="exit 0 while at most this share of a set cannot be read (%(default)s)",
    )
    arguments.add_argument("--dry-run", action="store_true", help="list what would be checked, and stop")
    add_processes(arguments)
    options = arguments.parse_intermixed_args(words)
    options.configs = [Path(word) for word in options.words if not is_override(word)]
    options.overrides = [word for word in options.words if is_override(word)]
    if not options.configs:
        raise UserError("name at least one configuration, e.g. configs/sample/eval.yaml")
    return options


def is_override(word: str) -> bool:
    """Return whether a word of the command line is key=value, and not a file with "=" in its name."""
    return "=" in word and not Path(word).is_file()
