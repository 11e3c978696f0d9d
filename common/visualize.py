"""Overlays and contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from common.labels import PALETTE

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

FACE_BLUE = (0, 85, 255)
MISSED_RED = (255, 40, 40)
INVENTED_YELLOW = (255, 220, 0)
CAPTION_HEIGHT_PX = 16


def blend(image: Image8, mask: Mask, *, colour: tuple[int, int, int] = FACE_BLUE, opacity: float = 0.5) -> Image8:
    """Return `image` with `colour` mixed in where `mask` is set.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool.
        opacity: share of the colour, 0..1.
    """
    painted = image.copy()
    mixed = (1 - opacity) * image[mask].astype(np.float32) + opacity * np.array(colour, np.float32)
    painted[mask] = np.rint(mixed).astype(np.uint8)
    return painted


def colour_labels(label: Image8) -> Image8:
    """Return the label map (H, W) uint8 in the colours of its classes, (H, W, 3)."""
    return PALETTE[label]


def show_errors(image: Image8, prediction: Mask, truth: Mask, *, valid: Mask | None = None) -> Image8:
    """Return `image` with missed face in red, invented face in yellow and pixels that are not scored in grey."""
    shown = blend(image, truth & ~prediction, colour=MISSED_RED, opacity=0.6)
    shown = blend(shown, prediction & ~truth, colour=INVENTED_YELLOW, opacity=0.6)
    return shown if valid is None else blend(shown, ~valid, colour=(128, 128, 128), opacity=0.7)


def draw_landmarks(image: Image8, landmarks: NDArray[np.floating]) -> Image8:
    """Return `image` with a dot at each point (L, 2) (x, y)."""
    shown = image.copy()
    radius_px = max(1, round(max(image.shape[:2]) / 160))
    for x, y in np.rint(landmarks).astype(int).tolist():
        cv2.circle(shown, (x, y), radius_px, (60, 255, 60), cv2.FILLED, cv2.LINE_AA)
    return shown


def contact_sheet(rows: Sequence[Sequence[Image8]], *, tile_px: int = 160, captions: Sequence[str] = ()) -> Image8:
    """Return one picture with the images of each row side by side, a caption above each row where given.

    Args:
        rows: images (H, W, 3) or (H, W) uint8 of any size; each is fitted into a square tile.
        tile_px: side of a tile.
        captions: one a row, or none.

    Raises:
        ValueError: there is no image, or the number of captions differs from that of the rows.
    """
    columns = max((len(row) for row in rows), default=0)
    if columns == 0:
        raise ValueError("a contact sheet needs at least one image")
    if captions and len(captions) != len(rows):
        raise ValueError(f"expected {len(rows)} captions, found {len(captions)}")
    strips = []
    for index, row in enumerate(rows):
        tiles = [_fit(image, tile_px) for image in row]
        tiles += [np.full((tile_px, tile_px, 3), 255, np.uint8)] * (columns - len(tiles))
        if captions:
            strips.append(_caption(captions[index], columns * tile_px))
        strips.append(np.hstack(tiles))
    return np.vstack(strips)


def grid(images: Sequence[Image8], *, columns: int, tile_px: int = 160) -> Image8:
    """Return a contact sheet of a flat list of images, `columns` a row."""
    return contact_sheet([images[at : at + columns] for at in range(0, len(images), columns)], tile_px=tile_px)


def _fit(image: Image8, tile_px: int) -> Image8:
    colour = np.dstack([image] * 3) if image.ndim == 2 else image
    height, width = colour.shape[:2]
    ratio = tile_px / max(height, width)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = cv2.resize(colour, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)
    tile = np.full((tile_px, tile_px, 3), 255, np.uint8)
    top, left = (tile_px - size[1]) // 2, (tile_px - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile


def _caption(text: str, width_px: int) -> Image8:
    strip = np.full((CAPTION_HEIGHT_PX, width_px, 3), 255, np.uint8)
    text = text.encode(errors="replace").decode()  # OpenCV crashes on names that are no UTF-8
    cv2.putText(strip, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (30, 30, 30), 1, cv2.LINE_AA)
    return strip
