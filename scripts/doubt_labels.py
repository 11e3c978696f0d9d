"""Mark doubtful labels of a prepared set as unknown: `python scripts/doubt_labels.py PREPARED OUT --weights FILE`.

CelebAMask-HQ calls many hands, microphones and strands of hair in front of a face "skin", and a network that learns
from them calls hands face. A first network, trained on the labels as they are, knows better where most labels do.
Where it contradicts a label firmly, over an area of some size, the pixel becomes `unknown`: nothing is learnt there.
Faces that it contradicts almost everywhere stay as they are: those it does not know yet, e.g. very dark photos.
OUT is a prepared folder like PREPARED; `contact_sheet.jpg` shows the faces with most doubts. `doubts.json` says from
what it was made: the same command again does nothing.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common.cli import parser
from common.errors import UserError, exit_on_user_error
from common.image_io import read_image, read_label, write_bytes, write_image, write_label
from common.labels import PART_ID, UNKNOWN_PART, FacePolicy, visible_mask
from common.manifest import FILE_NAME, ManifestError, Row, is_whole, read_manifest, read_samples, sha256, write_manifest
from common.visualize import blend, contact_sheet
from models.predictor import CropPredictor

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

EXAMPLES = """  python scripts/doubt_labels.py runs/default/celebamask runs/default/celebamask_clean \\
      --weights runs/default/first/checkpoints/latest.safetensors --splits train"""
BATCH = 16
RECORD = "doubts.json"
SMALLEST_WIDTH_SHARE = 0.02  # of the crop's side: thinner doubts are a matter of where exactly an outline lies
SMALLEST_AREA_SHARE = 0.004  # of the face
SHOWN = 48


class Doubted(NamedTuple):
    """A face with its doubts: share of the face, crop (S, S, 3), doubts (S, S) bool."""

    share: float
    image: Image8
    doubts: Mask


@dataclass(frozen=True)
class Doubter:
    """Finds doubtful labels; see `doubts_of` for `firm` and `most`."""

    model: CropPredictor
    firm: float
    most: float
    policy: FacePolicy = field(default_factory=lambda: FacePolicy(eyeglasses="face"))

    def probabilities(self, images: list[Image8]) -> NDArray[np.float32]:
        """Return the probability of the visible face, (N, S, S) at the network's size."""
        side = (self.model.size, self.model.size)
        sized = [cv2.resize(image, side, interpolation=cv2.INTER_AREA) for image in images]
        return self.model.predict_crops(np.stack(sized))[:, 0]

    def doubts(self, label: Image8, probability: NDArray[np.float32]) -> tuple[Mask, float]:
        """Return where the label (H, W) is doubtful, and the area of that as a share of the face."""
        truth = visible_mask(label, self.policy)
        resized = cv2.resize(probability, label.shape[::-1], interpolation=cv2.INTER_LINEAR)
        doubts = doubts_of(truth, resized, firm=self.firm, most=self.most)
        return doubts, float(doubts.sum() / max(1, truth.sum()))


@exit_on_user_error
def main() -> None:
    """Write the set with its doubts."""
    arguments = parser("Mark what a first network contradicts firmly as unknown.", EXAMPLES)
    arguments.add_argument("prepared", type=Path, metavar="PREPARED", help="folder of python -m face_align")
    arguments.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    arguments.add_argument("--weights", type=Path, required=True, help="of the first network")
    arguments.add_argument("--splits", nargs="+", default=["train"], help="splits to doubt; others stay (%(default)s)")
    arguments.add_argument(
        "--firm", type=float, default=0.25, help="contradicted: a probability below, or above 1 - this (%(default)s)"
    )
    arguments.add_argument(
        "--most", type=float, default=0.35, help="faces with a larger share of doubts stay as they are (%(default)s)"
    )
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1 (%(default)s)")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    options = arguments.parse_args()
    rows = read_samples(options.prepared)
    _check_output(options.out)
    if not 0 < options.firm < 0.5:
        raise UserError(f"--firm: expected a probability between 0 and 0.5, found {options.firm}")
    chosen = {row["id"] for row in rows if row.get("split") in options.splits}
    if not chosen:
        raise UserError(f"{options.prepared}: no sample of the splits {options.splits}; name others with --splits")
    if options.dry_run:
        print(f"would doubt the labels of {len(chosen)} of {len(rows)} faces and write {options.out}")
        return
    model = CropPredictor.from_file(options.weights, device=options.device)
    if (method := rows[0]["crop"]["method"]) != model.method:
        raise UserError(
            f"{options.weights}: was trained on crops of method {model.method!r}, and {options.prepared} holds "
            f"{method!r}; take a network of the same crops"
        )
    made_from = {
        "manifest": sha256(options.prepared / FILE_NAME),
        "weights": sha256(options.weights),
        "splits": sorted(options.splits),
        "firm": options.firm,
        "most": options.most,
    }
    if is_made(options.out, made_from):
        print(f"{options.out}: is made already")
        return
    write_bytes(options.out / RECORD, b"{}\n")  # whose folder it is, before anything lies in it
    doubter = Doubter(model, options.firm, options.most)
    faces = write_doubted(options.prepared, options.out, rows, chosen=chosen, doubter=doubter)
    write_bytes(options.out / RECORD, (json.dumps(made_from, indent=2) + "\n").encode())
    marked = sum(face.share > 0 for face in faces)
    print(f"{marked} of {len(faces)} faces have doubts, on average {np.mean([f.share for f in faces]):.2%} of the face")
    print(options.out)


