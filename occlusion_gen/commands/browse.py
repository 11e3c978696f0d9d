"""`python -m occlusion_gen browse CONFIG`: a page of the samples that a configuration makes; no set is written."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.cli import add_config, parser, print_dry_run
from common.config import load_config
from common.errors import RecordError, UserError, exit_on_user_error
from common.image_io import image_size, read_image, read_label, write_bytes
from common.seeding import generator
from configs.schema import OcclusionJob
from occlusion_gen.commands.browse_page import BrowseSample, render_page
from occlusion_gen.offline import FaceRecord, Occluder, build_occluder, landmarks_of, read_faces

EXAMPLES = """  python -m occlusion_gen browse configs/sample/natocc.yaml
  python -m occlusion_gen browse configs/occlude/mix.yaml -n 96 --out runs/mix.html occlusion.count=[2,3]"""


@exit_on_user_error
def main(words: Sequence[str]) -> None:
    """Write a page of samples with their parameters.

    Args:
        words: the command line behind `browse`.
    """
    options = _options(words)
    job = load_config(options.config, OcclusionJob, options.overrides)
    out: Path = options.out or job.output.with_name(f"{job.output.name}_browse.html")
    records = spread(read_faces(job), options.samples)
    if options.dry_run:
        print_dry_run(job, f"would draw {len(records)} samples into {out}")
        return
    side_px = max(image_size(job.data.prepared / records[0].row["files"]["image"]))
    occluder = build_occluder(job, side_px=side_px)
    samples: list[BrowseSample] = []
    failed: dict[str, str] = {}
    for record in tqdm(records, desc="draw", unit="sample"):
        try:
            samples.append(draw_sample(occluder, record))
        except RecordError as error:
            failed[record.id] = str(error)
    if not samples:
        raise UserError(f"none of {len(records)} faces gave a sample; the first: {failed[records[0].id]}")
    page = render_page(samples, title=f"{options.config}: {len(samples)} samples", failed=failed)
    write_bytes(out, page.encode(errors="backslashreplace"))
    print(f"{out}: {len(samples)} samples, {len(page) / 1e6:.1f} MB; open it in a browser")


def spread(records: Sequence[FaceRecord], count: int) -> list[FaceRecord]:
    """Return `count` records (or all, when there are fewer) spread evenly, the first among them."""
    count = min(count, len(records))
    return [records[index * len(records) // count] for index in range(count)]


def draw_sample(occluder: Occluder, record: FaceRecord) -> BrowseSample:
    """Return the sample that the job writes for `record`.

    Raises:
        RecordError: an input file cannot be read, or no generator can work on the face.
    """
    image = read_image(occluder.prepared / record.row["files"]["image"])
    label = read_label(occluder.prepared / record.row["files"]["label"])
    rng = generator(occluder.seed, occluder.set_index, record.index)
    sample = occluder.synthesiser(rng, image=image, label=label, landmarks=landmarks_of(record.row))
    before = np.ascontiguousarray(image[:, ::-1]) if sample.params["flip"] else image
    return BrowseSample(record.id, None if "real" in sample.params else before, sample)


def _options(words: Sequence[str]) -> argparse.Namespace:
    arguments = parser("Write an HTML page of samples with their parameters and labels.", EXAMPLES)
    arguments.prog = "python -m occlusion_gen browse"
    add_config(arguments)
    arguments.add_argument(
        "-n", "--samples", type=int, default=48, metavar="N", help="how many, spread over the set (%(default)s)"
    )
    arguments.add_argument("--out", type=Path, help="page to write (beside the configuration's output folder)")
    options = arguments.parse_intermixed_args(words)
    if options.samples < 1:
        raise UserError(f"--samples is at least 1, found {options.samples}")
    return options
