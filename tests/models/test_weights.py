from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from common.errors import UserError
from configs.schema import ModelSection
from models.network import NetworkSpec, build_network, load_encoder, make_network
from models.weights import (
    DIGEST_KEY,
    FORMAT,
    HEADER_KEY,
    Card,
    Preprocessing,
    load_weights,
    make_preprocessing,
    normalisation,
    save_weights,
)

SPEC = NetworkSpec("unet", "mobilenet_v2", (16, 8, 8, 8, 4), ("visible", "full"))
MEAN, STD = normalisation("imagenet")
CARD = Card(SPEC, Preprocessing(64, "similarity5", "arcface112", MEAN, STD), 0.4, {"run": "test", "images": 7})


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return make_network(SPEC).eval()


@pytest.fixture(scope="module")
def saved(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "best.safetensors"
    save_weights(path, network.state_dict(), CARD)
    return path


def test_weights_come_back_with_their_card(network: torch.nn.Module, saved: Path) -> None:
    again, card = load_weights(saved)
    assert card == CARD
    assert not again.training
    state = again.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(again(images), network(images))


def test_weights_of_channels_last_networks_are_the_same(network: torch.nn.Module, saved: Path, tmp_path: Path) -> None:
    state = {
        name: tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        for name, tensor in network.state_dict().items()
    }
    save_weights(tmp_path / "a.safetensors", state, CARD)
    assert (tmp_path / "a.safetensors").read_bytes() == saved.read_bytes()


def rewritten(saved: Path, path: Path, header: str | None, drop: str = "") -> Path:
    with safe_open(saved, framework="pt") as stream:
        state = {name: stream.get_tensor(name) for name in stream.keys() if name != drop}  # noqa: SIM118
    save_file(state, path, metadata=None if header is None else {HEADER_KEY: header})
    return path


def header_of(saved: Path, **changes: object) -> str:
    with safe_open(saved, framework="pt") as stream:
        content = {**json.loads(stream.metadata()[HEADER_KEY]), **changes}
    return json.dumps({key: value for key, value in content.items() if key != DIGEST_KEY})


def test_files_of_others_and_damaged_files_are_refused(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    with pytest.raises(UserError, match=r"gone\.safetensors: no such weights file; train\.py"):
        load_weights(tmp_path / "gone.safetensors")
    path.write_bytes(saved.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"foreign\.safetensors: is no whole safetensors file"):
        load_weights(path)
    path.write_bytes(b"hello")
    with pytest.raises(UserError, match="is no whole safetensors file"):
        load_weights(path)
    with pytest.raises(UserError, match="holds no card of this project"):
        load_weights(rewritten(saved, path, None))
    with pytest.raises(UserError, match="the card in its header is damaged"):
        load_weights(rewritten(saved, path, "{"))
    with pytest.raises(UserError, match="the card in its header is damaged"):
        load_weights(rewritten(saved, path, header_of(saved, preprocessing={"size": 3, "colour": "BGR"})))
    with pytest.raises(UserError, match=f"format 99, this version reads {FORMAT}"):
        load_weights(rewritten(saved, path, header_of(saved, format=99)))
    with pytest.raises(UserError, match="do not fit the network"):
        load_weights(rewritten(saved, path, header_of(saved), drop="segmentation_head.0.bias"))


def test_normalisation_is_that_of_the_card() -> None:
    images = torch.randint(0, 256, (2, 3, 5, 5), dtype=torch.uint8)
    plain = Preprocessing(5, "pos3d", "x", *normalisation("none")).normalise(images)
    assert torch.allclose(plain, images / 255)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    found = Preprocessing(5, "pos3d", "x", MEAN, STD).normalise(images)
    assert found.dtype == torch.float32
    assert torch.allclose(found, (images / 255 - mean) / std, atol=1e-5)


def test_caffe_s_input_is_blue_first_and_up_to_255() -> None:
    images = torch.randint(0, 256, (2, 3, 5, 5), dtype=torch.uint8)
    made = make_preprocessing("caffe", size=500, method="bbox", template="faceocc256")
    expected = images.numpy()[:, ::-1].astype("float32") - np.array([104.00699, 116.66877, 122.67892])[:, None, None]
    torch.testing.assert_close(made.normalise(images), torch.from_numpy(expected).float())
    assert make_preprocessing("imagenet", size=5, method="pos3d", template="x") == Preprocessing(
        5, "pos3d", "x", MEAN, STD
    )
    with pytest.raises(ValueError, match="expected imagenet or none, found 'caffe'"):
        normalisation("caffe")


def test_cards_of_the_first_format_are_still_read(saved: Path, tmp_path: Path) -> None:
    """The header as the first version wrote it, letter for letter."""
    header = (
        '{"format": 1, "network": {"architecture": "unet", "decoder_channels": [16, 8, 8, 8, 4], "encoder": '
        '"mobilenet_v2", "outputs": ["visible", "full"]}, "origin": {"images": 7, "run": "test"}, "preprocessing": '
        '{"mean": [0.485, 0.456, 0.406], "method": "similarity5", "size": 64, "std": [0.229, 0.224, 0.225], '
        '"template": "arcface112"}, "threshold": 0.4}'
    )
    _, card = load_weights(rewritten(saved, tmp_path / "old.safetensors", header))
    assert card == CARD


@pytest.mark.parametrize(
    ("spec", "made", "format_"),
    [
        (SPEC, CARD.preprocessing, 1),
        (replace(SPEC, outputs=("parts",), face_parts=(1, 2)), CARD.preprocessing, 2),
        (SPEC, make_preprocessing("caffe", size=64, method="none", template="x"), 2),
    ],
)
def test_the_format_is_as_old_as_can_be(spec: NetworkSpec, made: Preprocessing, format_: int, tmp_path: Path) -> None:
    card = Card(spec, made)
    save_weights(tmp_path / "a.safetensors", make_network(spec).state_dict(), card)
    with safe_open(tmp_path / "a.safetensors", framework="pt") as stream:
        assert json.loads(stream.metadata()[HEADER_KEY])["format"] == format_
    assert load_weights(tmp_path / "a.safetensors")[1] == card


def test_a_card_whose_size_the_network_cannot_take_is_refused(saved: Path, tmp_path: Path) -> None:
    card = Card(SPEC, replace(CARD.preprocessing, size=100))
    save_weights(tmp_path / "a.safetensors", make_network(SPEC).state_dict(), card)
    with pytest.raises(UserError, match=r"a\.safetensors: size: unet takes multiples of 16 .*nearest: 96 and 112"):
        load_weights(tmp_path / "a.safetensors")


# ---------------------------------------------------------------- networks


def test_encoder_weights_come_from_a_local_file(network: torch.nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "encoder.pth"
    torch.save(network.encoder.state_dict(), path)  # type: ignore[operator, union-attr]
    section = ModelSection(encoder="mobilenet_v2", decoder_channels=SPEC.decoder_channels, encoder_weights=str(path))
    built, spec = build_network(section)
    assert spec == SPEC
    expected, found = network.state_dict(), built.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected if name.startswith("encoder."))
    assert not torch.equal(found["segmentation_head.0.weight"], expected["segmentation_head.0.weight"])


@pytest.mark.parametrize("content", ["missing", "text", "other", "list"])
def test_encoder_weights_that_do_not_fit_are_told(network: torch.nn.Module, tmp_path: Path, content: str) -> None:
    path = tmp_path / "encoder.pth"
    match content:
        case "text":
            path.write_text("hello")
        case "other":
            torch.save({"conv1.weight": torch.zeros(1)}, path)
        case "list":
            torch.save([1, 2], path)
    with pytest.raises(UserError, match=r"encoder\.pth: (no such file|cannot be loaded)"):
        load_encoder(network, path)
