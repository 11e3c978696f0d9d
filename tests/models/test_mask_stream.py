from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from models.mask_stream import MaskStream
from models.network import make_network
from models.predictor import CropPredictor
from models.spec import NetworkSpec
from models.weights import Card, Preprocessing, save_weights

SIZE = 64
SPEC = NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 8, 4), ("visible", "full"))
CARD = Card(SPEC, Preprocessing(SIZE, "pos3d", "faceocc256", (0.5, 0.4, 0.3), (0.2, 0.3, 0.2), "BGR"), 0.495)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return make_network(SPEC).eval()


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [0, 2, 5])
def test_masks_are_where_the_probability_is_above_the_threshold(network: torch.nn.Module, count: int) -> None:
    found = MaskStream(network, CARD, device="cpu", batch_size=2, precision="32").masks(crops(count))
    assert found.shape == (count, 2, SIZE, SIZE)
    assert found.dtype == np.uint8
    assert set(np.unique(found)) <= {0, 255}
    probabilities = CropPredictor(network, CARD, device="cpu").predict_crops(crops(count))
    sure = np.abs(probabilities - CARD.threshold) > 1e-5  # both add in another order
    assert_array_equal(found[sure] == 255, probabilities[sure] > CARD.threshold)
    if count:
        assert 0.05 < (found == 255).mean() < 0.95


def test_a_result_may_be_put_into_memory_that_is_there(network: torch.nn.Module) -> None:
    stream = MaskStream(network, CARD, device="cpu", batch_size=2, precision="32")
    out = np.full((3, 2, SIZE, SIZE), 7, np.uint8)
    assert stream.masks(crops(3), out=out) is out
    assert_array_equal(out, stream.masks(crops(3)))


@pytest.mark.parametrize(
    "wrong", [crops(2)[:, 1:], crops(2).astype(np.float32), crops(2)[:, :, ::-1]], ids=["shape", "type", "strides"]
)
def test_other_arrays_are_refused(network: torch.nn.Module, wrong: np.ndarray) -> None:
    stream = MaskStream(network, CARD, device="cpu", batch_size=2, precision="32")
    with pytest.raises(ValueError, match="expected crops"):
        stream.masks(wrong)


def test_of_a_file(network: torch.nn.Module, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "tiny.safetensors"
    save_weights(path, network.state_dict(), CARD)
    stream = MaskStream.from_file(path, device="cpu", batch_size=1, precision="32")
    assert_array_equal(stream.masks(crops(2)), MaskStream(network, CARD, device="cpu", precision="32").masks(crops(2)))
