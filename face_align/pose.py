"""How a head is turned, roughly, from the five points of alignment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from face_align.crop import HEAD_TEMPLATE, Points


class HeadAngles(NamedTuple):
    """Degrees: yaw > 0 looks to image-right, pitch > 0 looks up, roll > 0 leans clockwise in the image."""

    yaw: float
    pitch: float
    roll: float


def head_angles(points: Points) -> HeadAngles:
    """Return the angles of the rotation nearest to the weak-perspective fit of the mean head.

    Five points say little about pitch, which mixes with the shape of the face; use it for statistics, not for one face.

    Args:
        points: (5, 2) (x, y) pixels: eyes, nose tip, mouth corners, image-left first.
    """
    head = HEAD_TEMPLATE - HEAD_TEMPLATE.mean(axis=0)
    upward = (points - points.mean(axis=0)) * (1.0, -1.0)  # y up, as in the template
    rows, *_ = np.linalg.lstsq(head, upward, rcond=None)  # (3, 2): two scaled rows of the rotation
    left, _, right = np.linalg.svd(rows.T, full_matrices=False)
    first, second = left @ right  # orthonormal, (2, 3)
    forward = np.cross(first, second)
    # The template looks along z; the third column of the rotation is where its nose points to.
    nose = np.array([first[2], second[2], forward[2]])
    yaw = np.degrees(np.arctan2(nose[0], nose[2]))
    pitch = np.degrees(np.arcsin(np.clip(nose[1], -1.0, 1.0)))
    eyes = points[1] - points[0]
    return HeadAngles(float(yaw), float(pitch), float(np.degrees(np.arctan2(eyes[1], eyes[0]))))
