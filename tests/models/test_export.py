from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.image_io import write_image
from models import export
from models.__main__ import main
from models.card import Card, Preprocessing, decode_card, make_preprocessing
from models.export import CropNetwork, check_parity, export_file, make_onnx, parity_crops
from models.export_int8 import calibration_paths, export_int8
from models.network import make_network
from models.onnx_predictor import OnnxPredictor
from models.predictor import CropPredictor
from models.spec import NetworkSpec
from models.weights import HEADER_KEY, load_weights, save_weights

SIZE = 64
# The two whose graphs are unlike that of a U-Net: attention, and sums over classes. An export takes some seconds.
OTHERS = {
    "scanet": NetworkSpec("scanet", "resnet18", (16,), ("full", "parts"), face_parts=(1, 2)),
    "segformer": NetworkSpec("segformer", "mit_b0", (16,), ("visible",), classes=2),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    spec = NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 4, 4), ("visible", "full"))
    made = make_preprocessing("imagenet", size=SIZE, method="similarity5", template="faceocc256")
    save_weights(path, make_network(spec).state_dict(), Card(spec, made, 0.4, {"run": "tiny"}))
    return path


@pytest.fixture(scope="module")
def onnx_file(weights: Path) -> Path:
    path = weights.with_suffix(".onnx")
    assert export_file(weights, path, file_format="onnx") < 1e-4
    return path


