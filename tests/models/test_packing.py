from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from models import packing
from models.folding import fold_batch_norm
from models.network import make_network
from models.packing import PackedConv2d, pack_convolutions
from models.predictor import CropPredictor
from models.runtimes import prepare_network
from models.spec import NetworkSpec
from models.weights import Card, Preprocessing

SIZE = 64
SPEC = NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 4, 4), ("visible", "full"))
CARD = Card(SPEC, Preprocessing(SIZE, "pos3d", "faceocc256"))
IMAGES = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def count(network: torch.nn.Module, kind: type[torch.nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        NetworkSpec("unet", "resnet18", (16, 8, 8, 4, 4), ("visible",)),  # activations that run twice
        NetworkSpec("deeplabv3plus", "resnet18", (16,), ("visible",), output_stride=16),  # dilated
        NetworkSpec("segformer", "mit_b0", (16,), ("visible",)),  # convolutions that cover all of their kernel's size
    ],
    ids=lambda spec: f"{spec.architecture}_{spec.encoder}",
)
@torch.no_grad()
def test_packing_changes_no_answer(spec: NetworkSpec) -> None:
    torch.manual_seed(0)
    network = fold_batch_norm(make_network(spec).eval(), IMAGES)
    before = network(IMAGES)
    packed = pack_convolutions(network, IMAGES)
    assert count(packed, PackedConv2d) == count(network, torch.nn.Conv2d) > 0
    torch.testing.assert_close(packed(IMAGES), before, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network(IMAGES), before, atol=0, rtol=0)  # itself it is left as it was


def test_activations_run_within_convolutions() -> None:
    network = fold_batch_norm(make_network(SPEC).eval(), IMAGES)
    assert count(network, torch.nn.ReLU6) > 30
    assert count(pack_convolutions(network, IMAGES), torch.nn.ReLU6) == 0


@torch.no_grad()
def test_an_activation_stays_where_something_else_takes_what_stands_before_it() -> None:
    class Around(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act = torch.nn.Conv2d(3, 3, 1), torch.nn.ReLU()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            made = self.conv(images)
            return made + self.act(made)

    network = Around().eval()
    assert pack_convolutions(network, IMAGES) is network


def test_without_the_operators_the_network_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(PackedConv2d):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.ops.mkldnn._no_such_operator(images)

    monkeypatch.setattr(packing, "PackedConv2d", Gone)
    network = make_network(SPEC).eval()
    assert pack_convolutions(network, IMAGES) is network


def test_a_packed_model_answers_alike_alone_and_in_a_batch_and_at_every_call() -> None:
    torch.manual_seed(0)
    predictor = CropPredictor(
        prepare_network(make_network(SPEC).eval(), CARD, device="cpu", precision="32"), CARD, device="cpu"
    )
    assert count(predictor._network, PackedConv2d) > 0
    crops = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    together = predictor.predict_crops(crops)
    assert_array_equal(together, predictor.predict_crops(crops))
    np.testing.assert_allclose(predictor.predict_crops(crops[1:2])[0], together[1], atol=1e-5)
