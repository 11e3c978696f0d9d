"""The camera that looks at a head, fitted to landmarks, so that glasses turn and foreshorten with the face.

Head coordinates are millimetres: x to the right of the picture of a frontal face, y down, z out of the face towards
the camera. The origin lies between the inner corners of the eyes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import RecordError
from occlusion_gen.face import Points

# An average adult head, rounded to what landmarks can tell: point of the iBUG order -> (x, y, z).
HEAD_MM = {
    27: (0, -3, 13), 28: (0, 11, 19), 29: (0, 23, 26), 30: (0, 34, 33), 33: (0, 46.5, 20),
    31: (-14, 43, 12), 35: (14, 43, 12),
    36: (-45, -0.8, -9), 39: (-17, 1.5, 0), 42: (17, 1.5, 0), 45: (45, -0.8, -9),
    48: (-27.5, 65.5, 8), 54: (27.5, 65.5, 8),
}  # fmt: skip
_POINTS = list(HEAD_MM)
_WEIGHTS = np.array([2.0 if 36 <= point <= 45 else 1.0 for point in _POINTS])
_MODEL = np.hstack([np.array([HEAD_MM[point] for point in _POINTS], float), np.ones((len(_POINTS), 1))])  # (N, 4)
_SOLVER = np.linalg.pinv(_MODEL * _WEIGHTS[:, None]) * _WEIGHTS  # (4, N)
_EYES_MM = np.array([[-31.0, 1.0, -4.5], [31.0, 1.0, -4.5]])
CAMERA_DISTANCE_MM = 900.0  # of a portrait; decides how much narrower the back of the head looks
NOD_TRUST = 0.5  # landmarks tell nods badly (their spread over portraits is 12 degrees), and arms show every degree
_SCALE_LIMITS = (0.88, 1.14)  # how far the distance of the eyes may stretch what the whole face says


class Camera(NamedTuple):
    """A scaled turn and a shift, with a little perspective.

    Attributes:
        turn: (2, 3) float64, millimetres of the head to pixels of the crop.
        depth: (3,) float64, the direction towards the camera in head coordinates, length 1.
        origin: (2,) float64, where the head's origin is seen, (x, y) in pixels.
    """

    turn: NDArray[np.float64]
    depth: NDArray[np.float64]
    origin: NDArray[np.float64]

    @property
    def px_per_mm(self) -> float:
        """Pixels of the crop to a millimetre that faces the camera."""
        return float(np.sqrt((self.turn**2).sum() / 2))

    def project(self, points_mm: Points) -> Points:
        """Return where points of the head (L, 3) are seen: (L, 2), (x, y) in pixels of the crop."""
        nearness = CAMERA_DISTANCE_MM / (CAMERA_DISTANCE_MM - points_mm @ self.depth)
        return self.origin + (points_mm @ self.turn.T) * nearness[:, None]


def fit_camera(landmarks: Points) -> Camera:
    """Return the camera under which the average head lies on the landmarks, with its eyes on their eyes.

    Args:
        landmarks: (68, 2) float, (x, y) in pixels of the crop.

    Raises:
        RecordError: they are not 68 finite points, or both eyes lie at one place.
    """
    if landmarks.shape != (68, 2) or not np.isfinite(landmarks).all():
        lost = int((~np.isfinite(landmarks)).sum())
        raise _bad(f"68 finite points, found an array of shape {landmarks.shape} with {lost} values that are not")
    solution = _SOLVER @ landmarks[_POINTS]  # (4, 2): the affine camera of least squares
    left, sizes, right = np.linalg.svd(solution[:3].T, full_matrices=False)
    turn, origin = _calm_nod(sizes.mean() * (left @ right)), solution[3]
    camera = Camera(turn, _towards_camera(turn), origin)
    return _onto_eyes(camera, (landmarks[[36, 42]] + landmarks[[39, 45]]) / 2)


def _onto_eyes(camera: Camera, eyes_px: Points) -> Camera:
    """Return the camera turned, scaled and shifted in the picture so that the eyes of the head meet `eyes_px`."""
    seen = camera.project(_EYES_MM)
    wanted, found = complex(*(eyes_px[1] - eyes_px[0])), complex(*(seen[1] - seen[0]))
    if abs(wanted) < 1e-6 or abs(found) < 1e-6:
        raise _bad("two eyes at different places, found both at one")
    ratio = wanted / found
    ratio *= float(np.clip(abs(ratio), *_SCALE_LIMITS)) / abs(ratio)
    change = np.array([[ratio.real, -ratio.imag], [ratio.imag, ratio.real]])
    turned = camera._replace(turn=change @ camera.turn)
    return turned._replace(origin=turned.origin + (eyes_px - turned.project(_EYES_MM)).mean(axis=0))


def _calm_nod(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the turn with less of the nod: of the depth axis, the part that is seen along the face's own vertical."""
    across = turn[:, 0] / max(float(np.linalg.norm(turn[:, 0])), 1e-12)
    down = np.array([-across[1], across[0]])
    depth = turn[:, 2] - (1 - NOD_TRUST) * (turn[:, 2] @ down) * down
    return np.column_stack([turn[:, 0], turn[:, 1], depth])


def _towards_camera(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    (a, b, c), (d, e, f) = turn
    depth = np.array([b * f - c * e, c * d - a * f, a * e - b * d])
    return depth / max(float(np.linalg.norm(depth)), 1e-12)


def _bad(expected: str) -> RecordError:
    return RecordError(
        f"landmarks: expected {expected}; look at the contact sheet of face_align, or leave this face out",
        outcome="bad_landmarks",
    )
