"""Random occlusion as published, by its statistics on real faces."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from common.config import load_config
from common.labels import FacePolicy
from common.seeding import generator
from configs.schema import OcclusionJob
from face_align.celebamask_hq import read_celebamask_hq, read_parts, resize_label
from occlusion_gen.face import Face, make_face
from occlusion_gen.offline import PUBLISHED_RANDOCC_COVERAGE
from occlusion_gen.synthesiser import build_synthesiser

MINI = Path(os.environ.get("OCCFACE_DATA") or "nowhere") / "celebamask_hq_mini"
CONFIG = Path(__file__).resolve().parents[2] / "configs" / "occlude" / "randocc_published.yaml"
SIDE_PX = 256
DRAWS = 3000
POLICY = FacePolicy(eyeglasses="face")


def whole_faces(count: int) -> list[Face]:
    """Return label maps of whole photos, without the photos, which the hidden share does not depend on."""
    records = read_celebamask_hq(MINI, split="split.csv")
    size = (SIDE_PX, SIDE_PX)
    blank = np.zeros((*size, 3), np.uint8)
    return [make_face(blank, resize_label(read_parts(record), size), POLICY) for record in records[::9][:count]]


@pytest.mark.skipif(not MINI.is_dir(), reason="needs real faces: set OCCFACE_DATA to the folder of celebamask_hq_mini")
def test_the_hidden_share_is_near_the_published_run() -> None:
    faces = whole_faces(100)
    job = load_config(CONFIG, OcclusionJob, [f"data.root={MINI}"])
    built = build_synthesiser(job.occlusion, policy=POLICY, split="train", max_side_px=SIDE_PX)
    shares = np.array([
        built.hidden_by(built.draw_params(generator(7, index), faces[index % 100]), faces[index % 100])
        for index in range(DRAWS)
    ])  # fmt: skip
    assert shares.mean() == pytest.approx(PUBLISHED_RANDOCC_COVERAGE["mean"], abs=0.02)
    assert shares.std() == pytest.approx(PUBLISHED_RANDOCC_COVERAGE["std"], abs=0.015)
    for name, at in (("p5", 5), ("p50", 50), ("p95", 95)):
        assert np.percentile(shares, at) == pytest.approx(PUBLISHED_RANDOCC_COVERAGE[name], abs=0.025)
