"""The files that are written for a photo.

| kind        | what                                                                        | file |
|-------------|-----------------------------------------------------------------------------|------|
| visible     | where the face can be seen, 0/255                                           | png  |
| full        | the face as if nothing stood in front of it, 0/255                          | png  |
| occluder    | the part of `full` that is hidden, 0/255                                    | png  |
| probability | of `visible`, 0..255                                                        | png  |
| cutout      | the photo with the probability as alpha; black where it is 0                | png  |
| overlay     | the photo with the visible face in blue                                     | jpg  |
| triptych    | side by side: the photo, where it was looked at and what hides, the cut-out | jpg  |

All have the photo's own size, except that the pictures of a triptych are shrunk to 1024 px.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from common.geometry import apply_to_points, invert
from common.image_io import write_grey, write_image, write_rgba
from common.visualize import FACE_BLUE, MISSED_RED
from inference.faces import FaceResult, PhotoMasks
from inference.photo_masks import Image8, Mask, Probabilities

KINDS = ("visible", "full", "occluder", "probability", "cutout", "overlay", "triptych")
KINDS_OF_FULL = ("full", "occluder")  # need a model that predicts the full face
KINDS_OF_FACE = ("visible", "full", "occluder", "probability", "cutout")  # are written for single faces, too
PICTURES = ("overlay", "triptych")
TRIPTYCH_PX = 1024  # for looking at; three whole photos side by side may be larger than a JPEG can be
REGION_GREEN = (60, 255, 60)
BACKGROUND_GREY = 128


def possible_kinds(outputs: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds that a model with these outputs can give."""
    return tuple(kind for kind in KINDS if "full" in outputs or kind not in KINDS_OF_FULL)


def saved_paths(name: str, kinds: Sequence[str], *, faces: int = 0) -> dict[str, str]:
    """Return where each result of the photo `name` lies, relative to the output folder.

    Args:
        name: path of the photo relative to the input, without suffix.
        kinds: of `KINDS`.
        faces: how many faces get files of their own, whose keys are `visible#0` and so on.
    """
    paths = {kind: f"{kind}/{name}.{'jpg' if kind in PICTURES else 'png'}" for kind in kinds}
    for index in range(faces):
        paths |= {f"{kind}#{index}": f"{kind}/{name}#{index}.png" for kind in kinds if kind in KINDS_OF_FACE}
    return paths


def render(kind: str, photo: Image8, masks: PhotoMasks) -> Image8:
    """Return the picture of a kind: (H, W) uint8, (H, W, 3) RGB, or (H, W, 4) RGBA for `cutout`.

    Args:
        kind: of `KINDS`.
        photo: (H, W, 3) uint8 RGB.
        masks: of the photo.

    Raises:
        ValueError: an unknown kind, or one that the model does not predict.
    """
    match kind:
        case "visible":
            return _white(masks.visible)
        case "full" if masks.full is not None:
            return _white(masks.full)
        case "occluder" if masks.occluder is not None:
            return _white(masks.occluder)
        case "probability":
            return to_bytes(masks.probability)
        case "cutout":
            return cut_out(photo, masks.probability)
        case "overlay":
            return tint(photo, masks.visible, FACE_BLUE)
        case "triptych":
            return triptych(photo, masks)
    raise ValueError(f"{kind!r} cannot be shown; known: {', '.join(KINDS)}, the masks of full where the model has it")


def write_kind(path: Path, kind: str, photo: Image8, masks: PhotoMasks) -> str:
    """Write the picture of a kind, whole or not at all; return the file's SHA-256."""
    picture = render(kind, photo, masks)
    if kind in PICTURES:
        return write_image(path, picture, quality=90)
    return write_rgba(path, picture) if kind == "cutout" else write_grey(path, picture)


def to_bytes(probability: Probabilities) -> Image8:
    """Return probabilities 0..1 as 0..255, rounded."""
    return cv2.convertScaleAbs(probability, alpha=255.0)


def cut_out(photo: Image8, probability: Probabilities) -> Image8:
    """Return the visible face as RGBA (H, W, 4) uint8 with straight alpha; nothing of the photo where alpha is 0."""
    alpha = to_bytes(probability)
    seen = cv2.bitwise_and(photo, photo, mask=alpha)
    return cv2.insertChannel(alpha, cv2.cvtColor(seen, cv2.COLOR_RGB2RGBA), 3)


def tint(photo: Image8, mask: Mask, colour: tuple[int, int, int]) -> Image8:
    """Return the photo with half of `colour` where the mask is set, (H, W, 3); as `common.visualize.blend`, faster."""
    table = np.stack([np.rint(0.5 * np.arange(256) + 0.5 * part).astype(np.uint8) for part in colour], axis=1)
    box = _bounds(mask.view(np.uint8))
    painted = photo.copy()
    if box is not None:
        mixed = cv2.LUT(np.ascontiguousarray(photo[box]), table[None])
        cv2.copyTo(mixed, _white(mask[box]), painted[box])
    return painted


def triptych(photo: Image8, masks: PhotoMasks) -> Image8:
    """Return three pictures side by side, (h, 3 w, 3) uint8: photo, region and result.

    The region shows each crop in green, the visible face in blue and what hides it in red; the result is the visible
    face alone on grey.
    """
    height, width = photo.shape[:2]
    ratio = min(1.0, TRIPTYCH_PX / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = photo if ratio == 1 else cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    visible = _shrunk(masks.visible, size)
    region = tint(small, visible, FACE_BLUE)
    if masks.occluder is not None:
        region = tint(region, _shrunk(masks.occluder, size), MISSED_RED)
    for face in masks.faces:
        _draw_crop(region, face, ratio)
    result = np.full_like(small, BACKGROUND_GREY)
    cv2.copyTo(small, _white(visible), result)
    return np.hstack([small, region, result])


def _draw_crop(picture: Image8, face: FaceResult, ratio: float) -> None:
    side = face.crop_probabilities.shape[-1]
    edge = np.array([[-0.5, -0.5], [side - 0.5, -0.5], [side - 0.5, side - 0.5], [-0.5, side - 0.5]])
    corners = apply_to_points(invert(face.location.photo_to_crop), edge) * ratio
    width_px = max(1, round(max(picture.shape[:2]) / 300))
    cv2.polylines(picture, [np.rint(corners).astype(np.int32)], True, REGION_GREEN, width_px, cv2.LINE_AA)


def _bounds(values: Image8) -> tuple[slice, slice] | None:
    """Return the smallest box that holds all values above 0, None where there is none."""
    left, top, width, height = cv2.boundingRect(values)
    return (slice(top, top + height), slice(left, left + width)) if width and height else None


def _shrunk(mask: Mask, size: tuple[int, int]) -> Mask:
    """Return the mask at `size` (width, height)."""
    if mask.shape == size[::-1]:
        return mask
    return cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0


def _white(mask: Mask) -> Image8:
    """Return 255 where the mask is set, else 0."""
    return mask.view(np.uint8) * np.uint8(255)
