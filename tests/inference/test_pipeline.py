from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from common.image_io import write_image
from common.manifest import Row
from common.photo_list import Photo
from face_align.locate import Location, Locator
from inference.faces import PhotoMasks
from inference.photo_masks import Image8
from inference.pipeline import Pipeline, ask
from models.predictor import CropPredictor
from tests.stand_ins import SIZE, ColourPredictor, save_tiny_weights

FACES = (1, 0, 3, 2, 1, 0, 5, 1, 1, 2)


class Keeper:
    """A writer that keeps the probabilities."""

    def __init__(self) -> None:
        self.probabilities: dict[str, np.ndarray] = {}

    def __call__(self, photo: Photo, image: Image8, masks: PhotoMasks) -> Row:
        self.probabilities[photo.id] = masks.probability
        return {"files": {}, "sha256": {}}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for index in range(len(FACES)):
        write_image(folder / f"{index}.png", rng.integers(0, 256, (70 + index, 90, 3), dtype=np.uint8))
    (folder / "4.png").write_bytes(b"broken")
    return [Photo(f"{index}.png", folder / f"{index}.png") for index in range(len(FACES))]


def new_locator() -> Locator:
    def locate(photo: Image8, name: str) -> list[Location]:
        return [Location(np.array([[0.9, 0, -2.0 * face], [0, 0.9, 0]])) for face in range(FACES[int(name)])]

    return locate


@pytest.mark.parametrize(
    ("threads", "batch_size", "on_gpu"), [(1, 1, False), (4, 1, False), (2, 3, False), (3, 4, True)]
)
def test_results_do_not_depend_on_threads_and_batches(
    photos: list[Photo], tmp_path: Path, threads: int, batch_size: int, on_gpu: bool
) -> None:
    save_tiny_weights(tmp_path / "tiny.safetensors", size=SIZE)
    model = CropPredictor.from_file(tmp_path / "tiny.safetensors", device="cpu")

    def run(wanted: list[Photo], keeper: Keeper, **how: int | bool) -> list[Row]:
        return list(Pipeline(model, new_locator=new_locator, write=keeper, **how).run(wanted))

    alone, together = Keeper(), Keeper()
    rows_alone = [row for photo in photos for row in run([photo], alone, threads=1, batch_size=batch_size)]
    rows = run(photos, together, threads=threads, batch_size=batch_size, on_gpu=on_gpu)
    assert rows == rows_alone
    assert [row["id"] for row in rows] == [photo.id for photo in photos]
    assert [len(row.get("faces", "-")) for row in rows] == [1, 0, 3, 2, 1, 0, 5, 1, 1, 2]
    assert rows[4]["outcome"] == "unreadable_image"
    assert rows[1]["outcome"] == "no_face"
    assert alone.probabilities.keys() == together.probabilities.keys()
    for name, probability in alone.probabilities.items():
        np.testing.assert_array_equal(together.probabilities[name], probability)


def test_batches_are_always_full() -> None:
    model = ColourPredictor()
    crops = np.random.default_rng(0).integers(0, 256, (7, SIZE, SIZE, 3), dtype=np.uint8)
    answers = list(ask(model, crops, batch_size=3))
    assert model.batches == [3, 3, 3]
    np.testing.assert_array_equal(np.stack(answers), ColourPredictor().predict_crops(crops))
    assert list(ask(model, crops[:0], batch_size=3)) == []


def test_an_error_of_the_writer_ends_the_run(photos: list[Photo]) -> None:
    def fails(photo: Photo, image: Image8, masks: PhotoMasks) -> Row:
        raise UserError("the disk is full")

    pipeline = Pipeline(ColourPredictor(), new_locator=new_locator, write=fails, threads=2, batch_size=1)
    with pytest.raises(UserError, match="the disk is full"):
        list(pipeline.run(photos))


def test_time_is_counted_by_stage(photos: list[Photo]) -> None:
    pipeline = Pipeline(ColourPredictor(), new_locator=new_locator, write=Keeper(), threads=2, batch_size=1)
    list(pipeline.run(photos))
    assert list(pipeline.times.seconds) == ["decode", "detect", "crop", "network", "un-warp", "encode"]
