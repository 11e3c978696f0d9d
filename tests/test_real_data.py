"""Facts about real data; skipped where the folder named by OCCFACE_DATA is not there."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from common.geometry import apply_to_points
from common.image_io import image_size
from common.jobs import run_job
from configs.schema import AlignJob, AlignSection, DataSection
from face_align.align import build_aligner
from face_align.celebamask_hq import MAPPING, read_celebamask_hq, read_official_split
from face_align.crop import photo_to_crop
from face_align.landmarks import five_points, read_landmarks
from face_align.report import summarise

DATA = os.environ.get("OCCFACE_DATA")
MINI = Path(DATA or "nowhere") / "celebamask_hq_mini"

pytestmark = pytest.mark.skipif(
    not MINI.is_dir(), reason="needs real photos: set OCCFACE_DATA to the folder that holds celebamask_hq_mini"
)

# Measured independently, from the formulas of the method, over the 900 faces.
MEAN_POINTS_PX = np.array([[92.88, 97.83], [161.88, 98.03], [127.03, 138.38], [95.82, 171.27], [159.14, 171.56]])


def test_the_official_split_is_the_published_one() -> None:
    splits = read_official_split(MINI / MAPPING)
    assert Counter(splits.values()) == {"train": 24_183, "val": 2_993, "test": 2_824}
    test = sorted(number for number, split in splits.items() if split == "test")
    assert test[:10] == [2, 4, 26, 44, 59, 84, 93, 108, 127, 133]
    assert hashlib.sha1(",".join(map(str, test)).encode()).hexdigest() == "af5939e53abc7340b3c62718584848a78b9224a0"
    validation = sorted(number for number, split in splits.items() if split == "val")
    assert validation[:10] == [7, 12, 13, 17, 19, 29, 40, 57, 60, 78]


def test_the_five_points_of_900_faces_land_where_they_were_measured() -> None:
    records = read_celebamask_hq(MINI, split="split.csv")
    assert len(records) == 900
    assert Counter(record.split for record in records) == {"train": 800, "val": 100}
    crops = []
    for record in records:
        points = five_points(read_landmarks(record.landmarks))
        matrix = photo_to_crop(points, photo_size=image_size(record.image), method="pos3d", size=256)
        crops.append(apply_to_points(matrix, points))
    np.testing.assert_allclose(np.mean(crops, axis=0), MEAN_POINTS_PX, atol=0.1)


def test_no_face_is_lost(tmp_path: Path) -> None:
    job = AlignJob(
        data=DataSection(root=MINI, prepared=tmp_path), align=AlignSection(size=256), output=tmp_path / "out"
    )
    records = read_celebamask_hq(MINI, split="split.csv")[::38][:24]
    report = run_job(build_aligner(job), records, folder=job.output, title="align", max_failed_share=0)
    assert report.outcomes == {"ok": 24}
    points = np.array(summarise(report.rows)["five_points_mean_px"])
    assert abs(points - MEAN_POINTS_PX).max() < 3
    assert all(0.15 < row["face_share"] < 0.6 for row in report.rows)
