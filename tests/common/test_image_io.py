from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image

from common.errors import UserError
from common.image_io import (
    UnreadableImageError,
    image_size,
    list_images,
    read_image,
    read_label,
    read_mask,
    read_rgba,
    write_bytes,
    write_grey,
    write_image,
    write_label,
    write_mask,
    write_rgba,
)
from common.labels import PALETTE

RNG = np.random.default_rng(0)
PHOTO = np.kron(RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))  # (40, 56, 3)
MASK = np.zeros((9, 13), bool)
MASK[2:6, 3:11] = True
READERS = (read_image, read_rgba, read_mask, read_label, image_size)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


# ---------------------------------------------------------------- photos


def test_a_photo_is_rgb(tmp_path: Path) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 250
    for name in ("a.png", "a.jpg"):
        write_image(tmp_path / name, red)
        assert abs(read_image(tmp_path / name).astype(int) - red).max() <= 3


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_png_keeps_every_byte(tmp_path_factory: pytest.TempPathFactory, height: int, width: int, seed: int) -> None:
    folder = tmp_path_factory.mktemp("png")
    rgba = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    write_image(folder / "rgb.png", rgba[..., :3].copy())
    write_rgba(folder / "rgba.png", rgba)
    write_mask(folder / "mask.png", rgba[..., 0] > 99)
    write_grey(folder / "grey.png", rgba[..., 1].copy())
    write_label(folder / "label.png", rgba[..., 2].copy())
    assert_array_equal(read_image(folder / "rgb.png"), rgba[..., :3])
    assert_array_equal(read_rgba(folder / "rgba.png"), rgba)
    assert_array_equal(read_mask(folder / "mask.png"), rgba[..., 0] > 99)
    assert_array_equal(read_label(folder / "grey.png"), rgba[..., 1])
    assert_array_equal(read_label(folder / "label.png"), rgba[..., 2])
    assert_array_equal(read_image(folder / "label.png"), PALETTE[rgba[..., 2]])  # people see colours
    assert image_size(folder / "rgb.png") == (height, width)


def kind_of_photo(mode: str) -> Image.Image:
    image = Image.fromarray(PHOTO)
    match mode:
        case "RGBA" | "LA":
            image = image.convert(mode[:-1])
            image.putalpha(Image.fromarray(PHOTO[..., 0]))
        case "I;16":
            return Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 257)
        case "P":
            return Image.fromarray(PHOTO // 64 * 64).quantize(256, dither=Image.Dither.NONE)
        case "L" | "1" | "CMYK":
            return image.convert(mode)
    return image


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", "png"), ("RGBA", "png"), ("I;16", "png"), ("L", "png"), ("L", "jpg"), ("LA", "png"), ("1", "png"),
     ("P", "png"), ("CMYK", "jpg"), ("CMYK", "tif"), ("RGB", "bmp"), ("RGB", "webp"), ("RGB", "ppm")],
)  # fmt: skip
def test_every_kind_of_file_becomes_the_same_picture(tmp_path: Path, mode: str, suffix: str) -> None:
    path = save(tmp_path / f"photo.{suffix}", kind_of_photo(mode), **({"quality": 98} if suffix != "png" else {}))
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.shape == PHOTO.shape
    grey = PHOTO[..., 0] if mode == "I;16" else np.array(Image.fromarray(PHOTO).convert("L"))
    match mode:
        case "RGB" | "RGBA" | "CMYK":
            expected = PHOTO
        case "1":
            expected = np.dstack([np.array(kind_of_photo("1"), np.uint8) * 255] * 3)
        case "P":
            expected = PHOTO // 64 * 64
        case _:
            expected = np.dstack([grey] * 3)
    tolerance = 0 if suffix in ("png", "bmp", "ppm", "tif") else 12
    assert np.median(abs(image.astype(int) - expected)) <= tolerance
    assert read_rgba(path).shape == (*PHOTO.shape[:2], 4)
    assert (read_rgba(path)[..., 3] == 255).all() == (mode not in ("RGBA", "LA"))


def test_16_bit_colours_become_their_upper_half(tmp_path: Path) -> None:
    deep = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    assert read_image(save(tmp_path / "deep.png", Image.fromarray(deep)))[0, :, 1].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_upright(tmp_path: Path, orientation: int) -> None:
    stored = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
              5: lambda a: a.transpose(1, 0, 2), 6: np.rot90, 7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
              8: lambda a: np.rot90(a, -1)}[orientation](PHOTO)  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "turned.png", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    assert_array_equal(read_image(path), PHOTO)
    assert image_size(path) == PHOTO.shape[:2]


