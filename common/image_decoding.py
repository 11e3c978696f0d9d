"""From the bytes of an image file to pixels: limits, formats, orientation, bit depths and damage."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from common.errors import RecordError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")
MAX_PIXELS = 128_000_000  # above the largest published photo (8192 x 8688), far below a decompression bomb
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own limit, above which it warns, is lower
# Where Pillow finds an orientation; without any of them, asking for it is a fifth of the time of a small mask.
HOLDS_ORIENTATION = frozenset({"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"})

# What OpenCV decodes at; the flags of its names bring a colour order with them that it lets nobody change.
REDUCED = {
    1: 0, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}  # fmt: skip
JPEG_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
JPEG_PIXELS, JPEG_EXIF_OR_XMP = 0xDA, 0xE1
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_START = PNG_SIGNATURE + b"\x00\x00\x00\x0dIHDR"
PNG_HEADER_BYTES = 33
PNG_END = b"IEND\xaeB`\x82"
MAX_PNG_SIDE_PX = 1 << 20  # OpenCV's own limit
PLAIN_CHUNKS = frozenset({b"IHDR", b"IDAT", b"IEND", b"pHYs"})
PNG_GREY, PNG_RGB, PNG_PALETTE = 0, 2, 3  # colour types of the PNG specification

Image8 = NDArray[np.uint8]


class UnreadableImageError(RecordError):
    """An image file that is missing, damaged, too large, or of a kind that is not read."""

    def __init__(self, message: str, *, outcome: str = "unreadable_image") -> None:
        super().__init__(message, outcome=outcome)


# What Pillow raises for files that are no images, or damaged ones.
DAMAGE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class FileContent:
    """A file that has been read, so that the same bytes can be measured, decoded and summed up."""

    path: Path
    content: bytes

    @functools.cached_property
    def opened(self) -> Image.Image:
        """The image as its header describes it, without its pixels.

        Raises:
            UnreadableImageError: the file is no image.
        """
        try:
            return Image.open(io.BytesIO(self.content), formats=FORMATS)
        except DAMAGE as error:
            raise unreadable(self.path, error) from error


ImageSource = Path | FileContent


def path_of(source: ImageSource) -> Path:
    """Return where the file lies."""
    return source.path if isinstance(source, FileContent) else source


def read_file(source: ImageSource) -> FileContent:
    """Return the file with its bytes; nothing is done where they are there already.

    Raises:
        UnreadableImageError: the file is missing or cannot be read.
    """
    if isinstance(source, FileContent):
        return source
    try:
        return FileContent(source, source.read_bytes())
    except OSError as error:
        raise unreadable(source, error) from error


def decode_image(file: FileContent, max_pixels: int, shrink: int = 1) -> Image.Image:
    """Return the decoded, upright image, a JPEG smaller by up to `shrink`.

    Raises:
        UnreadableImageError: the file is damaged, too large or no image.
    """
    try:
        with Image.open(io.BytesIO(file.content), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise UnreadableImageError(
                    f"{file.path}: {image.height} x {image.width} pixels are above the limit of {max_pixels}; "
                    "shrink the image first",
                    outcome="image_too_large",
                )
            if image.format == "PNG":
                deque(_checked_chunks(file.content), maxlen=0)
            factor = _whole_factor(image.size, shrink)
            if factor > 1:
                image.draft(None, (image.width // factor, image.height // factor))
            image.load()
            if image.format == "TIFF" or not HOLDS_ORIENTATION.isdisjoint(image.info):
                ImageOps.exif_transpose(image, in_place=True)
            return image
    except DAMAGE as error:
        raise unreadable(file.path, error) from error


def _checked_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of the parts of a PNG; decoders of pixels do not look at their checksums.

    Raises:
        ValueError: one does not fit.
    """
    at, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        length, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        end = at + 8 + length
        if len(content) < end + 4 or zlib.crc32(content[at + 4 : end]) != int.from_bytes(content[end : end + 4]):
            raise ValueError(f"its part {kind.decode(errors='replace')!r} does not fit its checksum")
        yield kind, content[at + 8 : end]
        at = end + 4


def _whole_factor(sides: tuple[int, int], shrink: int) -> int:
    """Return the factor to decode at; whole blocks only, as the padding of others would shift a turned photo."""
    return next((factor for factor in (8, 4, 2) if factor <= shrink and not any(side % factor for side in sides)), 1)


