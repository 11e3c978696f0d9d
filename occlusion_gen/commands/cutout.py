"""`python -m occlusion_gen cutout PHOTOS OUT`: cut-outs of hands from photos on white.

    OUT/{name}.png                   RGBA; the folders of the input become part of the name
    OUT/index.csv                    file, source, group, class, licence
    OUT/manifest.jsonl               one line a photo: its cut-out, or the reason why there is none
    OUT/report.json                  counts and failures
    OUT/preview/contact_sheet.jpg    on black and grey

The same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.cli import add_processes, parser
from common.config import Section
from common.errors import UserError, exit_on_user_error
from common.jobs import claim_folder, run_job, write_report
from common.photo_list import PhotoList, find_photos
from occlusion_gen.commands.sheet import write_sheet
from occlusion_gen.occluders.groups import groups_of
from occlusion_gen.occluders.importing.outlines import OnWhite
from occlusion_gen.occluders.importing.records import CutoutRecord, Importer, source_digest, write_index

EXAMPLES = """  python -m occlusion_gen cutout photos_on_white data/occluders/my_hands
  python -m occlusion_gen cutout 'Hands/*.jpg' data/occluders/hands --processes 4"""


class CutoutSettings(Section):
    """What decides the cut-outs; a folder belongs to one of these."""

    photos: str
    tight: bool
    category: str


@exit_on_user_error
def main(words: Sequence[str]) -> None:
    """Cut hands out of photos on white.

    Args:
        words: the command line behind `cutout`.
    """
    options = _options(words)
    found = find_photos(options.photos, leave_out=options.output)
    settings = CutoutSettings(photos=str(found.root.resolve()), tight=options.tight, category=options.category)
    records = _records(found, settings)
    if options.dry_run:
        print(settings.model_dump_json(indent=2))
        print(f"# dry run: would cut {len(records)} photos out into {options.output}")
        return
    claim_folder(options.output, settings)
    report = run_job(
        Importer(found.root, options.output),
        records,
        folder=options.output,
        title="cut out",
        processes=options.processes,
        source_digest=source_digest,
    )
    index = write_index(options.output, report.rows)
    path = write_report(options.output, report)
    sheet = write_sheet(options.output, report.rows)
    if sheet is None:
        raise UserError(f"none of {len(records)} photos gave a cut-out; see {path}. The first: {_reason(report.rows)}")
    print(f"{report.outcomes} of {len(records)} photos, {report.images_per_s:.1f} photos/s")
    print(f"{index}\n{path}\n{sheet}")


def _records(found: PhotoList, settings: CutoutSettings) -> list[CutoutRecord]:
    groups = groups_of(found.root, [photo.path for photo in found.photos])
    return [
        CutoutRecord(
            id=photo.name.replace("/", "_"),
            image=photo.path,
            outline=OnWhite(settings.tight),
            group=group,
            category=settings.category,
        )
        for photo, group in zip(found.photos, groups, strict=True)
    ]


def _reason(rows: Sequence[dict[str, str]]) -> str:
    return next(row["reason"] for row in rows if row["outcome"] != "ok")


def _options(words: Sequence[str]) -> argparse.Namespace:
    arguments = parser("Cut hands out of photos on a white background.", EXAMPLES)
    arguments.prog = "python -m occlusion_gen cutout"
    arguments.add_argument(
        "photos", metavar="PHOTOS", help="a photo, a folder (with sub-folders) or a pattern in quotes"
    )
    arguments.add_argument("output", metavar="OUT", type=Path, help="folder to write into")
    arguments.add_argument(
        "--tight", action="store_true", help="the photos are cut to the hands' boxes, so hands may touch every border"
    )
    arguments.add_argument("--category", default="hand", help="what index.csv calls them (%(default)s)")
    add_processes(arguments)
    arguments.add_argument("--dry-run", action="store_true", help="print what would be done, and stop")
    return arguments.parse_args(list(words))
