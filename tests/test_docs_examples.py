"""The worked examples in the docs: their files are taken out of the page, and their commands run as they stand."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from common.config import ConfigError, load_config
from common.errors import UserError
from common.image_io import list_images, read_image, read_label, read_mask, write_mask
from common.labels import PART_ID
from common.manifest import read_samples
from common.plugins import load_plugins
from configs.schema import EvalJob, NatOccSection, OcclusionJob, TrainJob, evaluation, network, occlusion
from datasets.sample_world import write_sample_world
from datasets.test_sets import read as test_sets
from datasets.test_sets import register_layout
from inference import PhotoMasks
from models import network as networks
from models.weights import load_weights
from occlusion_gen import generators
from tests.documents import ROOT, commands_of, files_of, make_checkout, python_of, run_python, shell_of

ADDING, STARTING = (ROOT / "docs" / f"{name}.md" for name in ("adding", "getting_started"))
REGISTRIES = (
    generators.BUILDERS, occlusion.REGISTERED, test_sets.READERS, networks.MAKERS, network.DEFAULT_DECODER,
    network.SIZE_MULTIPLE,
)  # fmt: skip


# What makes a long command of the page a short one.
SHORTER = {
    "configs/sample/train.yaml": ("train.images=16", "validation.every_images=16", "size=64", "train.workers=0"),
    "mine/train.yaml": ("train.images=16", "train.batch_size=4", "size=64", "train.workers=0"),
    "configs/sample/align.yaml": ("align.size=64",),
    "configs/sample/natocc.yaml": ("limit=4",),
    "mine/align.yaml": ("align.size=64",),
}


@pytest.fixture
def _plugins_forgotten() -> Iterator[None]:
    """Take out of the registries, and of what was imported, what a test has put in."""
    before, layouts, modules = [dict(registry) for registry in REGISTRIES], list(evaluation.LAYOUTS), set(sys.modules)
    yield
    for registry, content in zip(REGISTRIES, before, strict=True):
        registry.clear()  # type: ignore[attr-defined]
        registry.update(content)  # type: ignore[attr-defined]
    evaluation.LAYOUTS[:] = layouts
    for name in set(sys.modules) - modules:
        if name in ("bars", "side_by_side", "tiny"):
            del sys.modules[name]
    logging.getLogger("occface").setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with a small drawn world in it, aligned, as the quickstart would leave it; tests write into it."""
    folder = make_checkout(tmp_path_factory.mktemp("checkout"))
    write_sample_world(folder / "runs/sample/world", faces=16, test_faces=2, photo_size=128, seed=0, processes=1)
    with pytest.MonkeyPatch.context() as patch:
        (align,) = (
            command for command in commands_of(ROOT / "README.md") if "configs/sample/align.yaml" in command.words
        )
        run_python(align, patch, cwd=folder, more=SHORTER["configs/sample/align.yaml"])
    return folder


