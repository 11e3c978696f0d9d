"""From the bytes of an image file to pixels: limits, formats, orientation, bit depths and damage."""

from __future__ import annotations

import io
from pathlib import Path

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

Image8 = NDArray[np.uint8]


class UnreadableImageError(RecordError):
    """An image file that is missing, damaged, too large, or of a kind that is not read."""

    def __init__(self, message: str, *, outcome: str = "unreadable_image") -> None:
        super().__init__(message, outcome=outcome)


def open_image(path: Path, max_pixels: int, shrink: int = 1) -> Image.Image:
    """Return the decoded, upright image, a JPEG smaller by up to `shrink`.

    Raises:
        UnreadableImageError: the file is missing, damaged, too large or no image.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise UnreadableImageError(
                    f"{path}: {image.height} x {image.width} pixels are above the limit of {max_pixels}; "
                    "shrink the image first",
                    outcome="image_too_large",
                )
            factor = _whole_factor(image.size, shrink)
            if factor > 1:
                image.draft(None, (image.width // factor, image.height // factor))
            image.load()
            if image.format == "TIFF" or not HOLDS_ORIENTATION.isdisjoint(image.info):
                ImageOps.exif_transpose(image, in_place=True)
            return image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise unreadable(path, error) from error


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


def read_plain_jpeg(path: Path, max_pixels: int) -> Image8 | None:
    """Return an ordinary JPEG, whole, upright and of three channels, decoded by OpenCV; None for all else.

    The same values as Pillow's in two thirds of the time. What is damaged or special is left to Pillow, which says so.
    """
    try:
        content = path.read_bytes()
        if not (content.startswith(b"\xff\xd8") and content.endswith(b"\xff\xd9")):
            return None
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            turned = not HOLDS_ORIENTATION.isdisjoint(image.info)
            if image.mode != "RGB" or turned or image.width * image.height > max_pixels:
                return None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
