"""The job of masked-face recognition: is there a mask, which pixels are it, and what is written of photos and pairs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import scripts.masked_faces as script
from common.cut_options import CutOptions
from common.geometry import scaling
from common.image_io import read_image, read_mask, write_image
from common.labels import PART_ID, FacePolicy
from configs.schema.network import PARTS
from face_align.locate import Location
from inference.faces import merge_faces, read_faces
from inference.medical_mask import black_on_white, find_mask, lower_face_share, three_columns, without_mask
from models.mask_class import MaskClassPredictor
from models.network import NetworkSpec, make_network
from models.spec import face_part_ids
from models.weights import Card, Preprocessing, save_weights
from tests.stand_ins import SIZE, ColourPredictor

RED, BLUE = (255, 0, 0), (0, 0, 255)
EYES_ROW, BROW_ROW, MASK_ROW = 24, 16, 32  # of a face that fills a 64 px crop as the template has it


class FaceModel(ColourPredictor):
    """Finds red (visible) and blue (hidden) faces in crops that stand on the usual template."""

    method = "similarity5"
    template = "faceocc256"
    cut_options = CutOptions()


def face(hidden: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Return a crop filled by a face (red) with what hides it (blue)."""
    photo = np.zeros((SIZE, SIZE, 3), np.uint8)
    photo[4:60, 10:54] = RED
    if hidden is not None:
        photo[hidden & (photo[..., 0] > 0)] = BLUE
    return photo


def rows_from(first: int, last: int = SIZE) -> NDArray[np.bool_]:
    hidden = np.zeros((SIZE, SIZE), np.bool_)
    hidden[first:last] = True
    return hidden


MASK, SUNGLASSES, HAT = rows_from(MASK_ROW), rows_from(EYES_ROW - 4, EYES_ROW + 4), rows_from(0, BROW_ROW)


def masks_of(photo: NDArray[np.uint8]) -> tuple[FaceModel, object]:
    model = FaceModel()
    size = (photo.shape[0], photo.shape[1])
    faces = read_faces(model, photo, [Location(scaling(size, (SIZE, SIZE)))])
    return model, merge_faces(faces, size, outputs=model.outputs, threshold=model.threshold)


@pytest.mark.parametrize(
    ("hidden", "masked"),
    [
        (None, False),
        (MASK, True),
        (SUNGLASSES, False),
        (HAT, False),
        (MASK | SUNGLASSES | HAT, True),
        (rows_from(40), True),  # worn below the nose
        (rows_from(52), False),  # pulled under the chin
    ],
)
def test_is_there_a_mask(hidden: NDArray[np.bool_] | None, masked: bool) -> None:
    model, masks = masks_of(face(hidden))
    found = find_mask(model, masks)  # type: ignore[arg-type]
    assert found.masked is masked
    assert found.region.any() == masked


def test_a_hand_before_the_mouth_is_no_mask() -> None:
    hand = np.zeros((SIZE, SIZE), np.bool_)
    hand[38:48, 24:44] = True
    model, masks = masks_of(face(hand))
    found = find_mask(model, masks)  # type: ignore[arg-type]
    assert found.share is not None
    assert 0.2 < found.share < 0.5
    assert not found.masked


@given(first=st.integers(MASK_ROW, 60), step=st.integers(0, 10))
def test_hiding_more_never_lowers_the_share(first: int, step: int) -> None:
    more, less = (find_mask(*masks_of(face(rows_from(row)))).share for row in (first, first + step))  # type: ignore[arg-type]
    assert more >= less  # type: ignore[operator]


def test_the_threshold_counts_from_its_own_value() -> None:
    model, masks = masks_of(face(rows_from(44)))
    share = find_mask(model, masks).share or 0.0  # type: ignore[arg-type]
    assert find_mask(model, masks, masked_from=share).masked  # type: ignore[arg-type]
    assert not find_mask(model, masks, masked_from=share + 1e-6).masked  # type: ignore[arg-type]


def test_the_share_is_the_mean_of_three_regions() -> None:
    assert lower_face_share({"eyes": 1.0, "nose": 0.0, "mouth": 1.0, "jaw": 0.5}) == 0.5
    assert lower_face_share({"nose": 0.0, "mouth": None, "jaw": 0.5}) is None


