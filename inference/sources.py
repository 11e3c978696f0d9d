"""What `infer.py` can be pointed at, and how a photo of it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import RecordError
from common.image_io import SUFFIXES, UnreadableImageError, read_image
from common.manifest import sha256
from common.photo_list import PhotoList, find_photos

# Photos of people's phones and the web that are not read: they are listed with the way out, not passed over.
NOT_READ = frozenset({".heic", ".heif", ".avif", ".gif", ".jxl"})
LONGEST_SIDE_PX = 65_500  # of a JPEG, which overlays are


def find_inputs(pattern: str, *, leave_out: Path) -> PhotoList:
    """Return the photos of a file, a folder, a pattern or a list, with those of formats that are not read.

    Args:
        pattern: see `common.photo_list.find_photos`.
        leave_out: the output folder.

    Raises:
        UserError: there is no photo, or two photos would write the same files.
    """
    return find_photos(pattern, leave_out=leave_out, suffixes=SUFFIXES | NOT_READ)


def read_photo(path: Path) -> tuple[NDArray[np.uint8], str]:
    """Return the photo (H, W, 3) uint8 RGB, upright, and the SHA-256 of its file.

    Raises:
        RecordError: it cannot be read, or is larger than results can be written for.
    """
    try:
        digest = sha256(path)
        image = read_image(path)
    except UnreadableImageError as error:
        if path.suffix.lower() not in NOT_READ:
            raise
        raise UnreadableImageError(
            f"{path}: {path.suffix} files are not read; convert it to JPEG or PNG first, e.g. with ImageMagick: "
            f"magick IN{path.suffix} OUT.png",
            outcome="unsupported_format",
        ) from error
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise UnreadableImageError(
            f"{path}: cannot be read ({error.strerror})", outcome="missing_file" if missing else "unreadable_image"
        ) from error
    if max(image.shape[:2]) > LONGEST_SIDE_PX:
        raise RecordError(
            f"{path}: {image.shape[0]} x {image.shape[1]} pixels (height x width); sides above {LONGEST_SIDE_PX} px "
            "are not done: cut the photo into pieces",
            outcome="image_too_large",
        )
    return image, digest
