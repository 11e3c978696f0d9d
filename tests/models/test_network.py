from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric
from pydantic import ValidationError

from common.errors import UserError
from common.labels import PART_ID, FacePolicy
from configs.schema import ModelSection, size_problem
from configs.schema.network import PARTS
from models.architectures.fcn8s import FCN8s, from_torchvision
from models.architectures.scanet import SpatialAttention
from models.network import build_network, build_spec, check_size, make_network, make_network_on_meta
from models.spec import (
    Heads,
    NetworkSpec,
    face_part_ids,
    map_names,
    map_probabilities,
    part_ids,
    visible_logit,
    visible_probability,
)

SMALL = {
    "unet": {"encoder": "mobilenet_v2", "decoder_channels": (16, 8, 8, 8, 4)},
    "deeplabv3plus": {"encoder": "resnet18", "decoder_channels": (32,), "auxiliary": True},
    "pspnet": {"encoder": "resnet18", "decoder_channels": (32,), "auxiliary": True},
    "segformer": {"encoder": "mit_b0", "decoder_channels": (32,)},
    "scanet": {"encoder": "resnet18", "decoder_channels": (32,), "outputs": ("parts",)},
}


def spec_of(architecture: str, **changes: object) -> NetworkSpec:
    return build_spec(ModelSection(architecture=architecture, **{**SMALL.get(architecture, {}), **changes}))  # type: ignore[arg-type]


# ---------------------------------------------------------------- building


@pytest.mark.parametrize("name", SMALL)
def test_each_network_learns_at_a_small_size(name: str) -> None:
    torch.manual_seed(0)
    spec = spec_of(name)
    network = make_network(spec).train()
    answer = network(torch.randn(2, 3, 64, 64))
    heads = answer if isinstance(answer, Heads) else Heads(answer)
    assert heads.logits.shape == (2, spec.channel_count, 64, 64)
    assert (heads.auxiliary is not None) == spec.auxiliary
    assert (heads.edges is not None) == (name == "scanet")
    sum(head.square().mean() for head in heads if head is not None).backward()  # type: ignore[union-attr]
    assert all(weight.grad is not None for weight in network.parameters())
    with torch.no_grad():
        plain = network.eval()(torch.randn(1, 3, 64, 64))
    assert isinstance(plain, torch.Tensor)
    assert plain.shape == (1, spec.channel_count, 64, 64)


@pytest.mark.parametrize(
    ("section", "parameters"),
    [
        (ModelSection(encoder="resnet18", outputs=("visible",)), 14_328_209),
        (ModelSection(architecture="fcn8s", encoder="vgg16", outputs=("visible",), classes=21), 134_489_759),
        (ModelSection(architecture="pspnet", encoder="resnet101", outputs=("visible",), auxiliary=True), None),
        (ModelSection(architecture="deeplabv3plus", encoder="resnet101", outputs=("visible",), auxiliary=True), None),
        (ModelSection(architecture="segformer", encoder="mit_b5", outputs=("visible",)), None),
    ],
)
def test_the_published_networks_are_built_without_memory(section: ModelSection, parameters: int | None) -> None:
    network = make_network_on_meta(build_spec(section))
    assert all(weight.is_meta for weight in network.parameters())
    count = sum(weight.numel() for weight in network.parameters())
    assert count == parameters if parameters else count > 45e6


def test_pspnet_has_the_whole_encoder_and_not_three_of_its_stages() -> None:
    network = make_network_on_meta(spec_of("pspnet"))
    deepest = network.encoder(torch.empty(1, 3, 64, 64, device="meta"))[-1]  # type: ignore[operator]
    assert deepest.shape == (1, 512, 8, 8)


@pytest.mark.parametrize("encoder", ["mobilnet_v2", "tu-nonsense"])
@pytest.mark.parametrize("architecture", ["unet", "scanet"])
def test_an_unknown_encoder_is_told(encoder: str, architecture: str) -> None:
    with pytest.raises(UserError, match=rf"encoder.*{encoder}.*is unknown"):
        make_network(spec_of(architecture, encoder=encoder))


def test_an_encoder_that_does_not_suit_is_told() -> None:
    with pytest.raises(UserError, match=r"encoder 'vgg11' does not suit scanet .*try resnet18"):
        make_network(spec_of("scanet", encoder="vgg11"))
    with pytest.raises(UserError, match=r"architecture 'vnet' is unknown; known: unet, "):
        make_network(NetworkSpec("vnet", "resnet18", (8,), ("visible",)))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"outputs": ("full", "visible")},
            r"outputs must be \[visible\] or \[visible, full\], or with parts",
        ),
        ({"classes": 2}, r"classes: 2 needs outputs: \[visible\]"),
        ({"classes": 2, "outputs": ("visible",), "face_class": 2}, "face_class must be 1 to 1"),
        ({"decoder_channels": (64,)}, "decoder_channels: unet takes 5 widths, found 1"),
        ({"architecture": "fcn8s"}, "fcn8s stands on encoder: vgg16, found 'mobilenet_v2'"),
        ({"architecture": "segformer", "auxiliary": True}, "auxiliary is for deeplabv3plus and pspnet"),
        ({"architecture": "unet", "output_stride": 8}, "output_stride is for deeplabv3plus and pspnet"),
    ],
)
def test_sections_that_make_no_network_are_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelSection(**keys)  # type: ignore[arg-type]


