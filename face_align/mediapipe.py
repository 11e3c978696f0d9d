"""MediaPipe's face mesh: 478 points of a face that another detector has found.

Needs a runtime for its network (`pip install -r requirements-mediapipe.txt`) and the published `.task` file, which is
a zip that holds `face_landmarks_detector.tflite`.
"""

from __future__ import annotations

import importlib
import zipfile
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.geometry import Affine, apply_to_image, apply_to_points, fit_similarity, invert
from face_align.detect import Face, require_weights, where_weights_lie

TASK_NAMES = ("mediapipe_face_landmarker.task", "face_landmarker.task")
NETWORK_NAME = "face_landmarks_detector.tflite"
RUNTIME = "ai_edge_litert.interpreter"

# Recipe of the published pipeline: a square of 1.5 times the face, turned until the eyes are level.
INPUT_PX = 256
BOX_GROWTH = 1.5
POINTS = 478
OUTER_EYE_CORNERS = (33, 263)  # image-left, image-right
PRESENCE_THRESHOLD = 0.5

# The mesh's points in the ibug order. Source: measured correspondence; the mesh's jaw is the one of the 3D head.
MESH_TO_IBUG68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


class Mesh(NamedTuple):
    """Attributes: points (478, 2) float64 (x, y) in pixels of the photo; score: presence of a face, 0..1."""

    points: NDArray[np.float64]
    score: float


class _Interpreter(Protocol):
    def allocate_tensors(self) -> None: ...
    def get_input_details(self) -> list[dict[str, Any]]: ...
    def get_output_details(self) -> list[dict[str, Any]]: ...
    def set_tensor(self, index: int, values: NDArray[np.float32]) -> None: ...
    def get_tensor(self, index: int) -> NDArray[np.float32]: ...
    def invoke(self) -> None: ...


class FaceMesh:
    """The network behind the conventions of this project: photo and face in, points in the photo's pixels out.

    Args:
        path: the `.task` file, see `require_task`.

    Raises:
        UserError: the runtime is not installed, or the file is no face landmarker.

    Source: Kartynnik et al., "Real-time facial surface geometry from monocular video on mobile GPUs", 2019.
    """

    def __init__(self, path: Path) -> None:
        self._network = _open_network(path)
        self._network.allocate_tensors()
        self._input: int = self._network.get_input_details()[0]["index"]
        outputs = self._network.get_output_details()
        sized = {int(np.prod(output["shape"])): output["index"] for output in reversed(outputs)}
        if POINTS * 3 not in sized or 1 not in sized:
            raise UserError(f"{path}: expected a network of {POINTS} points, found outputs {sorted(sized)}")
        self._points, self._presence = sized[POINTS * 3], sized[1]

    def find(self, photo: NDArray[np.uint8], face: Face) -> Mesh:
        """Return the mesh of a face; the second look is taken at where the first one found it.

        Args:
            photo: (H, W, 3) uint8 RGB.
            face: box and five points of a detector.
        """
        left, top, width, height = face.box
        centre, side_px = np.array([left + width / 2, top + height / 2]), max(width, height)
        first = self._look(photo, photo_to_square(centre, BOX_GROWTH * side_px, face.points[1] - face.points[0]))
        low, high = first.points.min(axis=0), first.points.max(axis=0)
        eyes = first.points[OUTER_EYE_CORNERS[1]] - first.points[OUTER_EYE_CORNERS[0]]
        second_side_px = BOX_GROWTH * float((high - low).max())
        if second_side_px < 1 or not np.isfinite(first.points).all():
            return Mesh(first.points, 0.0)
        return self._look(photo, photo_to_square((low + high) / 2, second_side_px, eyes))

    def _look(self, photo: NDArray[np.uint8], matrix: Affine) -> Mesh:
        square = apply_to_image(matrix, photo, size=(INPUT_PX, INPUT_PX), fill="black")
        self._network.set_tensor(self._input, square[None].astype(np.float32) / np.float32(255))
        self._network.invoke()
        points = self._network.get_tensor(self._points).reshape(POINTS, 3)[:, :2].astype(np.float64)
        logit = float(self._network.get_tensor(self._presence).ravel()[0])
        # The network counts from the corner of a pixel; here an integer is its centre.
        return Mesh(apply_to_points(invert(matrix), points - 0.5), 1.0 / (1.0 + float(np.exp(-logit))))


def photo_to_square(centre: NDArray[np.float64], side_px: float, eyes: NDArray[np.float64]) -> Affine:
    """Return the transform of a turned square of the photo to `INPUT_PX` x `INPUT_PX`.

    Args:
        centre: (2,) of the square, photo pixels.
        side_px: side of the square, photo pixels.
        eyes: (2,) from the image-left to the image-right eye; they become level.
    """
    length = float(np.linalg.norm(eyes))
    along = eyes / length if length > 1e-6 else np.array([1.0, 0.0])
    middle = (INPUT_PX - 1) / 2
    return fit_similarity(
        np.stack([centre, centre + along * side_px / 2]),
        np.array([[middle, middle], [middle + INPUT_PX / 2, middle]]),
    )


def require_task() -> Path:
    """Return the face landmarker in the folder $OCCFACE_WEIGHTS, else in `weights/` of this repository.

    Raises:
        UserError: there is none; the message names the places and the next step.
    """
    return require_weights(TASK_NAMES, "MediaPipe face landmarker")


def require_runtime() -> Any:
    """Return the module that reads the network.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(RUNTIME)
    except ImportError as error:
        raise UserError(
            f"--detector mediapipe needs the package ai-edge-litert, which is not here ({error}): "
            "run `pip install -r requirements-mediapipe.txt`, or take --detector yunet"
        ) from error


def _open_network(path: Path) -> _Interpreter:
    runtime = require_runtime()
    try:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(NETWORK_NAME)
        network: _Interpreter = runtime.Interpreter(model_content=content, num_threads=1)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: expected a face landmarker that holds {NETWORK_NAME} ({error}). {where_weights_lie(TASK_NAMES)}"
        ) from error
    return network
