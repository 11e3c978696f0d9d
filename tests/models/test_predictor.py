from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from common.errors import UserError
from common.geometry import apply_to_label, apply_to_points, invert
from inference.photo_masks import predict_photo
from models.device import pick_device, pick_precision
from models.network import NetworkSpec, make_network
from models.predictor import CropPredictor
from models.weights import Card, Preprocessing, save_weights

SIZE = 64
SPEC = NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 8, 4), ("visible", "full"))
CARD = Card(SPEC, Preprocessing(SIZE, "similarity5", "faceocc256"), 0.3)


class RedAndBlue(torch.nn.Module):
    """Calls red the visible face and blue the full one."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, [0, 2]] * 40 - 20


@pytest.fixture(scope="module")
def predictor() -> CropPredictor:
    torch.manual_seed(0)
    return CropPredictor(make_network(SPEC), CARD, device="cpu")


@pytest.fixture
def colours() -> CropPredictor:
    return CropPredictor(RedAndBlue(), CARD, device="cpu")


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_probabilities_have_the_shape_of_the_contract(predictor: CropPredictor, count: int) -> None:
    found = predictor.predict_crops(crops(count))
    assert found.shape == (count, 2, SIZE, SIZE)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert ((found >= 0) & (found <= 1)).all()


def test_an_image_scores_the_same_alone_and_in_a_batch(predictor: CropPredictor) -> None:
    together = predictor.predict_crops(crops(3))
    assert_array_equal(together, predictor.predict_crops(crops(3)))
    for index in range(3):
        alone = predictor.predict_crops(crops(3)[index : index + 1])[0]
        np.testing.assert_allclose(alone, together[index], atol=1e-4)
    assert np.ptp(together[:, 0].mean(axis=(1, 2))) > 0


def test_a_file_holds_all_that_is_needed(predictor: CropPredictor, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("weights") / "best.safetensors"
    save_weights(path, predictor._network.state_dict(), CARD)
    again = CropPredictor.from_file(path, device="cpu")
    attributes = (again.size, again.method, again.template, again.outputs, again.threshold)
    assert attributes == (SIZE, "similarity5", "faceocc256", ("visible", "full"), 0.3)
    assert_array_equal(again.predict_crops(crops(2)), predictor.predict_crops(crops(2)))


@pytest.mark.parametrize(
    "wrong",
    [
        crops(1)[0],
        crops(1).astype(np.float32),
        crops(1)[:, :32],
        crops(1)[..., :1],
        crops(1).transpose(0, 3, 1, 2),
    ],
    ids=["no batch", "float", "size", "channels", "order"],
)
def test_crops_of_another_kind_are_refused(predictor: CropPredictor, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected crops \(N, 64, 64, 3\) uint8"):
        predictor.predict_crops(wrong)


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("roll", [0.0, 0.4])
def test_a_photo_is_answered_in_its_own_frame(colours: CropPredictor, scale: float, roll: float) -> None:
    """A red square in the photo comes back where it is, whatever the crop's scale and roll."""
    photo = np.zeros((150, 200, 3), np.uint8)
    photo[60:90, 80:130, 0] = 255
    photo[50:100, 80:130, 2] = 255
    linear = scale * np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    matrix = np.hstack([linear, (31.5 - linear @ [105, 75])[:, None]])
    found = predict_photo(colours, photo, matrix)
    assert found.shape == (2, 150, 200)
    assert found.dtype == np.float32
    inside = apply_to_label(invert(matrix), np.ones((SIZE, SIZE), np.uint8), size=(150, 200))
    near = cv2.dilate(inside, np.ones((13, 13), np.uint8)) > 0  # a pixel of the smallest crop is 4 px of the photo
    assert not found[:, ~near].any()
    truth = (photo[..., 0] > 0) & (inside > 0)
    predicted = (found[0] > 0.5) & (inside > 0)
    assert (truth & predicted).sum() / (truth | predicted).sum() > 0.85
    assert found[1].sum() > found[0].sum() * 1.05


def test_outside_the_crop_there_is_no_face(colours: CropPredictor) -> None:
    photo = np.full((100, 100, 3), 255, np.uint8)
    matrix = np.array([[2.0, 0, -60], [0, 2.0, -60]])
    found = predict_photo(colours, photo, matrix)
    corners = apply_to_points(np.array([[0.5, 0, 30], [0, 0.5, 30]]), np.array([[0, 0], [63, 63]]))
    assert corners.tolist() == [[30, 30], [61.5, 61.5]]
    assert (found[:, 30:62, 30:62] > 0.99).all()
    found[:, 29:63, 29:63] = 0
    assert not found.any()


def test_devices_and_precisions() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in ("cpu", "cuda")
    with pytest.raises(UserError, match="'gpu' is unknown; use auto, cpu, cuda"):
        pick_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"'cuda:1': this machine has no CUDA GPU"):
            pick_device("cuda:1")
    assert pick_precision("32-true", "cpu") == "32-true"


@pytest.mark.parametrize(
    ("capability", "precision"),
    [("amx_bf16", "bf16-mixed"), ("avx512_bf16", "bf16-mixed"), ("avx512_f", "32-true")],
)
def test_cpus_that_compute_in_bfloat16_train_in_it(
    monkeypatch: pytest.MonkeyPatch, capability: str, precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True}, raising=False)
    assert pick_precision("auto", "cpu") == precision
