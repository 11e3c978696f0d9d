from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from common.errors import UserError
from common.geometry import apply_to_points
from face_align.locate import CropRule, by_detector
from inference import Predictor, locators, open_model
from models.predictor import CropPredictor
from models.spec import NetworkSpec
from models.weights import Card, Preprocessing
from tests.stand_ins import ColourPredictor, FixedDetector, face_at, photo_with_face, save_tiny_weights


def test_from_file_to_masks_in_two_lines(tmp_path: Path) -> None:
    save_tiny_weights(tmp_path / "tiny.safetensors", size=64)
    predictor = Predictor.from_file(tmp_path / "tiny.safetensors", aligned=True, device="cpu")
    masks = predictor(photo_with_face((90, 120), (30, 20, 60, 50)))
    assert masks.visible.shape == masks.full.shape == masks.occluder.shape == masks.probability.shape == (90, 120)
    assert masks.visible.dtype == masks.full.dtype == np.bool_
    assert masks.probability.dtype == np.float32
    assert len(masks.faces) == 1
    assert set(masks.faces[0].coverage) == {"eyes", "nose", "mouth", "jaw"}


def test_wrong_photos_and_detectors_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(ColourPredictor(), lambda photo, name: [])
    for wrong in (
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 3)),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
    ):
        with pytest.raises(ValueError, match=r"expected a photo \(H, W, 3\) uint8 RGB"):
            predictor(wrong)
    save_tiny_weights(tmp_path / "tiny.safetensors", size=64)
    with pytest.raises(UserError, match="detector 'dlib' is unknown; known: auto, yunet, self, mediapipe"):
        Predictor.from_file(tmp_path / "tiny.safetensors", detector="dlib", device="cpu")
    monkeypatch.setattr(open_model, "DEFAULT_WEIGHTS", tmp_path / "none.safetensors")
    with pytest.raises(UserError, match=r"quickstart\.sh"):
        Predictor.from_file()


def test_without_a_detector_file_the_model_finds_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locators, "find_yunet", lambda: None)
    finder = locators.build_finder(ColourPredictor())
    assert finder.name == "self"
    assert "no YuNet file in" in finder.why
    monkeypatch.setattr(locators, "find_yunet", lambda: Path("here.onnx"))
    assert locators.choose_detector("auto") == ("yunet", "faces are found by YuNet (here.onnx)")


def test_models_that_need_a_mesh_refuse_five_points(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ColourPredictor()
    model.method = "bbox"
    with pytest.raises(UserError, match="take --detector mediapipe, or --landmarks"):
        locators.build_finder(model, detector="self")


class RedAndBlue(torch.nn.Module):
    """Calls red the visible face, and red or blue the full one."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([images[:, 0], images[:, 0] + images[:, 2]], dim=1) * 40 - 20


@pytest.mark.parametrize("method", ["similarity5", "pos3d"])
@pytest.mark.parametrize("angle_deg", [0, 15, 30, 45])
def test_masks_of_a_turned_face_come_back(method: str, angle_deg: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found on the crop of a turned photo is what its own pixels say: IoU 0.985 and better."""
    photo = np.full((300, 300, 3), (0, 90, 0), np.uint8)
    cv2.ellipse(photo, (150, 150), (62, 84), 0, 0, 360, (255, 0, 0), cv2.FILLED)
    cv2.ellipse(photo, (165, 190), (30, 18), 0, 0, 360, (0, 0, 255), cv2.FILLED)
    turn = cv2.getRotationMatrix2D((149.5, 149.5), angle_deg, 1.0)
    turned = cv2.warpAffine(photo, turn, (300, 300), borderMode=cv2.BORDER_REPLICATE)
    face = face_at(150, 150, width=180)
    monkeypatch.setattr(FixedDetector, "faces", (face._replace(points=apply_to_points(turn, face.points)),))
    spec = NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 4, 4), ("visible", "full"))
    model = CropPredictor(RedAndBlue(), Card(spec, Preprocessing(256, method, "faceocc256")), device="cpu")
    rule = CropRule(method, model.template, model.size)
    found = Predictor(model, by_detector(FixedDetector(Path("none")), rule))(turned)
    red, blue = turned[..., 0].astype(int), turned[..., 2].astype(int)
    for mask, direct in ((found.visible, red > 127), (found.full, red + blue > 127)):
        assert mask is not None
        assert (mask & direct).sum() / (mask | direct).sum() >= 0.985
