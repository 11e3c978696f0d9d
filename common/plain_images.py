"""Quick readers of ordinary JPEG and PNG files, which training opens by the thousand a second.

Both return what Pillow would, in half to two thirds of its time, or None: what is damaged, special or too large is left
to Pillow, which says so. See `common.image_io`.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image8 = NDArray[np.uint8]

JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive
JPEG_HARMLESS = frozenset({0xE0, 0xDB, 0xC4, 0xDD, 0xFE})  # JFIF, tables, restart interval, comment: no orientation
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_PLAIN = frozenset({b"\x08\x00\x00\x00\x00", b"\x08\x03\x00\x00\x00"})  # 8 bits, grey or palette, not interlaced
PNG_HARMLESS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"pHYs"})


def read_plain_jpeg(path: Path, max_pixels: int) -> Image8 | None:
    """Return a JPEG of three channels without orientation as (H, W, 3) uint8 RGB, decoded by OpenCV; None for others.

    Args:
        max_pixels: larger ones are left to Pillow.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    size = _jpeg_size(content)
    if size is None or size[0] * size[1] > max_pixels:
        return None
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Return (height, width); None where anything but JFIF, tables and comments stands before them."""
    if not (content.startswith(b"\xff\xd8") and content.endswith(b"\xff\xd9")):
        return None
    at = 2
    while at + 10 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if marker in JPEG_FRAMES:
            height, width, channels = struct.unpack(">HHB", content[at + 5 : at + 10])
            return (height, width) if channels == 3 else None
        if marker not in JPEG_HARMLESS:
            return None
        at += 2 + length
    return None


def read_plain_png(path: Path, max_pixels: int) -> Image8 | None:
    """Return the values (H, W) uint8 of a palette or grey PNG whose rows are stored as they are; None for others.

    That is how label maps of more than 16 classes are written, here and by Pillow. Unpacking is all that is left to do.

    Args:
        max_pixels: larger ones are left to Pillow.
    """
    try:
        content = path.read_bytes()
        signature, name, width, height, kind = struct.unpack(">8s4x4sII5s", content[:29])
    except (OSError, struct.error):
        return None
    if signature != PNG_SIGNATURE or name != b"IHDR" or kind not in PNG_PLAIN or width * height > max_pixels:
        return None
    count = height * (width + 1)
    unpacking = zlib.decompressobj()
    try:
        rows = unpacking.decompress(_packed_pixels(content), count + 1)
    except zlib.error:
        return None
    if not unpacking.eof or len(rows) != count:
        return None
    filtered = np.frombuffer(rows, np.uint8).reshape(height, width + 1)
    return None if filtered[:, 0].any() else filtered[:, 1:].copy()


def _packed_pixels(content: bytes) -> bytes:
    """Return the packed pixels of a PNG; nothing if it ends too early or holds what could turn the picture."""
    at, pieces = len(PNG_SIGNATURE), list[bytes]()
    while at + 12 <= len(content):
        length, name = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        if name == b"IEND":
            return b"".join(pieces)
        if name == b"IDAT":
            pieces.append(content[at + 8 : at + 8 + length])
        elif name not in PNG_HARMLESS:
            return b""
        at += 12 + length
    return b""