# ---------------------------------------------------------------- masks


def mask_file(kind: str) -> Image.Image:
    values = {"0/1": 1, "0/15": 15, "0/255": 255}.get(kind, 255)
    grey = MASK.astype(np.uint8) * np.uint8(values)
    match kind:
        case "RGB":
            return Image.fromarray(np.dstack([grey] * 3))
        case "red":
            return Image.fromarray(np.dstack([grey, grey * 0, grey * 0]))
        case "RGBA":  # an opaque alpha says nothing
            return Image.fromarray(np.dstack([grey, grey, grey, grey * 0 + 255]))
        case "LA":
            return Image.fromarray(np.dstack([grey, grey * 0 + 255]), "LA")
        case "1-bit":
            return Image.fromarray(grey).convert("1")
        case "16-bit":
            return Image.fromarray(grey.astype(np.uint16) * 257)
        case "16-bit 0/255":
            return Image.fromarray(grey.astype(np.uint16))
        case "16-bit 0/1":
            return Image.fromarray(MASK.astype(np.uint16))
        case "palette white" | "palette dark" | "palette blue":
            image = Image.fromarray(MASK.astype(np.uint8), "L")
            last = {"white": (255, 255, 255), "dark": (20, 20, 20), "blue": (0, 0, 255)}[kind.split()[1]]
            image.putpalette([0, 0, 0, *last])
            return image
        case "palette 255":
            image = Image.fromarray(grey, "L")
            image.putpalette([value for level in range(256) for value in (level,) * 3])
            return image
    return Image.fromarray(grey)


@pytest.mark.parametrize(
    "kind",
    ["0/1", "0/15", "0/255", "RGB", "red", "RGBA", "LA", "1-bit", "16-bit", "16-bit 0/255", "16-bit 0/1",
     "palette white", "palette dark", "palette blue", "palette 255"],
)  # fmt: skip
def test_masks_are_read_by_meaning(tmp_path: Path, kind: str) -> None:
    assert_array_equal(read_mask(save(tmp_path / "mask.png", mask_file(kind))), MASK)


def test_a_mask_survives_jpeg(tmp_path: Path) -> None:
    wide = np.kron(MASK, np.ones((8, 8), bool))
    path = save(tmp_path / "mask.jpg", Image.fromarray(wide.astype(np.uint8) * 255), quality=75)
    assert_array_equal(read_mask(path), wide)


@pytest.mark.parametrize("value", [0, 1, 255])
def test_empty_and_full_masks(tmp_path: Path, value: int) -> None:
    path = save(tmp_path / "mask.png", Image.fromarray(np.full((4, 5), value, np.uint8)))
    assert_array_equal(read_mask(path), np.full((4, 5), value > 0))


def test_a_label_map_is_no_mask(tmp_path: Path) -> None:
    write_grey(tmp_path / "label.png", np.arange(60, dtype=np.uint8).reshape(6, 10) % 19)
    with pytest.raises(UnreadableImageError, match="class ids") as caught:
        read_mask(tmp_path / "label.png")
    assert caught.value.outcome == "not_a_mask"


