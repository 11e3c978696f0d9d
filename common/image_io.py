"""Reading and writing of images: the only place that knows colour order, EXIF, bit depths and file limits.

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

import functools
import io
import os
import zlib
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from common.errors import RecordError, UserError
from common.labels import PALETTE

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})
MAX_PIXELS = 128_000_000  # above the largest published photo (8192 x 8688), far below a decompression bomb
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own limit, above which it warns, is lower
# Where Pillow finds an orientation; without any of them, asking for it is a fifth of the time of a small mask.
HOLDS_ORIENTATION = frozenset({"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"})
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
LOSSY = frozenset({".jpg", ".jpeg", ".webp"})  # black and white are not quite so in these
FEW_VALUES = 16  # a mask of more values has soft edges; one of fewer holds classes, or something else by mistake
PNG_LEVEL = 1  # label maps shrink to a few kB at any level; level 1 is several times faster than the default
# Masks and alphas: rows as they are, runs counted; a third of the time of trying all row filters, and no larger.
GREY_PNG = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
COLOUR_PNG = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # since OpenCV 4.12
    GREY_PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
    COLOUR_PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB]

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class UnreadableImageError(RecordError):
    """An image file that is missing, damaged, too large, or of a kind that is not read."""

    def __init__(self, message: str, *, outcome: str = "unreadable_image") -> None:
        super().__init__(message, outcome=outcome)


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS, shrink: int = 1) -> Image8:
    """Return the photo at `path` as RGB (H, W, 3) uint8, upright.

    Args:
        path: a file of one of `FORMATS`.
        max_pixels: refuse images with more pixels than this before decoding them.
        shrink: a JPEG comes back smaller by the largest of 1, 2, 4 and 8 that is at most this and divides both
            sides, which decodes faster. Other formats come back whole.

    Raises:
        UnreadableImageError: the file is missing, truncated, too large or no image.
    """
    plain = _read_plain_jpeg(path, max_pixels) if shrink == 1 else None
    if plain is not None:
        return plain
    image = _to_eight_bit(_open(path, max_pixels, shrink))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _read_plain_jpeg(path: Path, max_pixels: int) -> Image8 | None:
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


def read_rgba(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image8:
    """Return the cut-out at `path` as RGBA (H, W, 4) uint8 with straight alpha, 255 where the file has none.

    Raises:
        UnreadableImageError: as `read_image`.
    """
    return np.asarray(_to_eight_bit(_open(path, max_pixels)).convert("RGBA"))


def read_label(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image8:
    """Return the class ids (H, W) uint8 stored in a palette or grey PNG.

    Raises:
        UnreadableImageError: the file is damaged or has colour channels instead of ids.
    """
    image = _open(path, max_pixels)
    if image.mode not in ("P", "L", "1"):
        raise UnreadableImageError(
            f"{path}: expected class ids in a palette or grey PNG, found mode {image.mode}; "
            "read black-and-white masks as masks, or convert the file"
        )
    return np.array(image, dtype=np.uint8)


def read_mask(path: Path, *, max_pixels: int = MAX_PIXELS, strict: bool = False) -> Mask:
    """Return the binary mask (H, W) at `path`, told by meaning, not by file mode.

    Two-valued files {0, 1}, {0, 15}, {0, 255} are split at any value above 0; everything else (compression noise,
    soft edges, colours, 16 bits) is brought to 8 bits and split at > 127 in any channel. Alpha is ignored.

    Args:
        strict: refuse lossless files of few values that are not two-valued, e.g. {0, 128, 255}: they mean something
            that nobody has told.

    Raises:
        UnreadableImageError: the file is damaged, or holds other values of at most 127, which look like class ids.
    """
    found = read_mask_in_box(path, max_pixels=max_pixels, strict=strict)
    mask = np.zeros(found.size, np.bool_)
    mask[found.box] = found.mask
    return mask


class MaskInBox(NamedTuple):
    """A mask of `size` (height, width) that is False outside `box`, a pair of slices, and `mask` in it."""

    size: tuple[int, int]
    box: tuple[slice, slice]
    mask: Mask


def read_mask_in_box(path: Path, *, max_pixels: int = MAX_PIXELS, strict: bool = False) -> MaskInBox:
    """Return what `read_mask` does, but of grey and RGB files only the box that is not black: parts of faces are small.

    Raises:
        UnreadableImageError: as `read_mask`.
    """
    image = _open(path, max_pixels)
    size = (image.height, image.width)
    if image.mode in ("L", "RGB"):
        left, top, right, bottom = image.getbbox() or (0, 0, 0, 0)
        inner = image.crop((left, top, right, bottom))
        grey = np.asarray(inner.convert("L"))
        # Black and white in all channels, as nearly all masks are, is told from a third of the bytes.
        plain = grey.size > 0 and grey.max() == 255 and cv2.countNonZero(cv2.inRange(grey, 1, 254)) == 0
        mask = grey > 127 if plain else _split(path, np.asarray(inner), strict=strict)
        return MaskInBox(size, np.s_[top:bottom, left:right], mask)
    image = _resolve_palette(image) if image.mode in ("P", "PA") else _mask_to_eight_bit(image)
    channels = np.asarray(image.convert("RGB") if image.mode in ("CMYK", "YCbCr", "RGBX") else image)
    if image.mode in ("RGBA", "LA"):
        channels = channels[..., :-1]
    mask = channels.copy() if channels.dtype == np.bool_ else _split(path, channels, strict=strict)
    return MaskInBox(size, np.s_[0 : size[0], 0 : size[1]], mask)


def _split(path: Path, channels: NDArray[Any], *, strict: bool = False) -> Mask:
    """Return where (H, W) or (H, W, C) uint8 means white, by the rules of `read_mask`."""
    grey: Image8 = functools.reduce(np.maximum, np.moveaxis(channels, 2, 0)) if channels.ndim == 3 else channels
    if grey.max(initial=0) > 127 and not (strict and path.suffix.lower() not in LOSSY):
        return grey > 127
    values = np.unique(grey)
    if values.size and values[-1] > 127 and (values.size > FEW_VALUES or set(values.tolist()) <= {0, 255}):
        return grey > 127
    if values.size == 0 or set(values.tolist()) <= {0, 1} or set(values.tolist()) <= {0, 15}:
        return grey > 0
    raise UnreadableImageError(
        f"{path}: expected a mask with values {{0,1}}, {{0,15}} or {{0,255}}, found {values[:FEW_VALUES].tolist()}; "
        "this looks like a label map of class ids: name it as labels, or convert it",
        outcome="not_a_mask",
    )


def write_image(path: Path, image: Image8, *, quality: int = 95) -> None:
    """Write RGB (H, W, 3) uint8 as JPEG or PNG (told by the suffix), whole or not at all.

    Args:
        quality: JPEG quality 1..100.

    Raises:
        UserError: the suffix is neither .jpg, .jpeg nor .png.
    """
    if image.ndim == 3 and path.suffix.lower() in (".jpg", ".jpeg"):
        _write_jpeg(path, image, quality=quality)
    else:
        _write(path, Image.fromarray(image, "RGB" if image.ndim == 3 else "L"), quality=quality)


def write_rgba(path: Path, rgba: Image8) -> None:
    """Write RGBA (H, W, 4) uint8, straight alpha, as PNG, in half of Pillow's time."""
    written, stream = cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA), COLOUR_PNG)
    assert written
    write_bytes(path, stream.tobytes())


