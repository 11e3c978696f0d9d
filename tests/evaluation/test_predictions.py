from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import RecordError, UserError
from common.image_io import write_grey, write_image
from evaluation.predictions import PredictionFolder, find_predictions
from tests.evaluation.masks import SIZE, blob, soft

SIZES = {"a": SIZE, "sub/b": SIZE}


def write_masks(folder: Path) -> PredictionFolder:
    write_grey(folder / "a.png", blob(1) * np.uint8(255))
    (folder / "sub").mkdir(exist_ok=True)
    np.save(folder / "sub" / "b.npy", blob(2))
    return PredictionFolder(folder, kind="mask")


def test_masks_are_read_as_they_are(tmp_path: Path) -> None:
    folder = write_masks(tmp_path)
    folder.check(SIZES)
    assert (folder.read("a") == blob(1)).all()
    assert (folder.read("sub/b") == blob(2)).all()
    write_grey(tmp_path / "a.png", blob(1).astype(np.uint8))  # 0 and 1
    assert (folder.read("a") == blob(1)).all()


def test_probabilities_keep_their_values(tmp_path: Path) -> None:
    folder = PredictionFolder(tmp_path, kind="probability")
    grey = np.rint(soft(1) * 255).astype(np.uint8)
    write_grey(tmp_path / "a.png", grey)
    assert (folder.read("a") == grey / np.float32(255)).all()
    (tmp_path / "a.png").unlink()
    for stored in (soft(1), soft(1).astype(np.float64), soft(1).astype(np.float16), grey):
        np.save(tmp_path / "a.npy", stored)
        folder.check({"a": SIZE})
        assert folder.read("a") == pytest.approx(soft(1), abs=0.003)


def test_all_that_does_not_fit_is_told_at_once(tmp_path: Path) -> None:
    folder = write_masks(tmp_path)
    write_grey(tmp_path / "small.png", np.zeros((20, 30), np.uint8))
    write_image(tmp_path / "colour.png", np.zeros((*SIZE, 3), np.uint8))
    write_image(tmp_path / "lossy.jpg", np.zeros((*SIZE, 3), np.uint8))
    np.save(tmp_path / "a.npy", blob(1))
    np.save(tmp_path / "stack.npy", np.zeros((2, *SIZE), np.float32))
    np.save(tmp_path / "whole.npy", np.zeros(SIZE, np.int64))
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY")
    write_grey(tmp_path / "stranger.png", np.zeros(SIZE, np.uint8))
    names = ("a", "sub/b", "absent", "small", "colour", "lossy", "stack", "whole", "torn")
    with pytest.raises(UserError) as caught:
        folder.check(dict.fromkeys(names, SIZE))
    message = str(caught.value)
    for told in (
        "1 images without a prediction NAME.png or NAME.npy: absent",
        "1 predictions of no image of the set: stranger",
        "1 images with more than one prediction: a",
        "lossy.jpg",
        "small.png is 20 x 30, its photo 40 x 48",
        "expected 8-bit grey, found mode RGB",
        "found (2, 40, 48) float32",
        "found (40, 48) int64",
        "torn.npy: cannot be read",
    ):
        assert told in message, told


@pytest.mark.parametrize(
    ("kind", "stored", "told"),
    [
        ("mask", np.full(SIZE, 128, np.uint8), "found 1 values, [128]"),
        ("mask", soft(1), "set prediction_kind=probability"),
        ("probability", blob(1).astype(np.uint8), "set prediction_kind=mask"),
        ("probability", soft(1) * 9 - 4, "apply a sigmoid to logits"),
    ],
)
def test_values_of_the_other_kind_are_refused(tmp_path: Path, kind: str, stored: np.ndarray, told: str) -> None:
    np.save(tmp_path / "a.npy", stored)
    with pytest.raises(RecordError) as caught:
        PredictionFolder(tmp_path, kind=kind).read("a")  # type: ignore[arg-type]
    assert told in str(caught.value)
    assert "a.npy" in str(caught.value)


def test_folders_by_set(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    assert find_predictions(tmp_path, "one", only_set=True, kind="mask").folder == tmp_path / "one"
    assert find_predictions(tmp_path, "two", only_set=True, kind="mask").folder == tmp_path
    with pytest.raises(UserError, match="expected a folder of predictions, found nothing"):
        find_predictions(tmp_path, "two", only_set=False, kind="mask")