def test_colours_are_no_class_ids(tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", PHOTO)
    with pytest.raises(UnreadableImageError, match="class ids"):
        read_label(tmp_path / "photo.png")


# ---------------------------------------------------------------- bad files


def truncated(path: Path) -> None:
    write_image(path, np.tile(PHOTO, (8, 8, 1)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize(
    ("spoil", "outcome"),
    [
        (truncated, "unreadable_image"),
        (lambda path: path.write_bytes(b""), "unreadable_image"),
        (lambda path: path.write_text("no picture"), "unreadable_image"),
        (lambda path: path.mkdir(), "unreadable_image"),
        (lambda path: None, "missing_file"),
    ],
    ids=["truncated", "empty", "text", "folder", "missing"],
)
def test_damaged_files_are_named(tmp_path: Path, suffix: str, spoil: Callable[[Path], object], outcome: str) -> None:
    path = tmp_path / f"bad.{suffix}"
    spoil(path)
    for reader in READERS[:4]:
        with pytest.raises(UnreadableImageError, match=rf"bad\.{suffix}") as caught:
            reader(path)
        assert caught.value.outcome == outcome


def test_huge_images_are_refused_before_decoding(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", PHOTO)
    assert read_image(tmp_path / "a.png", max_pixels=40 * 56).shape == PHOTO.shape
    with pytest.raises(UnreadableImageError, match="40 x 56") as caught:
        read_image(tmp_path / "a.png", max_pixels=40 * 56 - 1)
    assert caught.value.outcome == "image_too_large"

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))
    with pytest.raises(UnreadableImageError, match=r"bomb\.png.*(limit|exceeds)"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize("name", ["a.gif", "a", "a.webp"])
def test_only_jpeg_and_png_are_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"\.jpg or \.png"):
        write_image(tmp_path / name, PHOTO)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- writing


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="No space"):
            write_bytes(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_bytes() == b"old"
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_writing_makes_folders_and_long_names(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / ("n" * 240 + ".png")
    write_grey(path, np.zeros((2, 2), np.uint8))
    assert path.is_file()


def test_listing_is_sorted_and_leaves_other_files_out(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "sub/c.png", ".hidden.png", "notes.txt", ".a.png.12.partial"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_images(tmp_path)] == ["a.jpeg", "b.PNG"]
    assert [path.name for path in list_images(tmp_path, recursive=True)] == ["a.jpeg", "b.PNG", "c.png"]
    for wrong in ("gone", "notes.txt"):
        with pytest.raises(UserError, match="expected a folder"):
            list_images(tmp_path / wrong)


@pytest.mark.parametrize(
    ("size", "shrink", "expected"),
    [((64, 96), 1, (64, 96)), ((64, 96), 2, (32, 48)), ((64, 96), 3, (32, 48)), ((64, 96), 99, (8, 12)),
     ((64, 90), 4, (32, 45)), ((63, 96), 4, (63, 96)), ((60, 96), 8, (15, 24)), ((64, 96), 0, (64, 96))],
)  # fmt: skip
def test_jpegs_come_back_smaller_by_whole_factors(
    tmp_path: Path, size: tuple[int, int], shrink: int, expected: tuple[int, int]
) -> None:
    ramp = np.repeat(np.linspace(0, 255, size[1])[None, :, None], size[0], axis=0).repeat(3, axis=2).astype(np.uint8)
    for suffix in ("jpg", "png"):
        write_image(tmp_path / f"1.{suffix}", ramp)
    photo = read_image(tmp_path / "1.jpg", shrink=shrink)
    assert photo.shape == (*expected, 3)
    factor = size[1] // expected[1]
    averaged = ramp[0, :, 0].astype(float).reshape(-1, factor).mean(axis=1)
    assert abs(photo[0, :, 0] - averaged).max() < 4
    assert read_image(tmp_path / "1.png", shrink=shrink).shape == (*size, 3)


def test_a_turned_jpeg_is_shrunk_and_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((32, 64, 3), np.uint8)).save(tmp_path / "1.jpg", exif=exif)
    assert read_image(tmp_path / "1.jpg", shrink=2).shape == (32, 16, 3)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("white", [1, 15, 255])
def test_masks_are_found_wherever_they_lie(tmp_path: Path, mode: str, white: int) -> None:
    for box in (np.s_[0:1, 0:1], np.s_[3:7, 8:9], np.s_[9:10, 11:12], np.s_[:, :], np.s_[0:0, 0:0]):
        mask = np.zeros((10, 12), bool)
        mask[box] = True
        Image.fromarray(mask.astype(np.uint8) * np.uint8(white)).convert(mode).save(tmp_path / "1.png")
        np.testing.assert_array_equal(read_mask(tmp_path / "1.png"), mask)


def test_a_label_map_keeps_only_the_colours_it_uses(tmp_path: Path) -> None:
    label = np.random.default_rng(0).integers(0, 23, (40, 50), dtype=np.uint8)
    for ids in (label, label % 2, label * 0, label + 232):
        write_label(tmp_path / "label.png", ids)
        assert_array_equal(read_label(tmp_path / "label.png"), ids)
        assert_array_equal(read_image(tmp_path / "label.png"), PALETTE[ids])
    write_label(tmp_path / "label.png", label % 4)
    assert (tmp_path / "label.png").stat().st_size < label.size / 2


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("size", [(1, 1), (17, 31), (64, 48)])
def test_plain_jpegs_have_the_same_values_from_both_decoders(
    tmp_path: Path, size: tuple[int, int], subsampling: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(noise).save(path, quality=90, subsampling=subsampling)
    with Image.open(path) as image:
        assert_array_equal(read_image(path), np.asarray(image))
    path.write_bytes(path.read_bytes() + b"trailing bytes of some camera")
    with Image.open(path) as image:
        assert_array_equal(read_image(path), np.asarray(image))