def test_weights_of_the_hub_fit_their_preprocessing() -> None:
    section = ModelSection(
        architecture="fcn8s", encoder="vgg16", outputs=("visible",), classes=2, encoder_weights="hub:imagenet",
        normalisation="caffe",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"VGG-16 was trained with model\.normalisation imagenet"):
        build_network(section)


def test_several_heads_pass_through_mixed_precision() -> None:
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    network = fabric.setup(make_network(spec_of("scanet")))
    heads = network.train()(torch.randn(2, 3, 64, 64))
    assert isinstance(heads, Heads)
    assert heads.auxiliary is None
    assert heads.edges is not None
    assert heads.edges.shape == (2, 1, 64, 64)


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize(("name", "step"), {"unet": 16, "segformer": 32, "deeplabv3plus": 16, "pspnet": 8}.items())
def test_sizes_that_a_network_cannot_take_are_told_with_those_it_can(name: str, step: int) -> None:
    spec = spec_of(name)
    check_size(spec, 4 * 32 + step)
    with pytest.raises(UserError, match=f"takes multiples of {step} from 32 px on, .*nearest: {96} and {96 + step}"):
        check_size(spec, 96 + step // 2)
    network = make_network_on_meta(spec).eval()
    side = 4 * 32 + step
    assert network(torch.empty(1, 3, side, side, device="meta")).shape == (1, spec.channel_count, side, side)
    if name != "unet":
        with pytest.raises(RuntimeError, match="divisible by"):  # so says the library, in the middle of a run
            network(torch.empty(1, 3, side + step // 2, side + step // 2, device="meta"))


def test_small_and_odd_sizes() -> None:
    assert size_problem("unet", 16) == ("size: unet takes multiples of 16 from 32 px on, found 16; nearest: 32")
    assert size_problem("fcn8s", 301) is None
    assert size_problem("scanet", 112) is None
    assert size_problem("deeplabv3plus", 72) is not None
    assert size_problem("deeplabv3plus", 72, 8) is None
    assert ModelSection(architecture="deeplabv3plus", decoder_channels=(8,), output_stride=8).size_problem(72) is None


# ---------------------------------------------------------------- reading logits


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 21]))
def test_the_visible_probability_of_a_softmax_is_that_of_its_class(seed: int, classes: int) -> None:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(0, 4, (2, classes, 3, 4))).float()
    spec = NetworkSpec("fcn8s", "vgg16", (), ("visible",), classes=classes, face_class=classes - 1)
    expected = torch.softmax(logits, dim=1)[:, classes - 1 :]
    torch.testing.assert_close(visible_probability(logits, spec), expected, atol=1e-5, rtol=1e-4)


def test_the_visible_probability_of_parts_is_the_sum_over_the_face() -> None:
    spec = spec_of("scanet")
    logits = torch.randn(2, PARTS, 5, 6, generator=torch.Generator().manual_seed(0))
    face = [PART_ID[name] for name in ("skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip")]
    expected = torch.softmax(logits, dim=1)[:, face].sum(dim=1, keepdim=True)
    torch.testing.assert_close(visible_probability(logits, spec), expected)
    assert map_names(spec) == ("visible",)
    assert torch.equal(map_probabilities(logits, spec), visible_probability(logits, spec))
    assert (part_ids(logits, spec).long() == logits.argmax(dim=1)).all()


def test_channels_follow_the_outputs() -> None:
    spec = spec_of("unet", outputs=("visible", "full", "parts"))
    assert spec.channels == {"visible": slice(0, 1), "full": slice(1, 2), "parts": slice(2, 22)}
    assert spec.channel_count == 22
    logits = torch.randn(1, 22, 4, 4)
    assert torch.equal(visible_logit(logits, spec), logits[:, :1])
    assert torch.equal(map_probabilities(logits, spec), torch.sigmoid(logits[:, :2]))
    assert map_names(spec) == ("visible", "full")
    with pytest.raises(ValueError, match="no output `parts`, only visible, full"):
        part_ids(logits, spec_of("unet"))


def test_the_policy_says_which_parts_are_face() -> None:
    usual = face_part_ids(FacePolicy())
    assert PART_ID["skin"] in usual
    assert not {PART_ID[name] for name in ("background", "eye_g", "l_ear", "neck", "hair", "mask")} & set(usual)
    wide = face_part_ids(FacePolicy(eyeglasses="face", ears=True, neck=True))
    assert set(wide) - set(usual) == {PART_ID[name] for name in ("eye_g", "l_ear", "r_ear", "neck")}
    spec = build_spec(ModelSection(outputs=("parts",)), policy=FacePolicy(ears=True))
    assert PART_ID["l_ear"] in spec.face_parts