def write_mask(path: Path, mask: Mask) -> None:
    """Write (H, W) bool as a grey PNG with the values 0 and 255."""
    write_grey(path, mask.astype(np.uint8) * np.uint8(255))


def write_zero_one(path: Path, mask: Mask) -> None:
    """Write (H, W) bool as a grey PNG with the values 0 and 1, which looks black; published sets want it so."""
    write_grey(path, mask.astype(np.uint8))


def write_grey(path: Path, grey: Image8) -> None:
    """Write (H, W) uint8 as a grey PNG, e.g. an alpha or a probability map."""
    written, stream = cv2.imencode(".png", np.ascontiguousarray(grey), GREY_PNG)
    assert written
    write_bytes(path, stream.tobytes())


def write_label(path: Path, label: Image8, *, palette: Image8 = PALETTE) -> None:
    """Write class ids (H, W) uint8 as a palette PNG, so that people can look at it.

    Args:
        palette: (256, 3) uint8 RGB, colour of each id.
    """
    image = Image.fromarray(label, "L")
    # Colours of higher ids would be a sixth of the file.
    image.putpalette(palette[: int(label.max(initial=0)) + 1].tobytes())
    _write(path, image)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to a temporary name in the same folder and rename it, so that no half file is ever seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by process number alone: processes of two machines may write the same file on a shared file system.
    shown = os.fsdecode(os.fsencode(path.name)[-200:])  # file systems count the bytes of a name, mostly up to 255
    partial = path.with_name(f".{shown}.{os.getpid()}-{os.urandom(4).hex()}.partial")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


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


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of the upright image from its header alone.

    Raises:
        UnreadableImageError: the header cannot be read.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) >= 5
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error
    return (width, height) if turned else (height, width)


