"""From the images of a test set to the answers that `evaluation` scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, apply_to_image
from common.labels import FacePolicy
from datasets.test_sets import TestImage, read_full, read_photo, read_truth
from evaluation.image_score import About, Truth
from evaluation.predictions import PredictionFolder
from evaluation.score_set import Answer, SetDigest
from evaluation.tone import measure_tone
from face_align.locate import Locator, centred_square
from inference.photo_masks import to_patch, to_photo
from models.predictor import CropModel

HELD_PIXELS = 40_000_000  # of the photos of a batch: 120 MB; published photos have up to 71 million each


class Loaded(NamedTuple):
    """A photo (H, W, 3) uint8 RGB with its truth."""

    record: TestImage
    photo: NDArray[np.uint8]
    truth: Truth


def load(record: TestImage, policy: FacePolicy) -> Loaded:
    """Return a photo and what is true of it.

    Raises:
        RecordError: a file is damaged or missing.
    """
    visible, valid = read_truth(record, policy)
    return Loaded(record, read_photo(record), Truth(visible, valid, read_full(record, policy)))


def answers_of_model(
    records: Sequence[TestImage], *, model: CropModel, locate: Locator, policy: FacePolicy, batch_size: int
) -> Iterator[Answer]:
    """Yield what a model says of each record, in order; the photos and crops of one batch are held at once.

    Args:
        records: of a test set.
        model: answers on crops.
        locate: finds the face of a photo; where it finds none, the whole photo is taken in a centred square.
        policy: what counts as face.
        batch_size: crops at once, fewer where photos are large.
    """
    batch: list[tuple[Loaded, Affine, bool]] = []
    for number, record in enumerate(records, 1):
        loaded = load(record, policy)
        locations = locate(loaded.photo, record.id)
        size = loaded.photo.shape[:2]
        matrix = locations[0].photo_to_crop if locations else centred_square(size, size=model.size)
        batch.append((loaded, matrix, bool(locations)))
        held = sum(one.truth.visible.size for one, _, _ in batch)
        if len(batch) == batch_size or held >= HELD_PIXELS or number == len(records):
            yield from _answer(batch, model)
            batch = []


def answers_of_files(records: Iterable[TestImage], *, folder: PredictionFolder, policy: FacePolicy) -> Iterator[Answer]:
    """Yield what the files of other code say of each record, in order."""
    for record in records:
        yield _about(load(record, policy), folder.read(record.id)[None], face_found=True)


def digest_of(records: Iterable[TestImage], policy: FacePolicy) -> str:
    """Return the SHA-256 of the photos and masks as they are now, see `evaluation.score_set.SetDigest`."""
    digest = SetDigest()
    for record in records:
        loaded = load(record, policy)
        digest.add(record.id, loaded.photo, loaded.truth)
    return digest.hexdigest()


def _answer(batch: Sequence[tuple[Loaded, Affine, bool]], model: CropModel) -> Iterator[Answer]:
    side = (model.size, model.size)
    crops = np.stack([apply_to_image(matrix, loaded.photo, size=side) for loaded, matrix, _ in batch])
    for maps, (loaded, matrix, found) in zip(model.predict_crops(crops), batch, strict=True):
        size = (loaded.photo.shape[0], loaded.photo.shape[1])
        probabilities = to_photo([to_patch(maps, matrix, size)], size, outputs=len(maps))
        yield _about(loaded, probabilities, face_found=found)


def _about(loaded: Loaded, probabilities: NDArray[np.float32], *, face_found: bool) -> Answer:
    """Return what is scored of a photo, with what is known of it."""
    record, photo, truth = loaded
    about = About(
        record.id,
        record.subject,
        record.occlusion_types,
        coverage=record.coverage,
        tone=measure_tone(photo, truth.visible),
        face_found=face_found,
    )
    return Answer(about, photo, truth, probabilities)
