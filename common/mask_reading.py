"""Reading of masks: what is white in a file, told by meaning and not by file mode."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.image_decoding import (
    MAX_PIXELS,
    Image8,
    ImageSource,
    UnreadableImageError,
    decode_image,
    decode_plain_png,
    read_file,
    to_eight_bit,
)

LOSSY = frozenset({".jpg", ".jpeg", ".webp"})  # black and white are not quite so in these
FEW_VALUES = 16  # a mask of more values has soft edges; one of fewer holds classes, or something else by mistake

Mask = NDArray[np.bool_]


def read_mask(source: ImageSource, *, max_pixels: int = MAX_PIXELS, strict: bool = False) -> Mask:
    """Return the binary mask (H, W) in a file, told by meaning, not by file mode.

    Two-valued files {0, 1}, {0, 15}, {0, 255} are split at any value above 0; everything else (compression noise,
    soft edges, colours, 16 bits) is brought to 8 bits and split at > 127 in any channel. Alpha is ignored.

    Args:
        source: the file's path, or the file once it has been read.
        max_pixels: refuse images with more pixels than this before decoding them.
        strict: refuse lossless files of few values that are not two-valued, e.g. {0, 128, 255}: they mean something
            that nobody has told.

    Raises:
        UnreadableImageError: the file is damaged, or holds other values of at most 127, which look like class ids.
    """
    return read_white(source, max_pixels=max_pixels, strict=strict) > 0


def read_white(source: ImageSource, *, max_pixels: int = MAX_PIXELS, strict: bool = False) -> Image8:
    """Return 255 where `read_mask` says True, else 0, (H, W) uint8, which may be written to.

    Raises:
        UnreadableImageError: as `read_mask`.
    """
    file = read_file(source)
    png = decode_plain_png(file.content, max_pixels)
    if png is not None and not png.was_colour:
        return _white(_split(file.path, png.grey, strict=strict))
    if png is not None and _is_black_and_white(png.grey):
        return png.grey
    image = decode_image(file, max_pixels)
    image = _resolve_palette(image) if image.mode in ("P", "PA") else _mask_to_eight_bit(image)
    channels = np.asarray(image.convert("RGB") if image.mode in ("CMYK", "YCbCr", "RGBX") else image)
    if image.mode in ("RGBA", "LA"):
        channels = channels[..., :-1]
    if channels.dtype == np.bool_:
        return _white(channels.view(np.uint8) > 0)  # Pillow's own hold 255 for True
    return _white(_split(file.path, channels, strict=strict))


def _is_black_and_white(grey: Image8) -> bool:
    """Return whether the mean of the channels tells that all of them are 0 or 255, as they are in nearly all masks.

    A mean that is black all over does not: a channel of small ids may round to it.
    """
    not_black = cv2.countNonZero(grey)
    return not_black > 0 and cv2.sumElems(grey)[0] == 255 * not_black


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


def _white(mask: Mask) -> Image8:
    return mask.view(np.uint8) * np.uint8(255)


def _mask_to_eight_bit(image: Image.Image) -> Image.Image:
    """Return `image` with at most 8 bits a channel; values of 8 bits in a file of 16 stay what they are."""
    if image.mode.startswith("I") and np.asarray(image).max(initial=0) <= 255:
        return Image.fromarray(np.asarray(image).astype(np.uint8), "L")
    return to_eight_bit(image)


def _resolve_palette(image: Image.Image) -> Image.Image:
    """Return the ids where a palette image holds a two-valued mask of small ids, else its colours."""
    ids = np.asarray(image.convert("P") if image.mode == "PA" else image)
    if set(np.unique(ids).tolist()) <= {0, 1}:
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
        # A palette that paints id 1 darker than id 0 means ids; otherwise both readings agree.
        if colours.max(initial=0) <= 127 or colours.min(initial=255) == colours.max(initial=0):
            return Image.fromarray(ids.astype(np.uint8), "L")
    return image.convert("RGB")