def _open(path: Path, max_pixels: int, shrink: int = 1) -> Image.Image:
    """Return the decoded, upright image, a JPEG smaller by up to `shrink`."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise UnreadableImageError(
                    f"{path}: {image.height} x {image.width} pixels are above the limit of {max_pixels}; "
                    "shrink the image first",
                    outcome="image_too_large",
                )
            if image.format == "PNG":
                _check_png(path)
            factor = _whole_factor(image.size, shrink)
            if factor > 1:
                image.draft(None, (image.width // factor, image.height // factor))
            image.load()
            if image.format == "TIFF" or not HOLDS_ORIENTATION.isdisjoint(image.info):
                ImageOps.exif_transpose(image, in_place=True)
            return image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def _check_png(path: Path) -> None:
    """Raise `ValueError` where a part of a PNG does not fit its checksum; decoders of pixels do not look."""
    with path.open("rb") as stream:
        stream.seek(len(PNG_SIGNATURE))
        kind = b""
        while kind != b"IEND":
            length, kind = int.from_bytes(stream.read(4), "big"), stream.read(4)
            content, checksum = stream.read(length), stream.read(4)
            if len(checksum) < 4 or zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(checksum, "big"):
                raise ValueError(f"its part {kind.decode(errors='replace')!r} does not fit its checksum")


def _whole_factor(sides: tuple[int, int], shrink: int) -> int:
    """Return the factor to decode at; whole blocks only, as the padding of others would shift a turned photo."""
    return next((factor for factor in (8, 4, 2) if factor <= shrink and not any(side % factor for side in sides)), 1)


def _unreadable(path: Path, error: Exception) -> UnreadableImageError:
    if isinstance(error, FileNotFoundError):
        return UnreadableImageError(f"{path}: no such file", outcome="missing_file")
    if isinstance(error, UnidentifiedImageError):
        reason = f"not an image of a known format ({', '.join(FORMATS)})"
    else:
        reason = str(error)
    return UnreadableImageError(f"{path}: cannot be read ({reason}); copy or download it again, or remove it")


def _to_eight_bit(image: Image.Image) -> Image.Image:
    """Return `image` with at most 8 bits a channel."""
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((np.clip(values, 0, 65535) >> 8).astype(np.uint8), "L")
    if image.mode == "F":
        return Image.fromarray(np.clip(np.asarray(image), 0, 255).astype(np.uint8), "L")
    return image


def _mask_to_eight_bit(image: Image.Image) -> Image.Image:
    """Return `image` with at most 8 bits a channel; values of 8 bits in a file of 16 stay what they are."""
    if image.mode.startswith("I") and np.asarray(image).max(initial=0) <= 255:
        return Image.fromarray(np.asarray(image).astype(np.uint8), "L")
    return _to_eight_bit(image)


def _resolve_palette(image: Image.Image) -> Image.Image:
    """Return the ids where a palette image holds a two-valued mask of small ids, else its colours."""
    ids = np.asarray(image.convert("P") if image.mode == "PA" else image)
    if set(np.unique(ids).tolist()) <= {0, 1}:
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
        # A palette that paints id 1 darker than id 0 means ids; otherwise both readings agree.
        if colours.max(initial=0) <= 127 or colours.min(initial=255) == colours.max(initial=0):
            return Image.fromarray(ids.astype(np.uint8), "L")
    return image.convert("RGB")


def _write_jpeg(path: Path, image: Image8, *, quality: int) -> None:
    """Write what Pillow would, a fifth faster."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    written, stream = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert written
    write_bytes(path, stream.tobytes())


def _write(path: Path, image: Image.Image, *, quality: int = 95) -> None:
    stream = io.BytesIO()
    match path.suffix.lower():
        case ".jpg" | ".jpeg":
            image.save(stream, "JPEG", quality=quality)
        case ".png":
            image.save(stream, "PNG", compress_level=PNG_LEVEL)
        case other:
            raise UserError(f"{path}: images are written as .jpg or .png, not as {other or 'a name without suffix'}")
    write_bytes(path, stream.getvalue())