@pytest.mark.parametrize("count", [0, 1, 5])
def test_onnx_answers_as_the_network_for_any_batch(weights: Path, onnx_file: Path, count: int) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    wanted = CropPredictor.from_file(weights, device="cpu").predict_crops(crops)
    found = OnnxPredictor(onnx_file, device="cpu", threads=1).predict_crops(crops)
    assert found.shape == (count, 2, SIZE, SIZE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_file_tells_its_card_and_no_paths(weights: Path, onnx_file: Path) -> None:
    import onnx

    model = OnnxPredictor(onnx_file, device="cpu")
    assert model.card == load_weights(weights)[1]
    assert (model.size, model.method, model.outputs, model.threshold) == (SIZE, "similarity5", ("visible", "full"), 0.4)
    proto = onnx.load(str(onnx_file))
    assert [entry.version for entry in proto.opset_import if entry.domain == ""] == [export.OPSET]
    assert not re.search(rb"/[\w./-]+\.py", onnx_file.read_bytes())


@pytest.mark.parametrize(("file_format", "suffix"), [("exported", ".pt2"), ("torchscript", ".pt")])
def test_files_for_pytorch_need_nothing_of_this_project(
    weights: Path, tmp_path: Path, file_format: str, suffix: str
) -> None:
    path = tmp_path / f"model{suffix}"
    export_file(weights, path, file_format=file_format)  # type: ignore[arg-type]
    load = "torch.export.load({path!r}, extra_files=files).module()"
    if file_format == "torchscript":
        load = "torch.jit.load({path!r}, _extra_files=files)"
    code = (
        f"import torch; files = {{{HEADER_KEY!r}: ''}}; model = {load.format(path=str(path))}; "
        f"answer = model(torch.full((3, {SIZE}, {SIZE}, 3), 90, dtype=torch.uint8)); "
        f"print(tuple(answer.shape), float(answer.mean())); print(bytes(files[{HEADER_KEY!r}], 'utf-8').decode() "
        f"if isinstance(files[{HEADER_KEY!r}], str) else files[{HEADER_KEY!r}].decode())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    told, header = done.stdout.splitlines()
    shape, mean = told.rsplit(" ", 1)
    crops = np.full((3, SIZE, SIZE, 3), 90, np.uint8)
    wanted = CropPredictor.from_file(weights, device="cpu").predict_crops(crops)
    assert shape == str((3, 2, SIZE, SIZE))
    assert float(mean) == pytest.approx(wanted.mean(), abs=1e-5)
    assert decode_card(path, header) == load_weights(weights)[1]


@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures_become_onnx(name: str) -> None:
    torch.manual_seed(0)
    spec = OTHERS[name]
    card = Card(spec, Preprocessing(SIZE, "pos3d", "faceocc256"))
    network = make_network(spec).eval()
    exported = OnnxPredictor(make_onnx(CropNetwork(network, card).eval(), card).SerializeToString(), device="cpu")
    reference = CropPredictor(network, card, device="cpu")
    check_parity(reference.predict_crops, exported.predict_crops, size=SIZE, name=name)


@pytest.mark.parametrize("normalisation", ["none", "imagenet", "caffe"])
def test_preprocessing_is_inside(normalisation: str) -> None:
    class Shown(torch.nn.Module):
        """Answers with two of the values that reach it, brought into the range of logits."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, [0, 2]] / 50

    made = make_preprocessing(normalisation, size=SIZE, method="pos3d", template="faceocc256")
    card = Card(NetworkSpec("unet", "resnet18", (), ("visible", "full")), made)
    wanted = CropPredictor(Shown(), card, device="cpu").predict_crops(parity_crops(SIZE))
    found = CropNetwork(Shown(), card)(torch.from_numpy(parity_crops(SIZE))).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_another_answer_is_refused_and_nothing_is_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgets_the_mean(network: torch.nn.Module, card: Card) -> CropNetwork:
        model = CropNetwork(network, card)
        model.mean.zero_()
        return model

    monkeypatch.setattr(export, "CropNetwork", forgets_the_mean)
    with pytest.raises(UserError, match=r"differ from the network's by up to .*refused, nothing was written"):
        export_file(weights, tmp_path / "wrong.pt", file_format="torchscript")
    assert not list(tmp_path.iterdir())


def test_an_answer_that_is_no_number_is_refused() -> None:
    def fine(crops: np.ndarray) -> np.ndarray:
        return np.zeros((len(crops), 1, SIZE, SIZE), np.float32)

    assert check_parity(fine, fine, size=SIZE, name="x") == 0
    with pytest.raises(UserError, match="differ"):
        check_parity(fine, lambda crops: fine(crops) * np.nan, size=SIZE, name="x")
    with pytest.raises(UserError, match="shape"):
        check_parity(fine, lambda crops: fine(crops)[:, :, 1:], size=SIZE, name="x")


@pytest.fixture(scope="module")
def crops_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crops")
    for index, crop in enumerate(parity_crops(SIZE + 10)):
        write_image(folder / "deep" / f"{index}.png", crop)
    return folder


def test_eight_bits_answer_much_the_same(weights: Path, tmp_path: Path, crops_folder: Path) -> None:
    path = tmp_path / "int8.onnx"
    made = export_int8(weights, path, crops=crops_folder)
    assert made.images == 4
    assert made.agreement >= 0.98
    model, reference = OnnxPredictor(path, device="cpu"), CropPredictor.from_file(weights, device="cpu")
    found, wanted = model.predict_crops(parity_crops(SIZE)), reference.predict_crops(parity_crops(SIZE))
    assert 0 < np.abs(found - wanted).mean() < 0.05
    assert model.card.origin == {"run": "tiny", "precision": "int8", "calibration_images": 4}
    assert path.stat().st_size < 0.4 * weights.stat().st_size


def test_eight_bits_that_disagree_are_refused(
    weights: Path, tmp_path: Path, crops_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.export_int8.mean_agreement", lambda *_: 0.9)
    with pytest.raises(UserError, match=r"agree with those in floats by an IoU of 0.900"):
        export_int8(weights, tmp_path / "int8.onnx", crops=crops_folder)
    assert not list(tmp_path.iterdir())


def test_calibration_is_spread_over_the_folder(crops_folder: Path, tmp_path: Path) -> None:
    assert [path.stem for path in calibration_paths(crops_folder, 2)] == ["0", "3"]
    assert len(calibration_paths(crops_folder, 99)) == 4
    with pytest.raises(UserError, match="no image found"):
        calibration_paths(tmp_path, 5)
    with pytest.raises(UserError, match="expected a folder"):
        calibration_paths(tmp_path / "none", 5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x.onnx", "--format", "exported"], "files of the format exported end in .pt2"),
        (["x.pt", "--format", "torchscript", "--int8", "crops"], "--int8 is for ONNX only"),
        (["x.onnx", "--int8", "crops", "--int8-images", "0"], "expected at least 1"),
    ],
)
def test_the_command_refuses_what_does_not_go_together(
    weights: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["models", "export", str(weights), *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_the_command_says_what_it_would_do(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["models", "export", str(weights), str(tmp_path / "x.onnx"), "--dry-run"])
    main()
    told = capsys.readouterr().out
    assert "would write" in told
    assert "unet" in told
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"onnxscript is missing .*requirements-onnx.txt"):
        export_file(weights, tmp_path / "x.onnx", file_format="onnx")
