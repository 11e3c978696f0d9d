"""The job of masked-face recognition: `python scripts/masked_faces.py PHOTOS OUTPUT --weights FILE`.

    OUTPUT/region/{name}.png       black where the medical mask is, else white, at the photo's own size
    OUTPUT/result/{name}.png       the photo with the mask's pixels set to zero
    OUTPUT/columns/{name}.jpg      photo, region and result side by side
    OUTPUT/pairs/{number}_{name 1}__{name 2}.jpg    the columns of both photos of a pair    (--layout mlfw, mfr2, lfw)
    OUTPUT/masked_faces.csv        one line a photo: is there a mask, and how much is hidden
    OUTPUT/faces.jsonl             the same with boxes and points; the same command goes on where it stopped
    OUTPUT/summary.json            counts, and how often "is there a mask" was right    (--layout mfr2)

Photos without a mask have a white region and their own pixels as result.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.cli import parser
from common.errors import UserError, exit_on_user_error
from common.image_io import write_bytes
from common.manifest import Row, sha256
from common.photo_list import Photo, find_photos
from datasets.test_sets import FacePairs, Pair, read_face_pairs
from face_align.crop import TEMPLATES
from face_align.detect import YuNetDetector, require_yunet
from face_align.locate import CropRule, Locator, by_detector, by_landmarks, by_template, whole_photo
from inference.mask_folder import MaskFolder
from inference.masked_faces import KINDS, judge, to_csv, write_pairs, write_photo
from inference.medical_mask import MASKED_FROM
from inference.pipeline import Pipeline
from models.mask_class import open_mask_model
from models.predictor import CropModel

SHOWN = 10
EXAMPLES = """  python scripts/masked_faces.py photos runs/masked --weights weights/occface_mobile.safetensors
  python scripts/masked_faces.py MFR2 runs/mfr2 --weights FILE --layout mfr2
  python scripts/masked_faces.py MLFW runs/mlfw --weights FILE --layout mlfw --aligned arcface112
  python scripts/masked_faces.py photos runs/masked --weights FILE --dry-run"""


@exit_on_user_error
def main() -> None:
    """Write region, result and picture of every photo, then the pairs and the summary."""
    options = _parse()
    work = read_input(options.input, layout=options.layout, leave_out=options.output)
    model = open_mask_model(options.weights, device=options.device)
    if "full" not in model.outputs:
        raise UserError(
            f"{options.weights}: predicts {', '.join(model.outputs)} only; a mask is found by weights with the outputs "
            "visible and full, or by a parser with the class mask (outputs: [parts])"
        )
    settings = _settings(options)
    if options.dry_run:
        print(json.dumps(settings, indent=2))
        print(f"# dry run: {len(work.photos)} photos and {len(work.pairs)} pairs would go into {options.output}")
        return
    new_locator = _locator(options, model)
    new_locator()  # a missing detector is told before the folder is made
    folder = MaskFolder(options.output, settings=settings, kinds=list(KINDS))
    with folder.held():
        todo = [photo for photo in work.photos if not folder.is_done(photo)]
        pipeline = Pipeline(
            model,
            new_locator=new_locator,
            write=functools.partial(write_photo, folder.path, model, masked_from=options.masked_from),
            threads=options.threads,
            batch_size=options.batch_size,
            on_gpu=getattr(model, "device", "cpu") != "cpu",
        )
        done = len(work.photos) - len(todo)
        for _ in tqdm(folder.record(pipeline.run(todo)), "masks", total=len(work.photos), initial=done, unit="photo"):
            pass
        rows = {photo.name: folder.rows[photo.id] for photo in work.photos}
        _check_some(list(rows.values()))
        write_pairs(options.output, work.pairs, rows)
        write_bytes(options.output / "masked_faces.csv", to_csv(rows, work.truth).encode())
        summary = {"set": options.name, "n": len(rows), **judge(rows, work.truth), "masked_from": options.masked_from}
        write_bytes(options.output / "summary.json", (json.dumps([summary], indent=2) + "\n").encode())
    _report(list(rows.values()), summary, options.output)


class Work(NamedTuple):
    """What is to be done.

    Attributes:
        photos: in the order of their ids.
        pairs: of photos to compare.
        truth: photo name -> whether a mask is worn, where the set tells it.
    """

    photos: list[Photo]
    pairs: tuple[Pair, ...]
    truth: dict[str, bool]


def read_input(place: str, *, layout: str, leave_out: Path) -> Work:
    """Return the photos of a folder or of a set for recognition.

    Args:
        place: a photo, folder or pattern; the root of the set for another layout than "folder".
        layout: "folder", or one of `datasets.test_sets.read_face_pairs`.
        leave_out: the output folder.

    Raises:
        UserError: there is no photo, or the set is not whole.
    """
    if layout == "folder":
        return Work(find_photos(place, leave_out=leave_out).photos, (), {})
    found: FacePairs = read_face_pairs(Path(place), layout=layout)
    photos = [Photo(f"{record.id}{record.image.suffix}", record.image) for record in found.photos]
    truth = {record.id: "mask" in record.occlusion_types for record in found.photos} if layout == "mfr2" else {}
    return Work(photos, found.pairs, truth)


def _parse() -> argparse.Namespace:
    arguments = parser("Find the medical masks in photos and set their pixels to zero.", EXAMPLES)
    arguments.prog = "python scripts/masked_faces.py"
    arguments.add_argument(
        "input", metavar="PHOTOS", help="a photo, a folder (with sub-folders) or a pattern in quotes"
    )
    arguments.add_argument("output", metavar="OUTPUT", type=Path, help="folder to write into")
    arguments.add_argument(
        "--weights", type=Path, required=True, metavar="FILE", help="of train.py: outputs visible and full, or parts"
    )
    place = arguments.add_mutually_exclusive_group()
    place.add_argument("--landmarks", type=Path, metavar="DIR", help="landmarks of each photo; else YuNet finds faces")
    place.add_argument(
        "--aligned", choices=["crop", *TEMPLATES], help="photos are aligned: as the weights want them (crop), or so"
    )
    arguments.add_argument(
        "--layout", choices=["folder", "mlfw", "mfr2", "lfw"], default="folder",
        help="sets for recognition: PHOTOS is their root, their pairs are shown, too (%(default)s)",
    )  # fmt: skip
    arguments.add_argument(
        "--masked-from", type=_share, default=MASKED_FROM, metavar="SHARE",
        help="least hidden share of nose, mouth and jaw of a face with a mask (%(default)s)",
    )  # fmt: skip
    arguments.add_argument("--name", default="masked_faces", help="what summary.json calls these photos (%(default)s)")
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1 (%(default)s)")
    arguments.add_argument("--batch-size", type=int, default=8, metavar="N", help="faces at once (%(default)s)")
    arguments.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="(%(default)s)")
    arguments.add_argument("--dry-run", action="store_true", help="print what would be done, and stop")
    return arguments.parse_args()


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0 and at most 1, found {text!r}")
    return value


def _settings(options: argparse.Namespace) -> dict[str, object]:
    """Return what decides the results, for the folder to remember."""
    where = options.aligned or ("yunet" if options.landmarks is None else f"landmarks in {options.landmarks.resolve()}")
    return {
        "job": "masked faces",
        "input": str(Path(options.input).resolve()),
        "layout": options.layout,
        "weights_sha256": sha256(options.weights),
        "alignment": where,
        "masked_from": options.masked_from,
    }


def _locator(options: argparse.Namespace, model: CropModel) -> Callable[[], Locator]:
    """Return what makes a locator for each thread."""
    rule = CropRule.of(model)
    if options.landmarks is not None:
        return lambda: by_landmarks(options.landmarks, rule)
    if options.aligned == "crop":
        return lambda: whole_photo(size=model.size)
    if options.aligned is not None:
        return lambda: by_template(options.aligned, rule)
    return lambda: by_detector(YuNetDetector(require_yunet()), rule)


def _check_some(rows: Sequence[Row]) -> None:
    failed = [row["reason"] for row in rows if "reason" in row]
    if len(failed) == len(rows):
        listed = "\n  ".join(failed[:SHOWN])
        raise UserError(f"none of the {len(rows)} photos could be used:\n  {listed}")


def _report(rows: Sequence[Row], summary: Mapping[str, object], output: Path) -> None:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in Counter(row["outcome"] for row in rows).items())
    print(f"{len(rows)} photos: {outcomes}; {sum(bool(row.get('masked')) for row in rows)} with a mask")
    if summary.get("mask_check_accuracy") is not None:
        print(f"is there a mask: right in {summary['mask_check_accuracy']:.4f} of {summary['mask_check_n']} photos")
    for name in (*KINDS, "masked_faces.csv", "summary.json"):
        print(output / name)
    failed = [row["reason"] for row in rows if "reason" in row]
    if failed:
        listed = "\n  ".join(failed[:SHOWN])
        print(f"{len(failed)} photos could not be used, all in {output / 'faces.jsonl'}:\n  {listed}", file=sys.stderr)


if __name__ == "__main__":
    main()
