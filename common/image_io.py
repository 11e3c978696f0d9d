"""Reading and writing of images: the only place that knows colour order, EXIF, bit depths and file limits.

Files become pixels in `common.image_decoding`; what is white in a mask is told in `common.mask_reading`.

In memory: images are RGB (H, W, 3) uint8, cut-outs RGBA (H, W, 4) uint8 with straight alpha, masks (H, W) bool,
label maps (H, W) uint8 class ids. Conversion rules of `read_image`:

| in the file            | becomes                                               |
|------------------------|-------------------------------------------------------|
| EXIF orientation       | applied                                               |
| grey, 1-bit, palette   | three equal or looked-up channels                     |
| 16 bits a channel      | the upper 8 bits                                      |
| CMYK                   | RGB                                                   |
| an alpha channel       | dropped, colours as stored (`read_rgba` keeps it)     |
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Set
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from common import image_decoding, mask_reading
from common.errors import UserError
from common.image_decoding import (
    DAMAGE,
    FORMATS,
    HOLDS_ORIENTATION,
    MAX_PIXELS,
    PNG_PALETTE,
    FileContent,
    Image8,
    ImageSource,
    UnreadableImageError,
    decode_image,
    decode_plain_jpeg,
    decode_unfiltered_png,
    path_of,
    png_chunk,
    read_file,
    to_eight_bit,
    unreadable,
)
from common.labels import PALETTE
from common.mask_reading import Mask, read_mask

__all__ = [
    "FORMATS", "MAX_PIXELS", "READING_CODE", "SUFFIXES", "FileContent", "Image8", "ImageSource", "Mask",
    "UnreadableImageError", "image_size", "list_images", "read_file", "read_image", "read_label", "read_mask",
    "read_rgba", "write_bytes", "write_grey", "write_image", "write_label", "write_mask", "write_rgba",
    "write_zero_one",
]  # fmt: skip

# For those who keep what they read, and must know when it would be read otherwise.
READING_CODE = tuple(Path(name) for name in (__file__, image_decoding.__file__, mask_reading.__file__))
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})
PNG_LEVEL = 1  # label maps shrink to a few kB at any level; level 1 is several times faster than the default
# Label maps, which a training reads in every epoch: rows as they are, repetitions looked for, also in the row above. A
# third longer to write than with runs alone, half as long to read; the next level takes twice as long to write.
LABEL_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT]
# Masks and alphas: rows as they are, runs counted; a third of the time of trying all row filters, and no larger.
GREY_PNG = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
# Cut-outs: differences to the row above, runs counted; a fifth less time than looking for repetitions, 2 % larger.
COLOUR_PNG = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # since OpenCV 4.12
    LABEL_PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
    GREY_PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
    COLOUR_PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS, shrink: int = 1) -> Image8:
    """Return the photo as RGB (H, W, 3) uint8, upright.

    Args:
        source: path of a file of one of `FORMATS`, or the file once it has been read.
        max_pixels: refuse images with more pixels than this before decoding them.
        shrink: a JPEG comes back smaller by the largest of 1, 2, 4 and 8 that is at most this and divides both
            sides, which decodes faster. Other formats come back whole.

    Raises:
        UnreadableImageError: the file is missing, truncated, too large or no image.
    """
    file = read_file(source)
    plain = decode_plain_jpeg(file, max_pixels, shrink)
    if plain is not None:
        return plain
    image = to_eight_bit(decode_image(file, max_pixels, shrink))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def read_rgba(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image8:
    """Return the cut-out at `path` as RGBA (H, W, 4) uint8 with straight alpha, 255 where the file has none.

    Raises:
        UnreadableImageError: as `read_image`.
    """
    return np.asarray(to_eight_bit(decode_image(read_file(path), max_pixels)).convert("RGBA"))


def read_label(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Image8:
    """Return the class ids (H, W) uint8 stored in a palette or grey PNG.

    Raises:
        UnreadableImageError: the file is damaged or has colour channels instead of ids.
    """
    file = read_file(source)
    ids = decode_unfiltered_png(file.content, max_pixels)
    if ids is not None:
        return ids
    image = decode_image(file, max_pixels)
    if image.mode not in ("P", "L", "1"):
        raise UnreadableImageError(
            f"{file.path}: expected class ids in a palette or grey PNG, found mode {image.mode}; "
            "read black-and-white masks as masks, or convert the file"
        )
    return np.array(image, dtype=np.uint8)


def write_image(path: Path, image: Image8, *, quality: int = 95) -> str:
    """Write RGB (H, W, 3) uint8 as JPEG or PNG (told by the suffix), whole or not at all; return its SHA-256.

    Args:
        quality: JPEG quality 1..100.

    Raises:
        UserError: the suffix is neither .jpg, .jpeg nor .png.
    """
    if image.ndim == 3 and path.suffix.lower() in (".jpg", ".jpeg"):
        return _write_jpeg(path, image, quality=quality)
    return _write(path, Image.fromarray(image, "RGB" if image.ndim == 3 else "L"), quality=quality)


def write_rgba(path: Path, rgba: Image8) -> str:
    """Write RGBA (H, W, 4) uint8, straight alpha, as PNG, in half of Pillow's time; return its SHA-256."""
    written, stream = cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA), COLOUR_PNG)
    assert written
    return write_bytes(path, stream.tobytes())


