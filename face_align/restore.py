"""`python -m face_align restore PREPARED MASKS OUT`: masks of crops back in the photos that the crops were cut from.

PREPARED   a folder of `python -m face_align CONFIG`: its manifest knows where each crop lay
MASKS      {id}.png, one a crop, of the crop's size or a plain scaling of it
OUT        {id}.png at the photo's own size, nothing outside the crop; manifest.jsonl, report.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.cli import add_processes, parser
from common.config import Section
from common.errors import RecordError, UserError, exit_on_user_error
from common.geometry import AREA_FILTER_ABOVE, Affine, apply_to_label, apply_to_map, compose, invert, scale_of, scaling
from common.image_io import image_size, read_image, read_label, read_mask, write_grey, write_label, write_mask
from common.jobs import claim_folder, run_job
from common.manifest import FILE_NAME, Row, read_samples, sha256

Kind = Literal["mask", "grey", "label"]

EXAMPLES = """  python -m face_align restore runs/mini/aligned predicted runs/mini/restored
  python -m face_align restore runs/mini/aligned runs/mini/aligned/labels runs/mini/photo_labels --kind label"""


class RestoreSettings(Section):
    """What decides the result; a folder belongs to one of these."""

    manifest_sha256: str
    masks: str
    kind: str


class CropRecord(NamedTuple):
    """A crop's mask and where the crop lay."""

    id: str
    mask: Path
    row: Row


@dataclass(frozen=True)
class Restorer:
    """Writes the mask of a crop at the photo's size and returns its row. Picklable.

    Attributes:
        prepared: folder of the crops.
        output: folder to write into.
        kind: "mask": black and white; "grey": 0..255, e.g. probabilities; "label": class ids.
    """

    prepared: Path
    output: Path
    kind: Kind

    def __call__(self, record: CropRecord) -> Row:
        """Return the row of `record`.

        Raises:
            RecordError: there is no mask (outcome "missing_file"), or it has another shape ("bad_mask").
        """
        digest = sha256(record.mask) if record.mask.is_file() else ""
        row, crop_size = record.row, image_size(self.prepared / record.row["files"]["image"])
        photo_size = (int(row["photo_size"][0]), int(row["photo_size"][1]))
        name = f"{record.id}.png"
        matrix, path = np.array(row["photo_to_crop"]), self.output / name
        if self.kind == "label":
            label = read_label(record.mask)
            restored = restore_label(label, _of_mask(matrix, crop_size, label, record.mask), photo_size)
            written = write_label(path, restored)
        else:
            mask = read_mask(record.mask) if self.kind == "mask" else read_image(record.mask)[..., 0]
            values = mask.astype(np.float32) / np.float32(1 if self.kind == "mask" else 255)
            values = restore_map(values, _of_mask(matrix, crop_size, mask, record.mask), photo_size)
            if self.kind == "mask":
                written = write_mask(path, values > 0.5)
            else:
                written = write_grey(path, np.rint(values * 255).astype(np.uint8))
        return {
            "id": record.id,
            "outcome": "ok",
            "source": row["source"],
            "source_sha256": digest,
            "photo_size": list(photo_size),
            "files": {"mask": name},
            "sha256": {"mask": written},
        }


def restore_map(values: NDArray[np.float32], photo_to_mask: Affine, photo_size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a map of a crop (h, w) float32 in the photo's frame (H, W), bilinear, 0 outside the crop.

    Args:
        values: of the crop.
        photo_to_mask: (2, 3) from pixels of the photo to pixels of `values`.
        photo_size: (height, width).
    """
    shrinking = scale_of(photo_to_mask)
    if shrinking > AREA_FILTER_ABOVE:  # a large crop of a small face: sampling single pixels would alias
        size = (max(1, round(values.shape[0] / shrinking)), max(1, round(values.shape[1] / shrinking)))
        photo_to_mask = compose(scaling(values.shape, size), photo_to_mask)
        values = cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return apply_to_map(invert(photo_to_mask), values, size=photo_size)


def restore_label(label: NDArray[np.uint8], photo_to_mask: Affine, photo_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a label map of a crop (h, w) uint8 in the photo's frame (H, W), nearest, 0 outside the crop."""
    return apply_to_label(invert(photo_to_mask), label, size=photo_size)


def _of_mask(matrix: Affine, crop_size: tuple[int, int], mask: NDArray[np.generic], path: Path) -> Affine:
    """Return the transform from the photo to pixels of a mask that may be a scaled copy of the crop."""
    height, width = mask.shape
    if height * crop_size[1] != width * crop_size[0]:
        raise RecordError(
            f"{path}: mask is {mask.shape} but its crop is {crop_size} (height, width), of another shape; "
            "they do not belong together",
            outcome="bad_mask",
        )
    return compose(scaling(crop_size, (height, width)), matrix)


@exit_on_user_error
def main(words: Sequence[str]) -> None:
    """Put masks of crops back into their photos.

    Args:
        words: the command line behind `restore`.
    """
    options = _options(words)
    rows = read_samples(options.prepared, labelled=False)
    records = [CropRecord(row["id"], options.masks / f"{row['id']}.png", row) for row in rows]
    there = sum(record.mask.is_file() for record in records)
    if not there:
        raise UserError(
            f"{options.masks}: has no mask for any of the {len(records)} crops of {options.prepared / FILE_NAME}; "
            f"expected files such as {records[0].mask.name}"
        )
    if options.dry_run:
        print(f"# dry run: would restore {there} masks for {len(records)} crops into {options.output}")
        return
    digest = sha256(options.prepared / FILE_NAME)
    settings = RestoreSettings(manifest_sha256=digest, masks=str(options.masks.resolve()), kind=options.kind)
    claim_folder(options.output, settings)
    report = run_job(
        Restorer(options.prepared, options.output, options.kind),
        records,
        folder=options.output,
        title="restore",
        processes=options.processes,
        source_digest=lambda record: sha256(record.mask),
    )
    print(f"{report.outcomes} of {len(records)} crops, {report.images_per_s:.1f} masks/s\n{options.output}")


def _options(words: Sequence[str]) -> argparse.Namespace:
    arguments = parser("Put masks of crops back into the photos.", EXAMPLES)
    arguments.prog = "python -m face_align restore"
    arguments.add_argument("prepared", type=Path, metavar="PREPARED", help="folder of python -m face_align CONFIG")
    arguments.add_argument("masks", type=Path, metavar="MASKS", help="folder of {id}.png, one a crop")
    arguments.add_argument("output", type=Path, metavar="OUT", help="folder to write into")
    arguments.add_argument(
        "--kind",
        choices=["mask", "grey", "label"],
        default="mask",
        help="mask: black and white; grey: 0..255, e.g. probabilities; label: class ids (%(default)s)",
    )
    add_processes(arguments)
    arguments.add_argument("--dry-run", action="store_true", help="print what would be done, and stop")
    return arguments.parse_args(list(words))
