from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.image_io import read_image, read_mask
from common.photo_list import Photo
from common.visualize import FACE_BLUE, blend
from face_align.locate import Location
from inference.faces import PhotoMasks, describe_faces, merge_faces
from inference.outputs import KINDS, TRIPTYCH_PX, cut_out, possible_kinds, render, saved_paths, tint, write_kind
from inference.writer import PhotoWriter
from tests.stand_ins import SIZE, ColourPredictor

PHOTO = np.full((6, 8, 3), (200, 100, 0), np.uint8)
TOP = np.arange(6)[:, None].repeat(8, 1) < 3


def masks_of_top() -> PhotoMasks:
    probability = np.where(TOP, np.float32(0.8), np.float32(0))
    return PhotoMasks(TOP, np.ones_like(TOP), probability, [])


def test_every_kind_is_written(tmp_path: Path) -> None:
    paths = {kind: tmp_path / path for kind, path in saved_paths("sub/a", KINDS).items()}
    for kind, path in paths.items():
        write_kind(path, kind, PHOTO, masks_of_top())
    np.testing.assert_array_equal(read_mask(tmp_path / "visible" / "sub" / "a.png"), TOP)
    np.testing.assert_array_equal(read_mask(paths["occluder"]), ~TOP)
    assert read_mask(paths["full"]).all()
    assert np.unique(read_image(paths["probability"])).tolist() == [0, 204]
    np.testing.assert_allclose(read_image(paths["overlay"])[0, 0], (100, 92, 128), atol=4)
    cutout = np.asarray(Image.open(paths["cutout"]))
    np.testing.assert_array_equal(cutout[0, 0], (200, 100, 0, 204))
    np.testing.assert_array_equal(cutout[5, 0], (0, 0, 0, 0))
    assert read_image(paths["triptych"]).shape == (6, 24, 3)


def test_cutout_and_overlay_of_no_face_are_empty_and_the_photo() -> None:
    nothing = np.zeros((6, 8), np.float32)
    assert not cut_out(PHOTO, nothing).any()
    np.testing.assert_array_equal(tint(PHOTO, nothing > 0, FACE_BLUE), PHOTO)


def test_tint_is_a_fast_blend() -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    mask = rng.random((40, 50)) > 0.5
    difference = tint(photo, mask, FACE_BLUE).astype(int) - blend(photo, mask, colour=FACE_BLUE)
    assert np.abs(difference).max() <= 1
    np.testing.assert_array_equal(tint(photo, mask, FACE_BLUE)[~mask], photo[~mask])


def test_triptych_shows_region_and_result_and_stays_small() -> None:
    photo = np.full((1500, 3000, 3), (200, 100, 0), np.uint8)
    visible = np.zeros((1500, 3000), np.bool_)
    visible[:, :1500] = True
    masks = PhotoMasks(visible, np.ones_like(visible), visible.astype(np.float32), [])
    shown = render("triptych", photo, masks)
    assert shown.shape == (TRIPTYCH_PX // 2, 3 * TRIPTYCH_PX, 3)
    photo_part, region, result = np.split(shown, 3, axis=1)
    assert (photo_part == (200, 100, 0)).all()
    assert region[100, 100, 2] > region[100, 900, 2]  # blue where it is seen
    assert region[100, 900, 0] > region[100, 100, 0]  # red where it is hidden
    assert (result[100, 900] == 128).all()


def test_kinds_that_need_the_full_face() -> None:
    assert possible_kinds(("visible", "full")) == KINDS
    assert set(KINDS) - set(possible_kinds(("visible",))) == {"full", "occluder"}
    with pytest.raises(ValueError, match="'full' cannot be shown"):
        render("full", PHOTO, masks_of_top()._replace(full=None))


def test_faces_are_kept_apart(tmp_path: Path) -> None:
    photo = np.zeros((SIZE, 2 * SIZE, 3), np.uint8)
    photo[10:30, 10:30, 0] = photo[10:30, SIZE + 10 : SIZE + 20, 0] = 255
    model = ColourPredictor()
    locations = [Location(np.array([[1.0, 0, -shift], [0, 1.0, 0]])) for shift in (0, SIZE)]
    answers = [model.predict_crops(photo[None, :, shift : shift + SIZE])[0] for shift in (0, SIZE)]
    faces = describe_faces(model, photo, locations, answers)
    masks = merge_faces(faces, photo.shape[:2], outputs=model.outputs, threshold=0.5)
    kinds = ("visible", "overlay")
    row = PhotoWriter(tmp_path, kinds, model=model, per_face=True)(Photo("a.png", tmp_path), photo, masks)
    assert set(row["files"]) == {"visible", "overlay", "visible#0", "visible#1"} == set(row["sha256"])
    both, left, right = (read_mask(tmp_path / row["files"][key]) for key in ("visible", "visible#0", "visible#1"))
    assert left[15, 15]
    assert not left[:, SIZE:].any()
    assert right[15, SIZE + 15]
    assert not right[:, :SIZE].any()
    np.testing.assert_array_equal(both, left | right)