def write_mask(path: Path, mask: Mask) -> str:
    """Write (H, W) bool as a grey PNG with the values 0 and 255; return its SHA-256."""
    return write_grey(path, mask.astype(np.uint8) * np.uint8(255))


def write_zero_one(path: Path, mask: Mask) -> str:
    """Write (H, W) bool as a grey PNG with the values 0 and 1, which looks black, as published; return its SHA-256."""
    return write_grey(path, mask.astype(np.uint8))


def write_grey(path: Path, grey: Image8) -> str:
    """Write (H, W) uint8 as a grey PNG, e.g. an alpha or a probability map; return its SHA-256."""
    written, stream = cv2.imencode(".png", np.ascontiguousarray(grey), GREY_PNG)
    assert written
    return write_bytes(path, stream.tobytes())


def write_label(path: Path, label: Image8, *, palette: Image8 = PALETTE) -> str:
    """Write class ids (H, W) uint8 as a palette PNG, so that people can look at it; return its SHA-256.

    Args:
        palette: (256, 3) uint8 RGB, colour of each id.
    """
    written, stream = cv2.imencode(".png", np.ascontiguousarray(label), LABEL_PNG)
    assert written
    # Colours of higher ids would be a sixth of the file.
    return write_bytes(path, _with_palette(stream.tobytes(), palette[: int(label.max(initial=0)) + 1]))


def _with_palette(png: bytes, palette: Image8) -> bytes:
    """Return a grey PNG of 8 bits as one whose values are looked up in `palette`, (N, 3) uint8.

    Both hold the same pixels; the colour type in the header changes, and the palette follows it.
    """
    signature, header, rest = png[:8], png[16:29], png[33:]
    header = header[:9] + bytes([PNG_PALETTE]) + header[10:]
    return signature + png_chunk(b"IHDR", header) + png_chunk(b"PLTE", palette.tobytes()) + rest


def write_bytes(path: Path, content: bytes) -> str:
    """Write `content` to a temporary name in the same folder and rename it, so that no half file is ever seen.

    Returns:
        The SHA-256 of what was written, as 64 hexadecimal digits.
    """
    # Not by process number alone: processes of two machines may write the same file on a shared file system.
    shown = os.fsdecode(os.fsencode(path.name)[-200:])  # file systems count the bytes of a name, mostly up to 255
    partial = path.with_name(f".{shown}.{os.getpid()}-{os.urandom(4).hex()}.partial")
    try:
        with _open_new(partial) as stream:
            stream.write(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return hashlib.sha256(content).hexdigest()


def _open_new(path: Path) -> BinaryIO:
    """Return the file, open for writing; its folder is made if it is not there, which is asked only then."""
    try:
        return path.open("wb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")


def list_images(folder: Path, *, recursive: bool = False, suffixes: Set[str] = SUFFIXES) -> list[Path]:
    """Return the image files in `folder`, sorted by path, hidden files left out.

    Args:
        recursive: with its sub-folders.
        suffixes: of image files, lower case.

    Raises:
        UserError: the folder does not exist.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: expected a folder with images, found {'a file' if folder.exists() else 'nothing'}")
    entries: Iterable[Path] = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(
        entry
        for entry in entries
        if entry.suffix.lower() in suffixes and not entry.name.startswith(".") and entry.is_file()
    )


def image_size(source: ImageSource) -> tuple[int, int]:
    """Return (height, width) of the upright image from its header alone.

    Raises:
        UnreadableImageError: the header cannot be read.
    """
    path = path_of(source)
    try:
        if isinstance(source, FileContent):
            return _upright_size(source.opened)
        with Image.open(path, formats=FORMATS) as image:
            return _upright_size(image)
    except DAMAGE as error:
        raise unreadable(path, error) from error


def _upright_size(image: Image.Image) -> tuple[int, int]:
    # PNG and TIFF may say it behind what has been read.
    asked = image.format != "JPEG" or not HOLDS_ORIENTATION.isdisjoint(image.info)
    turned = asked and image.getexif().get(0x0112, 1) >= 5
    return (image.width, image.height) if turned else (image.height, image.width)


def _write_jpeg(path: Path, image: Image8, *, quality: int) -> str:
    """Write what Pillow would, a fifth faster."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    written, stream = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert written
    return write_bytes(path, stream.tobytes())


def _write(path: Path, image: Image.Image, *, quality: int = 95) -> str:
    stream = io.BytesIO()
    match path.suffix.lower():
        case ".jpg" | ".jpeg":
            image.save(stream, "JPEG", quality=quality)
        case ".png":
            image.save(stream, "PNG", compress_level=PNG_LEVEL)
        case other:
            raise UserError(f"{path}: images are written as .jpg or .png, not as {other or 'a name without suffix'}")
    return write_bytes(path, stream.getvalue())
