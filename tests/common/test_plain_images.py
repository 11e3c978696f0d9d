from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from common.image_io import MAX_PIXELS, read_image, read_label, write_image, write_label
from common.plain_images import read_plain_jpeg, read_plain_png

LABEL = np.random.default_rng(0).integers(0, 19, (40, 57), dtype=np.uint8)
PHOTO = np.random.default_rng(1).integers(0, 256, (40, 57, 3), dtype=np.uint8)


def test_what_the_project_writes_is_read_quickly(tmp_path: Path) -> None:
    write_label(tmp_path / "label.png", LABEL)
    write_image(tmp_path / "photo.jpg", PHOTO)
    assert_array_equal(read_plain_png(tmp_path / "label.png", MAX_PIXELS), LABEL)
    with Image.open(tmp_path / "photo.jpg") as image:
        assert_array_equal(read_plain_jpeg(tmp_path / "photo.jpg", MAX_PIXELS), np.asarray(image))
    assert read_plain_png(tmp_path / "label.png", LABEL.size - 1) is None
    assert read_plain_jpeg(tmp_path / "photo.jpg", LABEL.size - 1) is None


@pytest.mark.parametrize("name", ["filtered", "interlaced", "few", "turned", "colours"])
def test_other_png_files_are_left_to_pillow(tmp_path: Path, name: str) -> None:
    path, label = tmp_path / "a.png", LABEL % 4 if name == "few" else LABEL
    image = Image.fromarray(label, "L")
    if name == "few":
        image.putpalette(bytes(12))
        image.save(path)
    elif name == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.putpalette(bytes(range(60)))
        image.save(path, exif=exif)
        label = np.rot90(label, -1)
    elif name == "colours":
        Image.fromarray(PHOTO).save(path)
    else:
        ramp = np.add.outer(np.arange(40), np.arange(57)).astype(np.uint8)
        image, label = Image.fromarray(ramp, "L"), ramp
        image.save(path)  # rows of grey files are filtered
        if name == "interlaced":
            content = bytearray(path.read_bytes())
            content[28] = 1
            path.write_bytes(content)
    assert read_plain_png(path, MAX_PIXELS) is None
    if name not in ("colours", "interlaced"):
        assert_array_equal(read_label(path), label)


def test_turned_and_grey_jpegs_are_left_to_pillow(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PHOTO).save(tmp_path / "turned.jpg", exif=exif)
    Image.fromarray(LABEL, "L").save(tmp_path / "grey.jpg")
    Image.fromarray(PHOTO).convert("CMYK").save(tmp_path / "cmyk.jpg")
    for name, size in (("turned", (57, 40)), ("grey", (40, 57)), ("cmyk", (40, 57))):
        assert read_plain_jpeg(tmp_path / f"{name}.jpg", MAX_PIXELS) is None
        assert read_image(tmp_path / f"{name}.jpg").shape == (*size, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_nothing_is_made_of_damaged_files(tmp_path: Path, suffix: str) -> None:
    path, read = tmp_path / f"a.{suffix}", read_plain_png if suffix == "png" else read_plain_jpeg
    assert read(path, MAX_PIXELS) is None  # there is no file
    write_label(path, LABEL) if suffix == "png" else write_image(path, PHOTO)
    whole = path.read_bytes()
    for length in (0, 1, 12, 30, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert read(path, MAX_PIXELS) is None
    if suffix == "png":  # a flipped bit in the pixels does not pass their checksum
        at = whole.index(b"IDAT") + 40
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        assert read(path, MAX_PIXELS) is None
