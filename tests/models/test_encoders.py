from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from common.errors import UserError
from configs.schema import ModelSection
from models.encoders import from_mmsegmentation, load_encoder, match
from models.network import build_spec, make_network
from models.state_files import State


@pytest.fixture(scope="module")
def transformer() -> torch.nn.Module:
    torch.manual_seed(0)
    section = ModelSection(architecture="segformer", encoder="mit_b0", outputs=("visible",), decoder_channels=(16,))
    return make_network(build_spec(section)).eval()


@pytest.fixture(scope="module")
def unet() -> torch.nn.Module:
    torch.manual_seed(0)
    return make_network(build_spec(ModelSection(encoder="resnet18", decoder_channels=(8, 8, 8, 8, 8))))


def as_mmsegmentation(encoder: torch.nn.Module) -> State:
    """Return the state of a mix transformer as mmsegmentation writes it: other names, query, key and value joined."""
    own, state = encoder.state_dict(), {}
    for name, tensor in own.items():
        stage = next(
            i for i in range(4) if name.startswith((f"patch_embed{i + 1}.", f"block{i + 1}.", f"norm{i + 1}."))
        )
        rest = name.split(".", 1)[1]
        if name.startswith("patch_embed"):
            key = f"layers.{stage}.0.{rest.replace('proj.', 'projection.')}"
        elif name.startswith("norm"):
            key = f"layers.{stage}.2.{rest}"
        else:
            if ".attn.kv." in name:
                continue
            if ".attn.q." in name:
                part = rest.rsplit(".", 1)[1]
                tensor = torch.cat([tensor, own[name.replace(".attn.q.", ".attn.kv.")]])
                rest = rest.replace(f".attn.q.{part}", f".attn.attn.in_proj_{part}")
            rest = rest.replace(".attn.proj.", ".attn.attn.out_proj.")
            if ".mlp.fc" in rest and rest.endswith("weight"):
                tensor = tensor[..., None, None]
            for old, new in ((".mlp.fc1.", ".ffn.layers.0."), (".mlp.dwconv.dwconv.", ".ffn.layers.1."),
                             (".mlp.fc2.", ".ffn.layers.4.")):  # fmt: skip
                rest = rest.replace(old, new)
            key = f"layers.{stage}.1.{rest}"
        state[f"backbone.{key}"] = tensor
    return state


def scrambled(network: torch.nn.Module) -> State:
    return {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in network.state_dict().items()}


def test_a_mix_transformer_of_mmsegmentation_becomes_the_library_s(transformer: torch.nn.Module) -> None:
    encoder = transformer.encoder
    state = as_mmsegmentation(encoder)  # type: ignore[arg-type]
    assert any(".attn.attn.in_proj_weight" in name for name in state)
    found = from_mmsegmentation({**state, "decode_head.conv_seg.weight": torch.ones(1)})
    own = encoder.state_dict()  # type: ignore[union-attr,operator]
    assert found.keys() == own.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in own.items())


def test_backbones_are_loaded_where_the_shapes_agree_and_the_rest_is_told(
    unet: torch.nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A ResNet with a deep stem: all but its first convolution has torchvision's names and shapes."""
    before = unet.encoder.state_dict()["conv1.weight"].clone()  # type: ignore[union-attr,operator]
    state = {f"backbone.{name}": tensor for name, tensor in scrambled(unet.encoder).items() if name[:5] != "conv1"}  # type: ignore[arg-type]
    state |= {"backbone.stem.0.weight": torch.ones(32, 3, 3, 3), "decode_head.conv.weight": torch.ones(1)}
    torch.save({"state_dict": state, "meta": {"epoch": 1}}, tmp_path / "psp.pth")
    with caplog.at_level(logging.WARNING):
        load_encoder(unet, tmp_path / "psp.pth")
    own = unet.encoder.state_dict()  # type: ignore[union-attr,operator]
    assert torch.equal(own["layer3.0.conv1.weight"], state["backbone.layer3.0.conv1.weight"])
    assert torch.equal(own["conv1.weight"], before)
    assert "tensors loaded; without: conv1.weight" in caplog.text


def test_a_backbone_of_another_kind_is_refused(
    transformer: torch.nn.Module, unet: torch.nn.Module, tmp_path: Path
) -> None:
    torch.save({f"backbone.{name}": tensor for name, tensor in unet.encoder.state_dict().items()}, tmp_path / "a.pth")  # type: ignore[union-attr,operator]
    with pytest.raises(UserError, match=r"a\.pth: cannot be loaded.*its backbone is another one: 0 of \d+ tensors"):
        load_encoder(transformer, tmp_path / "a.pth")


def test_encoders_come_out_of_whole_networks_too(unet: torch.nn.Module, tmp_path: Path) -> None:
    state = scrambled(unet)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "whole.safetensors")
    load_encoder(unet, tmp_path / "whole.safetensors")
    own = unet.state_dict()
    assert all(torch.equal(own[name], state[name]) for name in own if name.startswith("encoder."))
    assert not torch.equal(own["segmentation_head.0.weight"], state["segmentation_head.0.weight"])


def test_the_classifier_of_torchvision_is_left_out(unet: torch.nn.Module, tmp_path: Path) -> None:
    state = scrambled(unet.encoder)  # type: ignore[arg-type]
    torch.save({**state, "fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)}, tmp_path / "resnet18.pth")
    load_encoder(unet, tmp_path / "resnet18.pth")
    assert torch.equal(unet.encoder.state_dict()["conv1.weight"], state["conv1.weight"])  # type: ignore[union-attr,operator]


def test_a_match_names_what_differs(unet: torch.nn.Module) -> None:
    found = match(
        unet, {"encoder.conv1.weight": torch.ones(1), "encoder.bn1.weight": torch.ones(64), "x": torch.ones(1)}
    )
    assert set(found.fitting) == {"encoder.bn1.weight"}
    assert found.other_shape == ("encoder.conv1.weight",)
    assert found.unknown == ("x",)
    assert "encoder.bn1.bias" in found.missing
    assert not any("num_batches" in name for name in found.missing)
