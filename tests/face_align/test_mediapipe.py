from __future__ import annotations

import importlib.util
import os
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from common.geometry import apply_to_points, scale_of
from common.image_io import list_images, read_image
from face_align import detect, mediapipe
from face_align.mediapipe import INPUT_PX, MESH_TO_IBUG68, NETWORK_NAME, POINTS, TASK_NAMES, FaceMesh, photo_to_square
from tests.stand_ins import face_at


class FakeInterpreter:
    """Answers with a small ring around the centre of whatever it is shown, and keeps what it was shown."""

    def __init__(self, *, model_content: bytes, num_threads: int) -> None:
        assert model_content == b"network"
        self.seen: list[np.ndarray] = []

    def allocate_tensors(self) -> None:
        pass

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": 0}]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [
            {"index": 1, "shape": [1, 1, 1, 1434]},
            {"index": 2, "shape": [1, 1, 1, 1]},
            {"index": 3, "shape": [1, 1]},
        ]

    def set_tensor(self, index: int, values: np.ndarray) -> None:
        assert values.shape == (1, INPUT_PX, INPUT_PX, 3)
        assert values.dtype == np.float32
        self.seen.append(values[0])

    def get_tensor(self, index: int) -> np.ndarray:
        if index == 2:
            return np.full((1, 1, 1, 1), 2.0, np.float32)
        angle = np.linspace(0, 2 * np.pi, POINTS)
        ring = np.stack([128 + 60 * np.cos(angle), 128 + 60 * np.sin(angle), 0 * angle], axis=1)
        ring[33], ring[263] = (100, 128, 0), (156, 128, 0)
        return ring.astype(np.float32).reshape(1, 1, 1, -1)

    def invoke(self) -> None:
        assert 0 <= self.seen[-1].min() <= self.seen[-1].max() <= 1


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "face_landmarker.task"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(NETWORK_NAME, b"network")
    monkeypatch.setattr(mediapipe, "require_runtime", lambda: types.SimpleNamespace(Interpreter=FakeInterpreter))
    return path


def test_points_come_back_in_pixels_of_the_photo(task: Path) -> None:
    mesh = FaceMesh(task)
    photo = np.zeros((200, 300, 3), np.uint8)
    photo[90:110, 140:160] = 255
    face = face_at(150, 100, width=80)
    found = mesh.find(photo, face)
    assert found.points.shape == (POINTS, 2)
    assert found.score == pytest.approx(1 / (1 + np.exp(-2)))
    np.testing.assert_allclose(found.points[33:264:230].mean(axis=0), (150, 100), atol=0.5)
    first, second = mesh._network.seen  # type: ignore[attr-defined]
    white_px = 20 * INPUT_PX / (1.5 * 80)  # the square has 1.5 times the side of the box
    assert first[..., 0].sum() == pytest.approx(white_px**2, rel=0.05)
    ring_px = 120 * 1.5 * 80 / INPUT_PX  # the second look is at 1.5 times what the first one found
    assert second[..., 0].sum() == pytest.approx((20 * INPUT_PX / (1.5 * ring_px)) ** 2, rel=0.05)


@given(st.floats(-3, 3), st.floats(10, 900))
def test_the_square_levels_the_eyes(angle: float, side_px: float) -> None:
    eyes = np.array([np.cos(angle), np.sin(angle)]) * 30
    matrix = photo_to_square(np.array([70.0, 50.0]), side_px, eyes)
    left, right = apply_to_points(matrix, np.array([[70.0, 50.0], [70.0 + eyes[0], 50.0 + eyes[1]]]))
    np.testing.assert_allclose(left, 127.5)
    assert right[1] == pytest.approx(127.5)
    assert right[0] > 127.5
    assert scale_of(matrix) == pytest.approx(INPUT_PX / side_px)


def test_the_68_points_are_those_of_the_mesh() -> None:
    assert len(MESH_TO_IBUG68) == 68
    assert [MESH_TO_IBUG68[at] for at in (30, 36, 39, 42, 45, 48, 54)] == [4, 33, 133, 362, 263, 61, 291]


def test_a_missing_runtime_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mediapipe, "RUNTIME", "no_such_runtime.interpreter")
    with pytest.raises(UserError, match=r"requirements-mediapipe\.txt.*--detector yunet"):
        mediapipe.require_runtime()


def test_a_file_that_is_no_landmarker(task: Path, tmp_path: Path) -> None:
    task.write_bytes(b"no zip")
    with pytest.raises(UserError, match=r"face_landmarker\.task.*download_weights\.sh"):
        FaceMesh(task)
    with zipfile.ZipFile(task, "w") as archive:
        archive.writestr("other.tflite", b"")
    with pytest.raises(UserError, match=NETWORK_NAME):
        FaceMesh(task)


def test_real_faces_lie_where_people_marked_them() -> None:
    root, path, yunet = os.environ.get("OCCFACE_DATA"), detect.find_weights(TASK_NAMES), detect.find_yunet()
    if root is None or path is None or yunet is None or importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("needs ai-edge-litert, OCCFACE_DATA and the files of scripts/download_weights.sh")
    detector, mesh, errors = detect.YuNetDetector(yunet), FaceMesh(path), []
    for photo_path in list_images(Path(root) / "landmarks68" / "images")[::16]:
        photo = read_image(photo_path)
        marked = np.loadtxt(Path(root) / "landmarks68" / "pts68" / f"{photo_path.stem}.txt")
        points = mesh.find(photo, detector.detect(photo)[0]).points[list(MESH_TO_IBUG68)]
        errors.append(np.linalg.norm(points - marked, axis=1).mean() / np.linalg.norm(marked[36] - marked[45]))
    assert np.median(errors) < 0.065