@pytest.mark.parametrize("factor", [1, 3])
def test_the_region_is_the_mask_and_nothing_else(factor: int) -> None:
    photo = face(MASK | SUNGLASSES | HAT).repeat(factor, axis=0).repeat(factor, axis=1)
    model, masks = masks_of(photo)
    region = find_mask(model, masks).region  # type: ignore[arg-type]
    blue = (photo[..., 2] > 0) & rows_from(MASK_ROW).repeat(factor, axis=0).repeat(factor, axis=1)
    differing = np.count_nonzero(region != blue)
    assert differing <= 0.02 * blue.sum()  # corners are rounded


def test_seams_at_the_outline_are_no_part_of_the_mask() -> None:
    seam = np.zeros((SIZE, SIZE), np.bool_)
    seam[EYES_ROW:, 10] = True
    model, masks = masks_of(face(MASK | seam))
    assert not find_mask(model, masks).region[EYES_ROW : MASK_ROW - 2].any()  # type: ignore[arg-type]


def test_only_the_region_is_set_to_zero() -> None:
    photo = np.random.default_rng(0).integers(1, 256, (20, 30, 3), np.uint8)
    region = np.zeros((20, 30), np.bool_)
    region[5:9, 6:20] = True
    result = without_mask(photo, region)
    assert not result[region].any()
    assert np.array_equal(result[~region], photo[~region])
    assert set(np.unique(black_on_white(region))) == {0, 255}
    assert not black_on_white(region)[region].any()
    columns = np.hsplit(three_columns(photo, region), 3)
    assert np.array_equal(columns[0], photo)
    assert np.array_equal(columns[1][..., 0], black_on_white(region))
    assert np.array_equal(columns[2], result)
    assert three_columns(np.zeros((2048, 1024, 3), np.uint8), np.zeros((2048, 1024), np.bool_)).shape == (1024, 1536, 3)


