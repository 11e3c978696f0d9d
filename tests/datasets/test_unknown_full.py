"""Faces of which nobody knows the whole: their `full` is left out of the loss, wherever it is not known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from common.image_io import write_grey, write_label
from common.labels import PART_ID, FacePolicy
from common.lockstep import Steps
from common.seeding import TRAIN_STREAM
from datasets.faces import FaceOcclusionDataset
from datasets.prepared import FaceRecord

SIZE = 32
FACE = np.full((SIZE, SIZE), PART_ID["skin"], np.uint8)


class RealPhoto(NamedTuple):
    """A really occluded photo, as `occlusion.real` mixes them in."""

    image: NDArray[np.uint8]
    label: NDArray[np.uint8] = FACE
    parts: NDArray[np.uint8] = FACE
    visible: NDArray[np.uint8] = FACE * np.uint8(255)
    full: NDArray[np.bool_] = FACE > 0
    full_known: bool = False


@pytest.fixture
def record(tmp_path: Path) -> FaceRecord:
    write_label(tmp_path / "label.png", FACE)
    write_grey(tmp_path / "image.png", FACE)
    return FaceRecord("a", tmp_path / "image.png", tmp_path / "label.png", None, None, occlude=True, subject="a")


def dataset_of(record: FaceRecord, *, synthesise: object = None) -> FaceOcclusionDataset:
    return FaceOcclusionDataset(
        [record],
        size=SIZE,
        policy=FacePolicy(),
        seed=0,
        stream=TRAIN_STREAM,
        synthesise=synthesise,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("known", [True, False])
def test_a_record_says_whether_its_full_face_is_known(record: FaceRecord, known: bool) -> None:
    sample = dataset_of(replace(record, full_known=known))[0, 0]
    assert sample.valid[0].all()
    assert bool(sample.valid[1].all()) == known
    assert bool(sample.valid[1].any()) == known


def test_of_real_photos_that_are_mixed_in_the_full_face_is_unknown(record: FaceRecord) -> None:
    class RealPhotos:
        def steps(self, rng: np.random.Generator, *, image: NDArray[np.uint8], **_: object) -> Steps[RealPhoto]:
            yield
            return RealPhoto(image)

    sample = dataset_of(record, synthesise=RealPhotos())[0, 0]
    assert sample.valid[0].all()
    assert not sample.valid[1].any()
