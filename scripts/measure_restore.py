"""How well masks survive photo -> crop -> photo: `python scripts/measure_restore.py CONFIG`.

CONFIG is that of a CelebAMask-HQ set which `python -m face_align CONFIG` has aligned. The visible face of each photo is
compared with the one of its crop, put back into the photo as `python -m face_align restore` does. Two numbers: over
the whole photo, where what the crop does not show counts as lost, and within the crop.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.config import load_config
from common.errors import exit_on_user_error
from common.image_io import read_label
from common.labels import visible_mask
from common.manifest import Row, read_samples
from configs.schema import AlignJob
from face_align.align import build_aligner
from face_align.celebamask_hq import PhotoRecord, read_parts, resize_label
from face_align.restore import restore_map
from face_align.sources import build_records

WIDE_PX = 200  # faces at least this wide in the photo are counted


def overlap(job: AlignJob, row: Row, photo: PhotoRecord) -> tuple[int, float, float]:
    """Return width of the visible face in the photo (px), IoU over the photo and IoU within the crop."""
    size = (int(row["photo_size"][0]), int(row["photo_size"][1]))
    policy, matrix = job.face.policy(), np.array(row["photo_to_crop"])
    truth = visible_mask(resize_label(read_parts(photo), size), policy)
    crop = visible_mask(read_label(job.output / row["files"]["label"]), policy).astype(np.float32)
    back = restore_map(crop, matrix, size) > 0.5
    shown = truth & (restore_map(np.ones_like(crop), matrix, size) > 0.5)
    columns = np.flatnonzero(truth.any(axis=0))
    ious = [float((back & mask).sum() / max(1, (back | mask).sum())) for mask in (truth, shown)]
    return int(np.ptp(columns)) + 1 if columns.size else 0, ious[0], ious[1]


@exit_on_user_error
def main() -> None:
    """Print mean, 5th percentile and minimum over all faces of the set that are wide enough."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_args()
    job = load_config(options.config, AlignJob, options.overrides)
    records = build_records(job, build_aligner(job).landmarks)
    photos = {record.id: record for record in records if isinstance(record, PhotoRecord)}
    found = np.array([overlap(job, row, photos[row["id"]]) for row in read_samples(job.output)])
    wide = found[found[:, 0] >= WIDE_PX]
    print(f"{len(wide)} of {len(found)} faces are at least {WIDE_PX} px wide, crops of {job.align.size} px")
    for name, ious in zip(("whole photo", "within the crop"), wide[:, 1:].T, strict=True):
        print(f"{name:16s} IoU mean {ious.mean():.4f}   5 % below {np.percentile(ious, 5):.4f}   min {ious.min():.4f}")


if __name__ == "__main__":
    main()
