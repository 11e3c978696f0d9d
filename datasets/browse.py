"""`python -m datasets browse CONFIG [OUT]`: a page of the photos that a configuration names, with their labels."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.cli import add_processes, parser
from common.errors import UserError, exit_on_user_error
from common.image_io import write_bytes
from datasets.browse_page import Card, draw_card, render_page
from datasets.checks.command import is_override
from datasets.checks.jobs import NamedSet, named_by
from datasets.parallel import each
from datasets.test_sets import TestImage, examine

EXAMPLES = """  python -m datasets browse configs/mini/eval.yaml
  python -m datasets browse configs/data_sets/realocc.yaml runs/realocc.html data.root=/data/RealOcc
  python -m datasets browse configs/mini/train.yaml -n 500"""
MAX_CARDS = 2000


@exit_on_user_error
def main(words: Sequence[str]) -> None:
    """Write the page; faults of the sets are told, and what can be shown is shown.

    Args:
        words: the command line behind `browse`.
    """
    options = _options(words)
    named = named_by([options.config], options.overrides)
    records = [(entry.name, record) for entry in named.sets for record in _read(entry, options.images)]
    if options.dry_run:
        print(f"would draw {len(records)} photos into {options.out}")
        return
    cards: list[Card] = list(each(draw_card, records, processes=options.processes, title="draw"))
    if not cards:
        raise UserError(f"{options.config}: no photo to show; `python -m datasets check {options.config}` tells why")
    page = render_page(cards, title=f"{options.config}: {len(cards)} photos")
    write_bytes(options.out, page.encode(errors="backslashreplace"))
    print(f"{options.out}: {len(cards)} photos, {len(page) / 1e6:.1f} MB; open it in a browser")


def _read(entry: NamedSet, count: int) -> list[TestImage]:
    try:
        records, problems = examine(entry.section)
    except UserError as error:
        print(f"{entry.name}: {error}")
        return []
    for problem in problems:
        print(f"{entry.name}: {problem}")
    count = min(count, len(records))
    return [records[index * len(records) // count] for index in range(count)]


def _options(words: Sequence[str]) -> argparse.Namespace:
    arguments = parser("Write an HTML page of photos with their labels, a file that needs no network.", EXAMPLES)
    arguments.prog = "python -m datasets browse"
    arguments.add_argument(
        "words", nargs="+", metavar="CONFIG [OUT.html] [key=value]", help="YAML file of any command; page to write"
    )
    arguments.add_argument(
        "-n", "--images", type=int, default=MAX_CARDS, metavar="N", help="at most so many a set, spread (%(default)s)"
    )
    arguments.add_argument("--dry-run", action="store_true", help="say what would be drawn, and stop")
    add_processes(arguments)
    options = arguments.parse_intermixed_args(words)
    options.overrides = [word for word in options.words if is_override(word)]
    paths = [Path(word) for word in options.words if not is_override(word)]
    pages = [path for path in paths if path.suffix.lower() in (".html", ".htm")]
    configs = [path for path in paths if path not in pages]
    if len(configs) != 1 or len(pages) > 1:
        raise UserError(f"expected one configuration and at most one page, found {', '.join(map(str, paths))}")
    if options.images < 1:
        raise UserError(f"--images is at least 1, found {options.images}")
    options.config = configs[0]
    options.out = pages[0] if pages else Path("runs") / "browse" / f"{configs[0].parent.name}_{configs[0].stem}.html"
    return options