def unreadable(path: Path, error: Exception) -> UnreadableImageError:
    """Return the error that names the file, what is wrong with it, and what to do."""
    if isinstance(error, FileNotFoundError):
        return UnreadableImageError(f"{path}: no such file", outcome="missing_file")
    if isinstance(error, UnidentifiedImageError):
        reason = f"not an image of a known format ({', '.join(FORMATS)})"
    else:
        reason = str(error)
    return UnreadableImageError(f"{path}: cannot be read ({reason}); copy or download it again, or remove it")


def to_eight_bit(image: Image.Image) -> Image.Image:
    """Return `image` with at most 8 bits a channel."""
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((np.clip(values, 0, 65535) >> 8).astype(np.uint8), "L")
    if image.mode == "F":
        return Image.fromarray(np.clip(np.asarray(image), 0, 255).astype(np.uint8), "L")
    return image


def decode_plain_jpeg(file: FileContent, max_pixels: int, shrink: int = 1) -> Image8 | None:
    """Return an ordinary JPEG, whole, upright and of three channels, decoded by OpenCV; None for all else.

    The same values as `decode_image`'s in less time. What is damaged or special is left to Pillow, which says so.
    """
    size = _plain_jpeg_size(file.content)
    if size is None or size[0] * size[1] > max_pixels:
        return None
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION | REDUCED[_whole_factor(size, shrink)]
    return cv2.imdecode(np.frombuffer(file.content, np.uint8), flags)


def _plain_jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Return (height, width) of a JPEG that is whole, of three channels, and says nothing of its orientation.

    None for all else. It takes a fifth of Pillow's time for a header.
    """
    if not (content.startswith(b"\xff\xd8") and content.endswith(b"\xff\xd9")):
        return None
    size, at = None, 2
    while at + 10 <= len(content) and content[at] == 0xFF:
        kind = content[at + 1]
        if kind == JPEG_PIXELS:
            return size
        if kind == JPEG_EXIF_OR_XMP or not 0xC0 <= kind <= 0xFE or 0xD0 <= kind <= 0xD9:
            return None
        if kind in JPEG_FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", content, at + 4)
            if size is not None or bits != 8 or channels != 3 or height * width == 0:
                return None
            size = height, width
        at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4]))
    return None


class PlainPng(NamedTuple):
    """A decoded PNG: (H, W) uint8, `grey` as stored or a weighted mean of three channels, if `was_colour`."""

    grey: Image8
    was_colour: bool


def decode_plain_png(content: bytes, max_pixels: int) -> PlainPng | None:
    """Return an ordinary PNG, whole, of 8 bits and one or three channels, decoded by OpenCV; None for all else.

    What is damaged or special is left to Pillow, which says so.
    """
    if not _has_plain_chunks(content):
        return None
    width, height, bits, colour_type = struct.unpack_from(">IIBB", content, 16)
    too_large = width * height > max_pixels or max(width, height) > MAX_PNG_SIDE_PX
    if bits != 8 or colour_type not in (PNG_GREY, PNG_RGB) or too_large:
        return None
    grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if grey is None else PlainPng(grey, colour_type == PNG_RGB)


def decode_unfiltered_png(content: bytes, max_pixels: int) -> Image8 | None:
    """Return the ids (H, W) in a PNG as label maps are written: of 8 bits, palette or grey, rows as they are.

    None for all else: what is damaged or special is left to Pillow, which says so, and whose pixels would be copied
    twice more.
    """
    if not content.startswith(PNG_START) or len(content) < PNG_HEADER_BYTES:
        return None
    width, height, *kind = struct.unpack_from(">IIBBBBB", content, 16)
    if kind not in ([8, PNG_GREY, 0, 0, 0], [8, PNG_PALETTE, 0, 0, 0]) or not 0 < width * height <= max_pixels:
        return None
    length = height * (width + 1)
    try:
        chunks = list(_checked_chunks(content))
        stream = b"".join(chunk for name, chunk in chunks if name == b"IDAT")
        pixels = zlib.decompressobj().decompress(stream, length)
    except (ValueError, zlib.error):
        return None
    rows = np.frombuffer(pixels, np.uint8)
    if len(rows) < length or not {name for name, _ in chunks} <= PLAIN_CHUNKS | {b"PLTE"}:
        return None
    rows = rows.reshape(height, width + 1)
    return None if rows[:, 0].any() else rows[:, 1:].copy()


def _has_plain_chunks(content: bytes) -> bool:
    """Return whether a PNG is whole to its end, and holds pixels and nothing that could change their meaning."""
    if not content.startswith(PNG_START) or not content.endswith(PNG_END):
        return False
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if kind not in PLAIN_CHUNKS:
            return False
        at += 12 + length  # with its length, its kind, and a checksum that the decoder looks at
    return at == len(content)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk as it stands in a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
