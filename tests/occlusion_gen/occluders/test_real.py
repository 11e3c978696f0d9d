from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from pydantic import ValidationError

from common.errors import RecordError, UserError
from common.image_io import write_label, write_mask, write_rgba
from common.labels import PART_ID, FacePolicy
from configs.schema.pasting import RealSection
from occlusion_gen.occluders.real import RealFaces, open_real

SIZE = (30, 24)


def photo() -> NDArray[np.uint8]:
    """Return a photo of which rows 10 to 19 are an opaque occluder and row 20 a half-transparent one."""
    rgba = np.random.default_rng(0).integers(0, 256, (*SIZE, 4), dtype=np.uint8)
    rgba[..., 3] = 0
    rgba[10:20, :, 3] = 255
    rgba[20, :, 3] = 128
    return rgba


def parts() -> NDArray[np.uint8]:
    label = np.zeros(SIZE, np.uint8)
    label[5:25, 4:20] = PART_ID["skin"]
    label[5:8, 4:20] = PART_ID["hair"]
    return label


def write_real(folder: Path, *, count: int = 2, mask: bool = False) -> RealSection:
    for number in range(count):
        write_rgba(folder / "images" / f"face{number}.png", photo())
        path = folder / "labels" / f"face{number}.png"
        if mask:
            write_mask(path, parts() == PART_ID["skin"])
        else:
            write_label(path, parts())
    return RealSection(
        images=folder / "images",
        labels=folder / "labels",
        labels_hold="mask" if mask else "parts",
        part="hand",
        holdout_share=0.0,
    )


def open_(section: RealSection, *, policy: FacePolicy | None = None) -> RealFaces:
    return open_real(section, policy=policy or FacePolicy(), split="train")


@pytest.mark.parametrize("mask", [False, True])
def test_a_real_face_is_as_labelled_without_what_its_alpha_hides(tmp_path: Path, mask: bool) -> None:
    real = open_(write_real(tmp_path, mask=mask))
    assert len(real) == 2
    assert real.name(1) == "face1.png"
    assert real.share == 0.3
    face = real[0]
    assert_array_equal(face.image, photo()[..., :3])
    assert_array_equal(face.alpha, photo()[..., 3])
    hides = photo()[..., 3] >= 128
    expected = parts()
    if mask:
        expected[expected == PART_ID["hair"]] = 0
    assert_array_equal(face.label, np.where(hides, PART_ID["hand"], expected))
    assert_array_equal(face.visible, 255 * ((expected == PART_ID["skin"]) & ~hides))


def test_half_transparent_pixels_stay_face_where_the_user_says_so(tmp_path: Path) -> None:
    section = write_real(tmp_path).model_copy(update={"hides_from_alpha": 255})
    face = open_(section)[0]
    assert (face.visible[20, 4:20] == 255).all()
    assert not open_(write_real(tmp_path))[0].visible[20].any()


def test_the_policy_decides_what_is_face(tmp_path: Path) -> None:
    face = open_(write_real(tmp_path), policy=FacePolicy(face=("hair",)))[0]
    assert_array_equal(face.visible > 0, parts() == PART_ID["hair"])


@pytest.mark.parametrize("times", [2, 0.5])
def test_a_real_face_comes_at_the_size_of_the_crops(tmp_path: Path, times: float) -> None:
    size = (int(SIZE[0] * times), int(SIZE[1] * times))
    real = open_(write_real(tmp_path))
    face, whole = real.at_size(0, size), real[0]
    assert face.image.shape == (*size, 3)
    assert face.label.shape == face.visible.shape == face.alpha.shape == size
    assert set(np.unique(face.label)) <= set(np.unique(whole.label))
    assert (face.visible > 0).mean() == pytest.approx((whole.visible > 0).mean(), abs=0.06)
    for one, other in zip(real.at_size(0, SIZE), whole, strict=True):
        assert_array_equal(one, other)


def test_no_photo_is_on_both_sides(tmp_path: Path) -> None:
    section = write_real(tmp_path, count=12).model_copy(update={"holdout_share": 0.4})
    names = [
        {real.name(index) for index in range(len(real))}
        for real in (open_real(section, policy=FacePolicy(), split=split) for split in ("train", "validation"))
    ]
    assert names[0] | names[1] == {f"face{number}.png" for number in range(12)}
    assert not names[0] & names[1]


def refused(section: RealSection, match: str) -> None:
    with pytest.raises(UserError, match=match) as error:
        open_(section)[0]
    assert not isinstance(error.value, RecordError)  # no prepared face is at fault


def test_unusable_files_are_named(tmp_path: Path) -> None:
    section = write_real(tmp_path / "lone")
    (tmp_path / "lone" / "labels" / "face0.png").unlink()
    refused(section, r"labels: 1 photos have no label .*face0\.png")

    section = write_real(tmp_path / "size", count=1)
    write_label(tmp_path / "size" / "labels" / "face0.png", parts()[:-1])
    refused(section, r"face0\.png: label is \(29, 24\) but its photo is \(30, 24\)")

    section = write_real(tmp_path / "opaque", count=1)
    write_rgba(tmp_path / "opaque" / "images" / "face0.png", photo() | np.uint8([0, 0, 0, 255]))
    refused(section, "its alpha is 255 everywhere")

    section = write_real(tmp_path / "mask", count=1)
    write_mask(tmp_path / "mask" / "labels" / "face0.png", parts() > 0)
    refused(section, "labels_hold: mask")

    section = write_real(tmp_path / "damaged", count=1)
    (tmp_path / "damaged" / "images" / "face0.png").write_bytes(b"no image")
    refused(section, r"face0\.png")


def test_shares_and_alphas_are_checked(tmp_path: Path) -> None:
    for wrong in ({"share": 1.2}, {"hides_from_alpha": 0}, {"labels_hold": "faces"}):
        with pytest.raises(ValidationError):
            RealSection(**{"images": tmp_path, "labels": tmp_path, **wrong})
