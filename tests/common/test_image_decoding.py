"""The fast way of decoding says what Pillow says, and leaves to it whatever is not plain."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image

from common.image_decoding import (
    FileContent,
    decode_image,
    decode_plain_jpeg,
    decode_plain_png,
    decode_unfiltered_png,
    png_chunk,
    read_file,
)
from common.image_io import MAX_PIXELS, UnreadableImageError, image_size, read_image, read_label, read_mask, write_label

RNG = np.random.default_rng(0)
ROUND = np.asarray(cv2.ellipse(np.zeros((40, 56), np.uint8), (25, 20), (18, 12), 30, 0, 360, 255, -1))


def png(kind: int, pixels: NDArray[np.uint8], *more: bytes) -> bytes:
    """Return a PNG without row filters, with further chunks before its pixels."""
    rows = np.pad(pixels.reshape(len(pixels), -1), ((0, 0), (1, 0)))
    header = struct.pack(">IIBBBBB", pixels.shape[1], len(pixels), 8, kind, 0, 0, 0)
    chunks = [
        png_chunk(b"IHDR", header),
        *more,
        png_chunk(b"IDAT", zlib.compress(rows.tobytes())),
        png_chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("shrink", [2, 4, 8])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpegs_are_shrunk_to_the_same_values_by_both_decoders(tmp_path: Path, shrink: int, subsampling: int) -> None:
    noise = cv2.GaussianBlur(RNG.integers(0, 256, (64, 96, 3), dtype=np.uint8), (0, 0), 2)
    Image.fromarray(noise).save(tmp_path / "a.jpg", subsampling=subsampling)
    file = read_file(tmp_path / "a.jpg")
    plain = decode_plain_jpeg(file, MAX_PIXELS, shrink)
    assert plain is not None
    assert plain.shape == (64 // shrink, 96 // shrink, 3)
    assert_array_equal(plain, np.asarray(decode_image(file, MAX_PIXELS, shrink)))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"icc_profile": bytes(200)}, {"comment": b"a"}])
def test_ordinary_jpegs_need_no_pillow(tmp_path: Path, options: dict[str, Any]) -> None:
    photo = cv2.GaussianBlur(RNG.integers(0, 256, (40, 56, 3), dtype=np.uint8), (0, 0), 2)
    Image.fromarray(photo).save(tmp_path / "a.jpg", **options)
    file = read_file(tmp_path / "a.jpg")
    plain = decode_plain_jpeg(file, MAX_PIXELS)
    assert plain is not None
    assert_array_equal(plain, np.asarray(decode_image(file, MAX_PIXELS)))
    assert decode_plain_jpeg(file, 40 * 56 - 1) is None
    header = file.content.index(b"\xff\xda")
    for position in range(header):
        spoilt = bytearray(file.content)
        spoilt[position] ^= 1 << int(RNG.integers(8))
        for content in (bytes(spoilt), file.content[:position]):
            changed = FileContent(file.path, content)
            found = decode_plain_jpeg(changed, MAX_PIXELS)
            assert found is None or found.shape[:2] == image_size(changed)


@pytest.mark.parametrize(
    ("mode", "options"),
    [("L", {}), ("CMYK", {}), ("RGB", {"exif": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00"}),
     ("RGB", {"xmp": b"<x:xmpmeta/>"})],
)  # fmt: skip
def test_jpegs_of_other_channels_or_with_an_orientation_are_left_to_pillow(
    tmp_path: Path, mode: str, options: dict[str, bytes]
) -> None:
    Image.fromarray(ROUND).convert(mode).save(tmp_path / "a.jpg", **options)
    assert decode_plain_jpeg(read_file(tmp_path / "a.jpg"), MAX_PIXELS) is None


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("values", [(0, 255), (0, 1), (0, 15), (0, 254), (40, 200)])
def test_plain_masks_mean_the_same_to_both_decoders(
    tmp_path: Path, channels: int, values: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = np.where(ROUND > 0, np.uint8(values[1]), np.uint8(values[0]))
    pixels = grey if channels == 1 else np.dstack([grey] * 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert decode_plain_png((tmp_path / "a.png").read_bytes(), MAX_PIXELS) is not None
    plain = read_mask(tmp_path / "a.png")
    monkeypatch.setattr("common.mask_reading.decode_plain_png", lambda *_: None)
    assert_array_equal(plain, read_mask(tmp_path / "a.png"))
    assert_array_equal(plain, ROUND > 0)


@pytest.mark.parametrize("colour", [(0, 0, 1), (1, 0, 0), (0, 0, 15), (0, 0, 255), (0, 255, 0), (0, 0, 128)])
def test_one_channel_is_enough_to_be_white(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    pixels = np.where(ROUND[..., None] > 0, np.array(colour, np.uint8), np.uint8(0))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert_array_equal(read_mask(tmp_path / "a.png"), ROUND > 0)


@pytest.mark.parametrize(
    ("kind", "chunk"),
    [(0, (b"tRNS", b"\x00\xff")), (2, (b"tRNS", b"\x00\xff\x00\xff\x00\xff")), (0, (b"tEXt", b"a\x00b")),
     (0, (b"gAMA", struct.pack(">I", 10_000))), (0, (b"eXIf", b"MM\x00*\x00\x00\x00\x08\x00\x00"))],
)  # fmt: skip
def test_chunks_that_could_matter_are_left_to_pillow(kind: int, chunk: tuple[bytes, bytes]) -> None:
    pixels = ROUND if kind == 0 else np.dstack([ROUND] * 3)
    assert decode_plain_png(png(kind, pixels), MAX_PIXELS) is not None
    assert decode_plain_png(png(kind, pixels, png_chunk(*chunk)), MAX_PIXELS) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_a_damaged_mask_is_refused_or_reads_as_pillow_reads_it(tmp_path: Path, channels: int) -> None:
    Image.fromarray(ROUND if channels == 1 else np.dstack([ROUND] * 3)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    for position in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[position] ^= 1 << int(RNG.integers(8))
        for content in (bytes(spoilt), whole[:position]):
            plain = decode_plain_png(content, MAX_PIXELS)
            if plain is not None:
                # Pillow, too, must find it whole.
                pillow = decode_image(FileContent(tmp_path / "a.png", content), MAX_PIXELS)
                assert_array_equal(plain.grey, np.asarray(pillow.convert("L")))


@pytest.mark.parametrize("size", [(1, 1), (40, 56), (3, 300)])
def test_label_maps_as_they_are_written_need_no_pillow(tmp_path: Path, size: tuple[int, int]) -> None:
    label = RNG.integers(0, 24, size, dtype=np.uint8)
    write_label(tmp_path / "a.png", label)
    content = (tmp_path / "a.png").read_bytes()
    ids = decode_unfiltered_png(content, MAX_PIXELS)
    assert ids is not None
    assert_array_equal(ids, label)
    assert_array_equal(ids, np.asarray(decode_image(read_file(tmp_path / "a.png"), MAX_PIXELS)))
    assert ids.flags.writeable
    assert ids.flags.c_contiguous
    assert decode_unfiltered_png(content, label.size - 1) is None
    with pytest.raises(UnreadableImageError, match="above the limit"):
        read_label(tmp_path / "a.png", max_pixels=label.size - 1)


def test_other_label_maps_are_left_to_pillow(tmp_path: Path) -> None:
    filtered = cv2.imencode(".png", ROUND, [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP])[1].tobytes()
    turned = png(0, ROUND, png_chunk(b"eXIf", b"MM\x00*\x00\x00\x00\x08\x00\x00"))
    colours = png(2, np.dstack([ROUND] * 3))
    assert decode_unfiltered_png(png(0, ROUND), MAX_PIXELS) is not None
    for content in (filtered, turned, colours, b"", png(0, ROUND)[:30]):
        assert decode_unfiltered_png(content, MAX_PIXELS) is None
    (tmp_path / "a.png").write_bytes(filtered)
    assert_array_equal(read_label(tmp_path / "a.png"), ROUND)


def test_a_damaged_label_map_is_refused_or_reads_as_pillow_reads_it(tmp_path: Path) -> None:
    write_label(tmp_path / "a.png", ROUND // 255)
    whole = (tmp_path / "a.png").read_bytes()
    for position in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[position] ^= 1 << int(RNG.integers(8))
        for content in (bytes(spoilt), whole[:position]):
            assert decode_unfiltered_png(content, MAX_PIXELS) is None


def test_pixels_beyond_the_last_are_not_unpacked() -> None:
    header = struct.pack(">IIBBBBB", 4, 2, 8, 0, 0, 0, 0)
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(100_000_000)))
    content = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + pixels + png_chunk(b"IEND", b"")
    ids = decode_unfiltered_png(content, MAX_PIXELS)
    assert ids is not None
    assert_array_equal(ids, np.zeros((2, 4), np.uint8))


def test_a_mask_wider_than_opencv_reads_is_read(tmp_path: Path) -> None:
    wide = np.zeros((1, (1 << 20) + 1), np.uint8)
    wide[0, -1] = 255
    (tmp_path / "wide.png").write_bytes(png(0, wide))
    assert read_mask(tmp_path / "wide.png")[0, -1]


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.95])
def test_pixels_that_end_early_are_damage_though_the_checksum_holds(tmp_path: Path, kept: float) -> None:
    rows = np.pad(RNG.integers(0, 2, ROUND.shape, dtype=np.uint8) * np.uint8(255), ((0, 0), (1, 0)))
    stream = zlib.compress(rows.tobytes())
    header = struct.pack(">IIBBBBB", ROUND.shape[1], ROUND.shape[0], 8, 0, 0, 0, 0)
    pixels = png_chunk(b"IDAT", stream[: int(kept * len(stream))])
    content = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + pixels + png_chunk(b"IEND", b"")
    (tmp_path / "short.png").write_bytes(content)
    for read in (read_mask, read_label):
        with pytest.raises(UnreadableImageError, match=r"short\.png"):
            read(tmp_path / "short.png")


def test_a_file_that_has_been_read_needs_no_disk(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([ROUND] * 3)).save(tmp_path / "photo.jpg")
    Image.fromarray(ROUND).save(tmp_path / "mask.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(ROUND).save(tmp_path / "turned.jpg", exif=exif)
    names = ("photo.jpg", "mask.png", "turned.jpg")
    readers = (image_size, read_image, read_mask)
    before = [reader(tmp_path / name) for name in names for reader in readers]
    files = [read_file(tmp_path / name) for name in names]
    label, label_file = read_label(tmp_path / "mask.png"), read_file(tmp_path / "mask.png")
    for name in names:
        (tmp_path / name).unlink()
    for expected, found in zip(before, [reader(file) for file in files for reader in readers], strict=True):
        assert_array_equal(expected, found)
    assert_array_equal(read_label(label_file), label)
    with pytest.raises(UnreadableImageError, match=r"gone\.png: no such file"):
        read_file(tmp_path / "gone.png")