Main = Callable[..., tuple[int, FaceModel]]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Main:
    """Run the script in this process on crops, with a model whose answers are known."""
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"stand-in")

    def call(*words: object, outputs: tuple[str, ...] = ("visible", "full")) -> tuple[int, FaceModel]:
        model = FaceModel(outputs)
        monkeypatch.setattr(script, "open_mask_model", lambda path, device: model)
        fixed = ["--weights", str(weights), "--threads", "1", "--aligned", "crop"]
        monkeypatch.setattr(sys, "argv", ["masked_faces", *map(str, words), *fixed])
        try:
            script.main()
        except SystemExit as stop:
            return int(stop.code or 0), model
        return 0, model

    return call


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name, hidden in (("a", MASK), ("sub/a", None), ("sub/b", SUNGLASSES)):
        write_image(folder / f"{name}.png", face(hidden))
    return folder


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_of_photos(main: Main, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, model = main(photos, out)
    assert code == 0
    assert model.batches
    rows = read_csv(out / "masked_faces.csv")
    assert [(row["id"], row["masked"]) for row in rows] == [("a.png", "1"), ("sub/a.png", "0"), ("sub/b.png", "0")]
    assert float(rows[0]["lower_face_hidden"]) > 0.8
    region = ~read_mask(out / "region" / "a.png")
    photo, result = read_image(photos / "a.png"), read_image(out / "result" / "a.png")
    assert region.sum() == int(rows[0]["mask_pixels"]) > 500
    assert not result[region].any()
    assert np.array_equal(result[~region], photo[~region])
    assert np.array_equal(read_image(out / "result" / "sub" / "b.png"), read_image(photos / "sub" / "b.png"))
    assert read_mask(out / "region" / "sub" / "b.png").all()
    assert read_image(out / "columns" / "sub" / "a.jpg").shape == (SIZE, 3 * SIZE, 3)


def test_the_same_command_does_only_what_is_missing(main: Main, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    main(photos, out)
    first = {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
    code, model = main(photos, out)
    assert (code, model.batches) == (0, [])
    assert {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()} == first
    (out / "result" / "a.png").unlink()
    _, model = main(photos, out)
    assert len(model.batches) == 1
    assert (out / "result" / "a.png").read_bytes() == first[out / "result" / "a.png"]


def test_results_of_other_settings_are_not_mixed(
    main: Main, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(photos, tmp_path / "out")
    code, _ = main(photos, tmp_path / "out", "--masked-from", "0.9")
    assert code == 2
    assert "masked_from: 0.5 -> 0.9" in capsys.readouterr().err


def test_pairs_of_the_same_photos_keep_their_own_pictures(main: Main, tmp_path: Path) -> None:
    root = tmp_path / "mlfw"
    for name, hidden in (("Ann_Lee_0001_0001", MASK), ("Ann_Lee_0002_0001", None), ("Bo_0001_0001", MASK)):
        write_image(root / "aligned" / f"{name}.jpg", face(hidden))
    lines = ["Ann_Lee_0001_0001.jpg Ann_Lee_0002_0001.jpg 1", "Ann_Lee_0001_0001.jpg Bo_0001_0001.jpg 0"]
    (root / "pairs.txt").write_text("\n".join([*lines, lines[0]]) + "\n")
    out = tmp_path / "out"
    assert main(root, out, "--layout", "mlfw")[0] == 0
    rows = read_csv(out / "pairs.csv")
    assert [(row["same"], row["masked_1"], row["masked_2"]) for row in rows] == [
        ("1", "1", "0"), ("0", "1", "1"), ("1", "1", "0")
    ]  # fmt: skip
    pictures = {row["picture"] for row in rows}
    assert len(pictures) == len(list((out / "pairs").iterdir())) == 3
    assert all((out / picture).is_file() for picture in pictures)
    assert len(list((out / "columns").iterdir())) == 3  # a photo of several pairs is done once


def test_the_check_is_judged_where_the_set_tells_the_truth(main: Main, tmp_path: Path) -> None:
    root = tmp_path / "mfr2"
    for number, hidden in ((1, MASK), (2, None), (3, MASK), (4, None)):
        write_image(root / "mfr2" / "Ann" / f"Ann_{number:04d}.png", face(hidden))
    kinds = ("surgical", "no-mask", "no-mask", "cloth")  # the third has a mask that the list denies, the fourth none
    (root / "mfr2_labels.txt").write_text("".join(f"Ann, {n}, {kind}\n" for n, kind in enumerate(kinds, 1)))
    assert main(root, tmp_path / "out", "--layout", "mfr2", "--name", "mfr2")[0] == 0
    (summary,) = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["set"], summary["n"], summary["mask_check_n"]) == ("mfr2", 4, 4)
    assert (summary["mask_check_accuracy"], summary["mask_check_found"], summary["mask_check_left_alone"]) == (0.5,) * 3
    assert summary["masked_share"] == 0.5


def test_bad_photos_are_listed_and_the_rest_is_done(
    main: Main, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.jpg").write_bytes(b"no photo")
    code, _ = main(photos, tmp_path / "out")
    told = capsys.readouterr()
    assert code == 0
    assert "1 photos could not be used" in told.err
    assert "broken.jpg" in told.err
    assert read_csv(tmp_path / "out" / "masked_faces.csv")[1]["outcome"] == "unreadable_image"
    for path in photos.rglob("*.png"):
        path.unlink()
    assert main(photos, tmp_path / "again")[0] == 2
    assert "none of the 1 photos could be used" in capsys.readouterr().err


def test_weights_that_cannot_tell_are_refused(
    main: Main, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(photos, tmp_path / "out", outputs=("visible",))[0] == 2
    assert (
        "predicts visible only; a mask is found by weights with the outputs visible and full" in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_a_parser_s_mask_class_hides_the_face(tmp_path: Path) -> None:
    spec = NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 4, 4), ("parts",), face_parts=face_part_ids(FacePolicy()))
    torch.manual_seed(0)
    card = Card(spec, Preprocessing(size=SIZE, method="pos3d", template="faceocc256"))
    save_weights(tmp_path / "parser.safetensors", make_network(spec).state_dict(), card)
    predictor = MaskClassPredictor.from_file(tmp_path / "parser.safetensors", device="cpu")
    crops = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    visible, full = predictor.predict_crops(crops).swapaxes(0, 1)
    with torch.inference_mode():
        parts = torch.softmax(predictor._logits(crops).float(), dim=1).numpy()
    assert parts.shape[1] == PARTS
    assert np.allclose(visible, parts[:, list(spec.face_parts)].sum(axis=1), atol=1e-5)
    assert np.allclose(full, np.maximum(visible, parts[:, PART_ID["mask"]]), atol=1e-5)


def test_help_and_dry_run(main: Main, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(photos, tmp_path / "out", "--dry-run")[0] == 0
    assert "3 photos and 0 pairs" in capsys.readouterr().out
    assert main("--help")[0] == 0
    assert "python scripts/masked_faces.py MLFW runs/mlfw" in capsys.readouterr().out
