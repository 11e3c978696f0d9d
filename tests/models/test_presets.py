"""The presets `configs/*.yaml`: networks and losses fit, and their headers tell the truth about the cost."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import configs.schema
from common.config import load_config, validate
from common.sample import Sample
from configs.schema import LossSection, ModelSection, TrainJob, loss_problem
from models.card import make_preprocessing
from models.cost import estimate_cost
from models.losses import segmentation_losses
from models.network import build_spec
from models.spec import Heads

FOLDER = Path(__file__).resolve().parents[2] / "configs"
PARENTS = ("data", "natocc_base")
PRESETS = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem not in PARENTS)
ALL_KEYS = hasattr(configs.schema, "TrainSection") and importlib.util.find_spec("configs.schema.pasting") is not None


def merged(name: str) -> dict[str, object]:
    """Return a preset with its parents, its references unresolved."""
    layer = OmegaConf.load(FOLDER / f"{name}.yaml")
    base = layer.pop("base", None)
    whole = layer if base is None else OmegaConf.merge(merged(str(base).removesuffix(".yaml")), layer)
    return OmegaConf.to_container(whole, resolve=False)  # type: ignore[return-value]


def sections(name: str) -> tuple[ModelSection, LossSection, int]:
    content = merged(name)
    model = validate(content["model"], ModelSection, source=name)
    return model, validate(content["loss"], LossSection, source=name), int(content["size"])  # type: ignore[call-overload]


def test_all_presets_are_there() -> None:
    assert set(PRESETS) == {
        "faceocc_published", "faceocc_released_weights", "faceocc_improved", "mobile", "natocc_pspnet",
        "natocc_deeplabv3plus", "natocc_segformer", "nirkin_fcn8s", "scanet_r18",
    }  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
def test_the_loss_judges_every_output_of_the_network(name: str) -> None:
    model, loss, size = sections(name)
    assert loss_problem(model, loss) is None
    assert model.size_problem(size) is None
    spec = build_spec(model)
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, spec.channel_count, 32, 32, generator=rng, requires_grad=True)
    edges = torch.randn(2, 1, 32, 32, generator=rng) if loss.edge_bce else None
    masks = torch.randint(0, 256, (2, 2, 32, 32), generator=rng).to(torch.uint8)
    sample = Sample(
        torch.zeros(2, 3, 32, 32), masks[:, :1], masks[:, 1:], torch.ones(2, 2, 32, 32, dtype=torch.bool), "a\nb",
        masks[:, :1] % 23,
    )  # fmt: skip
    terms = segmentation_losses(Heads(logits, logits if model.auxiliary else None, edges), sample, loss, spec)
    torch.stack(list(terms.values())).sum().backward()
    assert logits.grad is not None
    assert logits.grad.abs().amax(dim=(0, 2, 3)).min() > 0  # no channel is left alone
    assert any(term.startswith("auxiliary_") for term in terms) == model.auxiliary


@pytest.mark.parametrize("name", PRESETS)
def test_the_header_says_what_the_network_costs(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    assert f"python train.py configs/{name}.yaml" in text
    found = re.search(r"# Cost: ([\d,]+) parameters, ([\d.]+) GFLOP", text)
    if found is None:
        assert "see configs/faceocc_published.yaml" in text
        return
    model, _, size = sections(name)
    cost = estimate_cost(build_spec(model), size)
    assert f"{cost.parameters:,}" == found[1]
    assert cost.forward_flops / 1e9 == pytest.approx(float(found[2]), rel=0.005)


@pytest.mark.skipif(not ALL_KEYS, reason="needs the keys train.optimiser and train.schedule, and the generator paste")
@pytest.mark.parametrize("name", PRESETS)
def test_the_whole_preset_is_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCCFACE_DATA", raising=False)
    config = load_config(FOLDER / f"{name}.yaml", TrainJob)
    assert config.name == name
    assert make_preprocessing(config.model.normalisation, size=config.size, method="pos3d", template="faceocc256")


def test_the_published_recipe_keeps_65_535_pixels() -> None:
    for name in ("faceocc_published", "faceocc_released_weights"):
        model, loss, size = sections(name)
        assert round(loss.ohem_min_share * 16 * size * size) == 65_535
        assert (model.outputs, model.normalisation, loss.ohem_bce, loss.bce) == (("visible",), "none", 1.0, 0.0)
    assert sections("faceocc_published")[1].dice == 0
    assert sections("faceocc_released_weights")[1].dice > 0
