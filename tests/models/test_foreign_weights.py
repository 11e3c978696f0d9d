from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

from common.manifest import sha256
from configs.schema.network import ModelSection
from models import weights
from models.predictor import CropPredictor
from models.registry import Entry, Input


@pytest.mark.parametrize("normalisation", ["none", "imagenet"])
def test_weights_in_faceoccs_layout_answer_as_a_plain_forward_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, normalisation: str
) -> None:
    """A checkpoint as FaceOcc's code writes it, known by its SHA-256, against that code's own steps."""
    torch.manual_seed(0)
    network = smp.Unet("resnet18", encoder_weights=None, classes=1).eval()
    path = tmp_path / "epoch_16_best.ckpt"
    torch.save(network.state_dict(), path)
    entry = Entry(
        about="", file=path.name, bytes=path.stat().st_size, sha256=sha256(path), url=None, source="", licence="",
        network=ModelSection(architecture="unet", encoder="resnet18", outputs=("visible",)),
        preprocessing=Input(size=256, method="pos3d", template="faceocc256", normalisation=normalisation),
    )  # fmt: skip
    monkeypatch.setattr(weights, "read_registry", lambda: {"tried": entry})
    crops = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    images = torch.from_numpy(crops.transpose(0, 3, 1, 2) / np.float32(255))
    if normalisation == "imagenet":
        mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
        images = (images - mean) / deviation
    with torch.inference_mode():
        expected = torch.sigmoid(network(images)).numpy()
    found = CropPredictor.from_file(path, device="cpu").predict_crops(crops)
    assert found.shape == (2, 1, 256, 256)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    clear = np.abs(expected - 0.5) > 2e-5  # a network of random weights is undecided almost everywhere
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found[clear] > 0.5, expected[clear] > 0.5)