# ---------------------------------------------------------------- FCN-8s


@pytest.fixture(scope="module")
def narrow() -> FCN8s:
    """A network with a narrow middle that hands each pixel's first channel through, scaled as the skips undo it."""
    network = FCN8s(2, deep_width=4).eval()
    with torch.no_grad():
        for weight in network.encoder.parameters():
            weight.zero_()
        for name, layer in network.encoder.named_children():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight[0, 0, layer.kernel_size[0] // 2, layer.kernel_size[1] // 2] = 1
                assert name.startswith(("conv", "fc"))
    return network


@pytest.mark.parametrize("path", ["score_fr", "score_pool4", "score_pool3"])
@pytest.mark.parametrize("place", [(40, 96), (111, 50)])
def test_each_skip_puts_a_spot_where_it_is(narrow: FCN8s, path: str, place: tuple[int, int]) -> None:
    """The crops after the padding of 100 px are right for all three strides, or spots would move."""
    layer = getattr(narrow, path)
    image = torch.zeros(1, 3, 150, 170)
    image[0, 0, place[0] - 6 : place[0] + 7, place[1] - 6 : place[1] + 7] = 1
    with torch.no_grad():
        layer.weight[1, 0] = {"score_fr": 1, "score_pool4": 100, "score_pool3": 10_000}[path]
        answer = narrow(image)[0, 1].clamp(min=0)
        layer.weight.zero_()
    assert answer.shape == (150, 170)
    rows, columns = torch.meshgrid(torch.arange(150.0), torch.arange(170.0), indexing="ij")
    centre = [float((answer * axis).sum() / answer.sum()) for axis in (rows, columns)]
    stride = {"score_fr": 32, "score_pool4": 16, "score_pool3": 8}[path]
    np.testing.assert_allclose(centre, place, atol=stride / 2)
    assert 0.5 < answer.max() < 1.01


def test_any_size_comes_back_at_its_own_size() -> None:
    with torch.device("meta"):
        network = FCN8s(21).eval()
    for size in ((500, 500), (300, 300), (33, 470), (1, 1)):
        assert network(torch.empty(1, 3, *size, device="meta")).shape == (1, 21, *size)


def test_enlarging_is_bilinear_and_fixed() -> None:
    network = FCN8s(3, deep_width=4)
    fixed = {name for name, weight in network.named_parameters() if not weight.requires_grad}
    assert fixed == {"upscore2.weight", "upscore_pool4.weight", "upscore8.weight"}
    scores = torch.rand(1, 3, 6, 7)
    for layer, factor in ((network.upscore2, 2), (network.upscore8, 8)):
        expected = torch.nn.functional.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)
        margin = factor // 2  # the transposed convolution adds half a kernel on each side
        inner = slice(factor, -factor)  # at the border one repeats, the other fades out
        found = layer(scores)[..., margin:-margin, margin:-margin]
        torch.testing.assert_close(found[..., inner, inner], expected[..., inner, inner])


def test_vgg16_of_torchvision_is_renamed() -> None:
    """The names are those that torchvision gives; shapes are cut down so that no 500 MB are needed."""
    from torchvision.models import vgg16

    with torch.device("meta"):
        state = vgg16(weights=None).state_dict()
        own = FCN8s(2).encoder.state_dict()
    renamed = from_torchvision(dict(state))
    assert {name: tensor.shape for name, tensor in renamed.items()} == {n: t.shape for n, t in own.items()}
    weight = torch.arange(2 * 512 * 49.0).reshape(2, -1)
    tiny = {name: torch.zeros(1) for name in state} | {"classifier.0.weight": weight}
    tiny["classifier.3.weight"] = torch.zeros(2, 2)
    fc6 = from_torchvision(tiny)["fc6.weight"]
    features = torch.rand(1, 512, 7, 7)
    torch.testing.assert_close(
        torch.nn.functional.conv2d(features, fc6).flatten(1), torch.nn.functional.linear(features.flatten(1), weight)
    )


# ---------------------------------------------------------------- attention


def test_spatial_attention_starts_as_nothing_and_mixes_all_places() -> None:
    torch.manual_seed(0)
    layer = SpatialAttention(16)
    features = torch.randn(2, 16, 5, 6)
    assert torch.equal(layer(features), features)
    with torch.no_grad():
        layer.share.fill_(1)
        query, key, value = (part(features).flatten(2) for part in (layer.query, layer.key, layer.value))
        scores = torch.einsum("ncp,ncq->npq", query, key) / query.shape[1] ** 0.5
        mixed = torch.einsum("npq,ncq->ncp", torch.softmax(scores, dim=-1), value)
        torch.testing.assert_close(layer(features), features + mixed.reshape(features.shape), atol=1e-5, rtol=1e-4)