def _check_output(out: Path) -> None:
    """Raise `UserError` where a folder holds anything that this script has not written."""
    if out.exists() and not (out.is_dir() and ((out / RECORD).is_file() or not any(out.iterdir()))):
        raise UserError(f"{out}: holds something that was not made here (no {RECORD}); name a new folder to write")


def is_made(out: Path, made_from: dict[str, Any]) -> bool:
    """Return whether `out` was made from the same, and is whole."""
    try:
        recorded = json.loads((out / RECORD).read_text())
        return bool(recorded == made_from) and all(is_whole(out, row) for row in read_manifest(out))
    except (OSError, ValueError, ManifestError):
        return False


def write_doubted(prepared: Path, out: Path, rows: list[Row], *, chosen: set[str], doubter: Doubter) -> list[Doubted]:
    """Write images, labels, manifest and contact sheet into `out`; return the faces that were doubted, most first."""
    faces, written = [], []
    for start in tqdm(range(0, len(rows), BATCH), unit="batch"):
        batch = rows[start : start + BATCH]
        images = [read_image(prepared / row["files"]["image"]) for row in batch]
        for row, image, probability in zip(batch, images, doubter.probabilities(images), strict=True):
            label = read_label(prepared / row["files"]["label"])
            if row["id"] in chosen:
                doubts, share = doubter.doubts(label, probability)
                faces.append(Doubted(share, image, doubts))
                label = np.where(doubts, np.uint8(PART_ID[UNKNOWN_PART]), label)
            write_bytes(out / row["files"]["image"], (prepared / row["files"]["image"]).read_bytes())
            digest = write_label(out / row["files"]["label"], label)
            written.append({**row, "sha256": {**row["sha256"], "label": digest}})
    write_manifest(out, written)
    faces.sort(key=lambda face: -face.share)
    shown = [blend(face.image, face.doubts) for face in faces[:SHOWN]]
    write_image(out / "contact_sheet.jpg", contact_sheet([shown[i : i + 8] for i in range(0, len(shown), 8)]))
    return faces


def doubts_of(truth: Mask, probability: NDArray[np.float32], *, firm: float, most: float) -> Mask:
    """Return where a label is contradicted firmly, over an area of some size, (H, W) bool.

    Args:
        truth: (H, W) bool, the visible face by the label.
        probability: (H, W) float 0..1, of the visible face by the first network.
        firm: contradicted are faces with a probability below this, and others with one above 1 - this.
        most: share of the face from which on nothing is doubted.
    """
    face_px = max(1, int(truth.sum()))
    radius_px = max(1, round(SMALLEST_WIDTH_SHARE / 2 * max(truth.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1,) * 2)
    doubts = np.zeros(truth.shape, np.bool_)
    for contradicted, unsure in (
        (truth & (probability < firm), truth & (probability < 0.5)),
        (~truth & (probability > 1 - firm), ~truth & (probability > 0.5)),
    ):
        cores = cv2.morphologyEx(contradicted.view(np.uint8), cv2.MORPH_OPEN, disc)
        count, blobs, stats, _ = cv2.connectedComponentsWithStats(cores)
        large = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= SMALLEST_AREA_SHARE * face_px]
        # What surrounds a doubtful core without being sure is doubtful with it.
        around = cv2.dilate(np.isin(blobs, large).astype(np.uint8), disc, iterations=2)
        doubts |= (around > 0) & unsure
    return doubts if doubts.sum() <= most * face_px else np.zeros_like(doubts)


if __name__ == "__main__":
    main()
