from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import UserError
from models.card import Card, Preprocessing
from models.export import parity_crops
from models.folding import fold_batch_norm
from models.network import make_network
from models.onnx_predictor import OnnxPredictor
from models.predictor import CropPredictor
from models.runtimes import open_predictor
from models.spec import NetworkSpec
from models.weights import save_weights

SIZE = 64
SPEC = NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 4, 4), ("visible", "full"))


def trained_like(spec: NetworkSpec) -> torch.nn.Module:
    """Return a network whose normalisations do something, as after training."""
    torch.manual_seed(0)
    network = make_network(spec)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, trained_like(SPEC).state_dict(), Card(SPEC, Preprocessing(SIZE, "pos3d", "faceocc256")))
    return path


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        (SPEC, 0),
        (NetworkSpec("unet", "resnet18", (16, 8, 8, 4, 4), ("visible",)), 0),
        (NetworkSpec("scanet", "resnet18", (16,), ("visible",)), None),
        (NetworkSpec("deeplabv3plus", "resnet18", (16,), ("visible",), output_stride=16), None),
    ],
    ids=lambda value: value.architecture if isinstance(value, NetworkSpec) else "",
)
@torch.no_grad()
def test_folding_changes_no_answer(spec: NetworkSpec, left: int | None) -> None:
    network = trained_like(spec)
    images = torch.randn(2, 3, SIZE, SIZE)
    before = network(images)
    folded = fold_batch_norm(network, images[:1])
    normalisations = [sum(isinstance(m, torch.nn.BatchNorm2d) for m in n.modules()) for n in (network, folded)]
    assert normalisations[1] < normalisations[0]
    assert left is None or normalisations[1] == left
    torch.testing.assert_close(folded(images), before, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(network(images), before)  # the network itself is left as it was


@torch.no_grad()
def test_what_is_used_twice_is_left_alone() -> None:
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 3, 1)
            self.norm = torch.nn.BatchNorm2d(3)
            self.norm.running_mean.fill_(0.5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.norm(self.conv(self.norm(self.conv(images))))

    network = Twice().eval()
    images = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(fold_batch_norm(network, images)(images), network(images))


@pytest.mark.parametrize(("precision", "tolerance"), [("32", 1e-4), ("bf16", 0.1), ("auto", 0.1)])
def test_pytorch_answers_the_same_in_any_precision(weights: Path, precision: str, tolerance: float) -> None:
    wanted = CropPredictor.from_file(weights, device="cpu").predict_crops(parity_crops(SIZE))
    model = open_predictor(weights, device="cpu", precision=precision)  # type: ignore[arg-type]
    found = model.predict_crops(parity_crops(SIZE))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.onnx", {"runtime": "torch"}, "is a file for ONNX Runtime"),
        ("a.safetensors", {"runtime": "onnx"}, r"python -m models export .*a.safetensors .*a.onnx"),
        ("a.onnx", {}, "no such file"),
        ("a.safetensors", {}, "no such weights file"),
        ("a.onnx", {"runtime": "tensorrt"}, "'tensorrt' is unknown; known: auto, torch, onnx"),
        ("a.safetensors", {"precision": "fp8"}, "'fp8' is unknown; known: auto, 32, bf16"),
    ],
)
def test_what_does_not_go_together_is_told(tmp_path: Path, name: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_predictor(tmp_path / name, **options)  # type: ignore[arg-type]


def foreign_onnx(path: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "foreign", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no card of this project"):
        OnnxPredictor(foreign_onnx(tmp_path / "other.onnx"), device="cpu")
    (tmp_path / "noise.onnx").write_bytes(b"no model at all")
    with pytest.raises(UserError, match="ONNX Runtime cannot read this"):
        OnnxPredictor(tmp_path / "noise.onnx", device="cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:x"])
def test_an_unknown_device_is_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(UserError, match="is unknown; use auto, cpu, cuda"):
        OnnxPredictor(foreign_onnx(tmp_path / "other.onnx"), device=device)
