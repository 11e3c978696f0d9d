from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import RecordError
from common.image_io import write_image, write_mask
from common.labels import FacePolicy
from datasets.test_sets import TestImage
from evaluation.predictions import PredictionFolder
from face_align.locate import whole_photo
from inference.answers import answers_of_files, answers_of_model, digest_of, load
from tests.stand_ins import SIZE, ColourPredictor, photo_with_face

POLICY = FacePolicy()


@pytest.fixture
def records(tmp_path: Path) -> list[TestImage]:
    found = []
    for number in range(5):
        photo = photo_with_face((SIZE, SIZE), (8, 10, 30 + number, 40))
        image, truth = tmp_path / f"{number}.png", tmp_path / f"{number}.mask.png"
        write_image(image, photo)
        write_mask(truth, photo[..., 0] > 0)
        found.append(
            TestImage(str(number), image, truth, subject=f"s{number}", occlusion_types=("hand",), coverage=0.2)
        )
    return found


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_answers_come_in_order_whatever_the_batch(records: list[TestImage], batch_size: int) -> None:
    model = ColourPredictor()
    answers = list(
        answers_of_model(records, model=model, locate=whole_photo(size=SIZE), policy=POLICY, batch_size=batch_size)
    )
    assert [answer.about.id for answer in answers] == ["0", "1", "2", "3", "4"]
    assert all(((answer.probabilities[0] > 0.5) == answer.truth.visible).all() for answer in answers)
    assert max(model.batches) == min(batch_size, 5)
    about = answers[1].about
    assert (about.subject, about.occlusion_types, about.coverage, about.face_found) == ("s1", ("hand",), 0.2, True)
    assert about.tone is not None


def test_photos_without_a_face_are_taken_whole(records: list[TestImage]) -> None:
    answers = answers_of_model(
        records, model=ColourPredictor(), locate=lambda photo, name: [], policy=POLICY, batch_size=2
    )
    for answer in answers:
        assert not answer.about.face_found
        assert ((answer.probabilities[0] > 0.5) == answer.truth.visible).all()


def test_files_of_other_code_answer_for_their_ids(records: list[TestImage], tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for record in records:
        np.save(theirs / f"{record.id}.npy", np.full((SIZE, SIZE), int(record.id) / 8, np.float32))
    folder = PredictionFolder(theirs, kind="probability")
    answers = list(answers_of_files(records, folder=folder, policy=POLICY))
    assert [float(answer.probabilities.max()) for answer in answers] == [0, 0.125, 0.25, 0.375, 0.5]
    assert answers[0].probabilities.shape == (1, SIZE, SIZE)


def test_the_digest_sees_pixels_not_files(records: list[TestImage]) -> None:
    before = digest_of(records, POLICY)
    loaded = load(records[0], POLICY)
    records[0].image.write_bytes(records[0].image.read_bytes() + b"more behind the end")
    assert digest_of(records, POLICY) == before
    changed = loaded.photo.copy()
    changed[3, 4] ^= 1
    write_image(records[0].image, changed)
    assert digest_of(records, POLICY) != before


def test_a_missing_mask_stops(records: list[TestImage]) -> None:
    assert records[2].truth is not None
    records[2].truth.unlink()
    answers = answers_of_model(
        records, model=ColourPredictor(), locate=whole_photo(size=SIZE), policy=POLICY, batch_size=1
    )
    with pytest.raises(RecordError, match=r"2\.mask\.png"):
        list(answers)