@pytest.mark.usefixtures("_plugins_forgotten")
def test_what_is_added_works(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(files_of(ADDING, checkout)) == 6
    (copying,) = shell_of(ADDING)
    subprocess.run(["bash", "-e", "-c", copying], cwd=checkout, check=True)
    commands = [command for command in commands_of(ADDING) if not command.quoted]
    assert len(commands) == 6
    for command in commands:
        run_python(command, monkeypatch, cwd=checkout)

    made = checkout / "runs/sample/bars"
    for row in read_samples(made):
        assert [layer["generator"] for layer in row["params"]["layers"]] == ["bars"]
        assert (read_label(made / row["files"]["label"]) == PART_ID["shape"]).any()
    scores = json.loads((checkout / "runs/occface_mobile/eval/mine/summary.json").read_text())
    assert (scores["n"], scores["face_iou"] > 0.5) == (2, True)
    with pytest.raises(ConfigError, match=r"generators\.bars: .*\n  heigth: unknown key; did you mean 'height'"):
        load_config(checkout / "mine/bars.yaml", OcclusionJob, ["occlusion.generators.bars.heigth=0.3"])
    # Beyond this process nobody knows the network without its module.
    network_only(checkout / "runs/sample/tiny/checkpoints/best.safetensors")


def test_getting_started_works(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files_of(STARTING, checkout) == ["mine/align.yaml", "mine/train.yaml", "mine/eval.yaml"]
    copy_own_photos(checkout)
    (splitting,) = shell_of(STARTING)
    subprocess.run(["bash", "-e", "-c", splitting], cwd=checkout, check=True)
    commands = [command for command in commands_of(STARTING) if command.words[0] == "python" and not command.quoted]
    # The world is drawn already, and finding faces needs a file that not every machine has.
    commands = [command for command in commands if not {"sample", "detect"} & set(command.words)]
    assert len(commands) == 10
    for command in commands:
        more = [words for name, words in SHORTER.items() if name in command.words]
        run_python(command, monkeypatch, cwd=checkout, more=more[0] if more else ())

    runs = checkout / "runs"
    assert len(list_images(runs / "first" / "triptych")) == 2
    assert Counter(row["split"] for row in read_samples(runs / "mine/aligned")) == {"train": 15, "val": 1}
    scores = json.loads((runs / "mine/train/eval/held_out/summary.json").read_text())
    assert (scores["n"], scores["role"], scores["face_iou"] > 0.8) == (1, "validation", True)
    assert len(list_images(runs / "mine/masks/visible")) == 16


def copy_own_photos(checkout: Path) -> None:
    """Make `mine/photos`, `mine/masks` and landmarks out of the drawn world."""
    world, found = checkout / "runs/sample/world/CelebAMask-HQ", []
    (checkout / "runs/mine/landmarks").mkdir(parents=True)
    (checkout / "mine/photos").mkdir(parents=True, exist_ok=True)
    for path in list_images(world / "CelebA-HQ-img"):
        shutil.copy(path, checkout / "mine/photos")
        skin = read_mask(world / "CelebAMask-HQ-mask-anno" / "0" / f"{int(path.stem):05d}_skin.png")
        write_mask(checkout / "mine/masks" / f"{path.stem}.png", skin.repeat(2, axis=0).repeat(2, axis=1))
        points = np.load(world / "landmarks" / f"{path.stem}.npy").tolist()
        found.append({"id": path.stem, "image_size": [128, 128], "scheme": "ibug68", "points": points})
    lines = "".join(json.dumps(row) + "\n" for row in found)
    (checkout / "runs/mine/landmarks/landmarks.jsonl").write_text(lines)


def network_only(weights: Path) -> None:
    """Check that weights of a network that is not registered are refused, with what to do."""
    del networks.MAKERS["tiny"]
    with pytest.raises(UserError, match=r"architecture 'tiny' is unknown.*OCCFACE_PLUGINS"):
        load_weights(weights)


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="unet"):
        networks.register_network("unet", networks.MAKERS["unet"])
    with pytest.raises(ValueError, match="realocc"):
        register_layout("realocc", test_sets.READERS["realocc"])
    with pytest.raises(ValueError, match="natocc"):
        generators.register_generator(NatOccSection, generators.BUILDERS["natocc"])


def test_names_that_nobody_registered_are_told_with_what_is_known(tmp_path: Path) -> None:
    config = tmp_path / "eval.yaml"
    config.write_text(
        f"data: {{root: {tmp_path}, prepared: {tmp_path}}}\nsets: {{mine: {{layout: my_set, root: .}}}}\n"
    )
    with pytest.raises(ConfigError, match=r"sets\.mine\.layout: .*unknown layout; known: folder, .*OCCFACE_PLUGINS"):
        load_config(config, EvalJob)
    with pytest.raises(ConfigError, match=r"model\.architecture: .*unknown architecture; known: unet, .*'os:abort'"):
        load_config(ROOT / "configs/sample/train.yaml", TrainJob, ["model.architecture=os:abort"])
    with pytest.raises(ConfigError, match=r"occlusion\.generators\.hands: .*'bar'.*'natocc'"):
        load_config(ROOT / "configs/sample/natocc.yaml", OcclusionJob, ["occlusion.generators.hands.kind=bar"])


def test_a_module_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCCFACE_PLUGINS", "no_such_module")
    with pytest.raises(UserError, match=r"'no_such_module'.*PYTHONPATH"):
        load_plugins()


@pytest.mark.parametrize("page", ["README.md", "docs/inference.md"])
def test_python_snippets_run(page: str, checkout: Path) -> None:
    photo = read_image(list_images(checkout / "runs/sample/world/RealOcc/image")[0])
    snippet = next(found for found in python_of(ROOT / page) if "Predictor" in found)
    names: dict[str, object] = {"photo": photo}
    exec(compile(snippet, page, "exec"), names)
    masks = names["masks"]
    assert isinstance(masks, PhotoMasks)
    assert masks.visible.shape == photo.shape[:2]
    assert masks.visible.mean() > 0.05


def test_the_snippet_for_crops_in_memory_runs() -> None:
    snippet = next(found for found in python_of(ROOT / "docs/inference.md") if "MaskStream" in found)
    assert 'device="cuda", compile_mode="default"' in snippet
    names: dict[str, object] = {"crops": np.zeros((2, 256, 256, 3), np.uint8)}
    exec(compile(snippet.replace('"cuda", compile_mode="default"', '"cpu"'), "inference.md", "exec"), names)
    masks = names["masks"]
    assert isinstance(masks, np.ndarray)
    assert masks.shape == (2, 2, 256, 256)
