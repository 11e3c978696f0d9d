"""`python -m occlusion_gen import LAYOUT SRC OUT`: occluders or textures out of a published data set.

    OUT/{name}.png                   RGBA (dtd: OUT/{class}/{name}.jpg)
    OUT/index.csv                    file, source, group, class, licence
    OUT/manifest.jsonl               one line an occluder: its file, or the reason why there is none
    OUT/report.json                  counts and failures
    OUT/preview/contact_sheet.jpg    on black and grey (not for textures)

The same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from common.cli import add_processes, parser
from common.config import Section
from common.errors import UserError, exit_on_user_error
from common.jobs import claim_folder, run_job, write_report
from occlusion_gen.commands.sheet import write_sheet
from occlusion_gen.occluders.importing.coco import read_coco
from occlusion_gen.occluders.importing.dtd import read_dtd
from occlusion_gen.occluders.importing.egohands import Hands, read_egohands
from occlusion_gen.occluders.importing.hands11k import read_hands11k
from occlusion_gen.occluders.importing.records import Importer, ImportRecord, source_digest, write_index

EXAMPLES = """  python -m occlusion_gen import 11k_hands 11k_hands data/occluders/hands
  python -m occlusion_gen import coco coco data/occluders/objects --categories "cell phone" cup book bottle
  python -m occlusion_gen import egohands egohands data/occluders/partner_hands
  python -m occlusion_gen import dtd dtd data/textures"""


class ImportSettings(Section):
    """What decides the import; a folder belongs to one of these."""

    layout: str
    source: str
    limit: int | None
    ignore_masks: bool
    tight: bool
    categories: tuple[str, ...]
    min_area_px: float
    max_borders: int
    people: bool
    hands: Hands


def _read_hands11k(source: Path, settings: ImportSettings) -> Sequence[ImportRecord]:
    return read_hands11k(source, masks=not settings.ignore_masks, tight=settings.tight)


def _read_coco(source: Path, settings: ImportSettings) -> Sequence[ImportRecord]:
    return read_coco(
        source,
        categories=settings.categories,
        min_area_px=settings.min_area_px,
        max_borders=settings.max_borders,
        people=settings.people,
    )


def _read_egohands(source: Path, settings: ImportSettings) -> Sequence[ImportRecord]:
    return read_egohands(source, hands=settings.hands)


def _read_dtd(source: Path, settings: ImportSettings) -> Sequence[ImportRecord]:
    return read_dtd(source)


LAYOUTS: dict[str, Callable[[Path, ImportSettings], Sequence[ImportRecord]]] = {
    "11k_hands": _read_hands11k,
    "coco": _read_coco,
    "dtd": _read_dtd,
    "egohands": _read_egohands,
}


@exit_on_user_error
def main(words: Sequence[str]) -> None:
    """Import occluders or textures.

    Args:
        words: the command line behind `import`.
    """
    options = _options(words)
    if not options.source.is_dir():
        raise UserError(f"{options.source}: expected the folder of the data set, found none")
    settings = ImportSettings(
        source=str(options.source.resolve()),
        categories=tuple(options.categories),
        **{
            name: getattr(options, name) for name in ImportSettings.model_fields if name not in ("source", "categories")
        },
    )
    records = LAYOUTS[options.layout](options.source, settings)[: options.limit]
    if options.dry_run:
        print(settings.model_dump_json(indent=2))
        print(f"# dry run: would import {len(records)} files into {options.output}")
        return
    claim_folder(options.output, settings)
    report = run_job(
        Importer(options.source, options.output),
        records,
        folder=options.output,
        title="import",
        processes=options.processes,
        source_digest=source_digest,
    )
    index = write_index(options.output, report.rows)
    path = write_report(options.output, report)
    sheet = None if options.layout == "dtd" else write_sheet(options.output, report.rows)
    print(f"{report.outcomes} of {len(records)} files, {report.images_per_s:.1f} files/s")
    print(f"{index}\n{path}" + (f"\n{sheet}" if sheet else ""))


def _options(words: Sequence[str]) -> argparse.Namespace:
    arguments = parser("Bring occluders or textures of a published data set into a folder of ours.", EXAMPLES)
    arguments.prog = "python -m occlusion_gen import"
    arguments.add_argument("layout", metavar="LAYOUT", choices=sorted(LAYOUTS), help=", ".join(sorted(LAYOUTS)))
    arguments.add_argument("source", metavar="SRC", type=Path, help="folder of the data set, as published")
    arguments.add_argument("output", metavar="OUT", type=Path, help="folder to write into")
    hands = arguments.add_argument_group("11k_hands")
    hands.add_argument("--ignore-masks", action="store_true", help="cut hands out by colour even if there are masks")
    hands.add_argument("--tight", action="store_true", help="the photos are cut to the hands' boxes")
    coco = arguments.add_argument_group("coco")
    coco.add_argument("--categories", nargs="+", default=[], metavar="NAME", help="take only these (all but person)")
    coco.add_argument(
        "--min-area", dest="min_area_px", type=float, default=4096, metavar="PX", help="least area (%(default)s)"
    )
    coco.add_argument(
        "--max-borders", type=int, default=1, metavar="N", help="leave out objects cut off by more (%(default)s)"
    )
    coco.add_argument("--people", action="store_true", help="take persons, too")
    egohands = arguments.add_argument_group("egohands")
    egohands.add_argument(
        "--hands", choices=["partner", "own", "all"], default="partner", help="whose hands (%(default)s)"
    )
    arguments.add_argument("--limit", type=int, metavar="N", help="take only the first N")
    add_processes(arguments)
    arguments.add_argument("--dry-run", action="store_true", help="print what would be done, and stop")
    return arguments.parse_args(list(words))
