"""Stand-ins that make tests of the scripts fast and their results exact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.cut_options import CutOptions
from face_align.detect import Face
from models.network import NetworkSpec, make_network
from models.weights import Card, Preprocessing, save_weights

SIZE = 64


class ColourPredictor:
    """Takes red for visible face and red or blue for the full face: its masks are known before it runs."""

    size = SIZE
    method = "similarity5"
    template = "faceocc256"
    cut_options = CutOptions()
    threshold = 0.5

    def __init__(self, outputs: tuple[str, ...] = ("visible", "full")) -> None:
        self.outputs = outputs
        self.batches: list[int] = []

    @classmethod
    def loader(cls, *outputs: str) -> Callable[..., ColourPredictor]:
        """Return what replaces `CropPredictor.from_file` and `open_predictor`."""
        return lambda path, **options: cls(outputs or ("visible", "full"))

    def predict_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert crops.shape[1:] == (SIZE, SIZE, 3)
        assert crops.dtype == np.uint8
        self.batches.append(len(crops))
        red, blue = crops[..., 0] / np.float32(255), crops[..., 2] / np.float32(255)
        channels = {"visible": red, "full": np.maximum(red, blue)}
        return np.stack([channels[name] for name in self.outputs], axis=1).astype(np.float32)  # (N, K, S, S)


class FixedDetector:
    """Finds the faces it was told of, in every photo."""

    faces: tuple[Face, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        return list(self.faces)


def face_at(x: float, y: float, *, width: float) -> Face:
    """Return an upright face whose eyes are `width` / 3 apart, centred at (x, y)."""
    eye = width / 6
    centre = np.array([x, y])
    points = centre + np.array([[-eye, -eye], [eye, -eye], [0, 0], [-eye * 0.8, eye], [eye * 0.8, eye]])
    return Face((x - width / 2, y - width / 2, width, width), points, 0.9)


def photo_with_face(
    size: tuple[int, int], box: tuple[int, int, int, int], *, hidden_rows: int = 0
) -> NDArray[np.uint8]:
    """Return a grey-green photo with a red rectangle (x, y, width, height) whose last rows are hidden (blue)."""
    photo = np.zeros((*size, 3), np.uint8)
    photo[..., 1] = 90
    x, y, width, height = box
    photo[y : y + height, x : x + width] = (255, 0, 0)
    photo[y + height - hidden_rows : y + height, x : x + width] = (0, 0, 255)
    return photo


def save_tiny_weights(path: Path, *, size: int) -> None:
    """Write a whole, small, untrained model for crops of side `size`."""
    spec = NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 4, 4), ("visible", "full"))
    card = Card(spec, Preprocessing(size=size, method="pos3d", template="faceocc256"))
    save_weights(path, make_network(spec).state_dict(), card)
