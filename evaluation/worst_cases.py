"""A contact sheet of the images with the lowest scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.metrics import count
from common.visualize import blend, contact_sheet, show_errors
from evaluation.image_score import Truth

TILE_PX = 200


class Case(NamedTuple):
    """One image of the sheet.

    Attributes:
        id: name in the test set.
        photo: (H, W, 3) uint8 RGB.
        truth: masks of (H, W).
        face: (H, W) bool, predicted visible face.
        face_found: False where the detector found no face.
    """

    id: str
    photo: NDArray[np.uint8]
    truth: Truth
    face: NDArray[np.bool_]
    face_found: bool


def draw_worst_cases(cases: Iterable[Case]) -> NDArray[np.uint8]:
    """Return a contact sheet of at least one case, two a line, in their order: photo, truth, prediction, errors.

    Errors: missed face red, invented face yellow, pixels that are not scored grey.
    """
    strips = []  # made one by one, since photos may be large
    for rank, case in enumerate(cases, 1):
        photo, (truth, valid, _), face = case.photo, case.truth, case.face
        iou = count(face, truth, valid=valid).face_iou
        lost = "" if case.face_found else ", no face found"
        caption = f"{rank}. {case.id}  IoU {iou:.3f}{lost}   (photo, truth, prediction, errors)"
        images = [photo, blend(photo, truth), blend(photo, face), show_errors(photo, face, truth, valid=valid)]
        strips.append(contact_sheet([images], tile_px=TILE_PX, captions=[caption]))
    if len(strips) % 2 and len(strips) > 1:
        strips.append(np.full_like(strips[0], 255))
    columns = [np.vstack(strips[0::2]), *([np.vstack(strips[1::2])] if len(strips) > 1 else [])]
    return np.hstack(columns)
