"""The loop trains every kind of network: several heads, softmaxes, parts, and another input."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from models.predictor import CropPredictor
from models.weights import load_weights
from tests.train.runs import Main, metrics

CLASSES = {"bce": 0.0, "dice": 0.0}
KINDS = {
    "scanet": (
        {"architecture": "scanet", "encoder": "resnet18", "decoder_channels": [16], "outputs": ["parts"]},
        {**CLASSES, "ce": 1.0, "edge_bce": 1.0}, {"parts_ce", "edge_bce"},
    ),
    "pspnet": (
        {"architecture": "pspnet", "encoder": "resnet18", "decoder_channels": [16], "outputs": ["visible"],
         "classes": 2, "auxiliary": True},
        {**CLASSES, "ohem_ce": 1.0, "ohem_min_pixels": 10_000}, {"visible_ohem_ce", "auxiliary_visible_ohem_ce"},
    ),
    "unet of all outputs": (
        {"encoder": "mobilenet_v2", "decoder_channels": [16, 8, 8, 8, 4], "outputs": ["visible", "full", "parts"],
         "normalisation": "caffe"},
        {"ce": 1.0, "lovasz": 1.0, "boundary_bce": 1.0}, {"visible_lovasz", "full_boundary_bce", "parts_ce"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_two_steps_and_weights_that_predict(kind: str, config: Path, tmp_path: Path, main: Main) -> None:
    model, loss, terms = KINDS[kind]
    content = yaml.safe_load(config.read_text())
    content |= {"model": model, "loss": loss, "size": 48}
    content["train"] |= {"images": 4, "log_every_images": 2}
    config.write_text(yaml.safe_dump(content))
    assert main(config) == 0
    run = tmp_path / "run"
    rows = metrics(run, "train")
    assert terms <= rows[-1].keys()
    assert 0 <= metrics(run, "validation")[-1]["face_iou"] <= 1
    _, card = load_weights(run / "checkpoints" / "best.safetensors")
    assert card.network.auxiliary == bool(model.get("auxiliary"))
    assert card.preprocessing.colour_order == ("BGR" if "caffe" in model.values() else "RGB")
    predictor = CropPredictor.from_file(run / "checkpoints" / "best.safetensors", device="cpu")
    assert predictor.outputs == (("visible", "full") if "full" in model["outputs"] else ("visible",))


def test_sizes_and_losses_that_do_not_fit_are_told(
    config: Path,
    main: Main,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(config, "size=40", "loss.ce=1") == 2
    message = capsys.readouterr().err
    assert "size: unet takes multiples of 16 from 32 px on, found 40" in message
    assert "loss.ce judges softmaxes" in message


def test_training_goes_on_from_weights_of_the_same_network(
    config: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    """A step too small to change anything leaves the weights that it started from."""
    short = ["train.images=4", "train.log_every_images=4", "train.ema_half_life_images=0"]
    assert main(config, *short) == 0
    first = tmp_path / "run" / "checkpoints" / "latest.safetensors"
    still = [*short, "train.optimiser.learning_rate=1e-12", f"model.initial_weights={first}"]
    assert main(config, *still, f"run_dir={tmp_path / 'more'}") == 0
    again, _ = load_weights(tmp_path / "more" / "checkpoints" / "latest.safetensors")
    for name, parameter in load_weights(first)[0].named_parameters():
        torch.testing.assert_close(again.get_parameter(name), parameter, rtol=0, atol=1e-6)
    assert main(config, *still, "model.decoder_channels=[8,8,8,8,8]", f"run_dir={tmp_path / 'other'}") == 2
    assert "the configuration asks for" in capsys.readouterr().err
