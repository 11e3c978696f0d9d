"""What train and test share; and that the configurations of this repository share nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import occlusion_gen.__main__ as generating
from common.image_io import write_image, write_label
from common.manifest import read_samples, write_manifest
from datasets.checks.command import main
from tests.in_process import exit_code
from tests.tiny_world import World

REPOSITORY = Path(__file__).resolve().parents[3]


def write_set(folder: Path, rows: list[dict[str, object]], colour: int) -> Path:
    """Write a prepared set of one-coloured photos."""
    for number, row in enumerate(rows):
        row |= {"outcome": "ok", "crop": {"method": "pos3d", "template": "faceocc256"}}
        row["files"] = {"image": f"images/{row['id']}.png", "label": f"labels/{row['id']}.png"}
        write_image(folder / f"images/{row['id']}.png", np.full((16, 16, 3), colour + number, np.uint8))
        write_label(folder / f"labels/{row['id']}.png", np.ones((16, 16), np.uint8))
    write_manifest(folder, rows)
    return folder


def check(*words: str) -> int:
    return exit_code(main, [*words, "--processes", "1"])


def configs(tmp_path: Path, train: Path, test: Path) -> list[str]:
    data = {"root": str(tmp_path), "prepared": str(train)}
    write_image(tmp_path / "textures" / "dots" / "1.png", np.full((8, 8, 3), 9, np.uint8))
    shapes = {"kind": "randocc", "textures": str(tmp_path / "textures")}
    content = {
        "train": {
            "data": data,
            "name": "x",
            "size": 32,
            "train_sets": {"faces": {"prepared": str(train)}},
            "validation": {"set": {"prepared": str(tmp_path / "val")}, "every_images": 10},
            "occlusion": {"generators": {"shapes": shapes}},
            "train": {"images": 10, "batch_size": 2},
            "model": {},
        },
        "eval": {"data": data, "sets": {"drawn": {"layout": "prepared", "root": str(test)}}},
    }
    write_set(tmp_path / "val", [face("v", "nobody")], 200)
    for name, keys in content.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(keys))
    return [str(tmp_path / f"{name}.yaml") for name in content]


def face(name: str, subject: str, source: str = "CelebA-HQ-img", **more: object) -> dict[str, object]:
    return {"id": name, "subject": subject, "split": "train", "source": f"{source}/{name}.jpg", **more}


def occluded(file: str) -> dict[str, object]:
    return {"layers": [{"generator": "hands", "drawn": {"occluder": file}}], "after": {}}


@pytest.mark.parametrize(
    ("test_rows", "colour", "told"),
    [
        ([face("c", "anna")], 50, "1 subjects that train.faces (train) and eval.drawn (test) share: a = c"),
        ([face("c", "carl")], 10, "1 photos that train.faces (train) and eval.drawn (test) share: a = c"),
        ([face("c", "carl", params=occluded("hand_7.png"))], 50, "1 occluder files that train.faces"),
        ([face("c", "carl", source_sha256="5d")], 50, "1 photos that train.faces"),
    ],
)
def test_what_two_sides_share_is_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    test_rows: list[dict[str, object]],
    colour: int,
    told: str,
) -> None:
    rows = [face("a", "anna"), face("b", "bert", params=occluded("hand_7.png"), source_sha256="5d")]
    train = write_set(tmp_path / "train", rows, 10)
    test = write_set(tmp_path / "test", test_rows, colour)
    assert check(*configs(tmp_path, train, test)) == 1
    printed = capsys.readouterr().out
    assert told in printed
    assert "1 fault" in printed


def test_equal_names_of_different_people_are_no_fault(tmp_path: Path) -> None:
    train = write_set(tmp_path / "train", [face("a", "12")], 10)
    test = write_set(tmp_path / "test", [face("a", "12", source="mfr2")], 50)
    assert check(*configs(tmp_path, train, test)) == 0


def test_splits_of_the_generator_share_nothing(
    world: World, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Occluded sets of both splits, with both sides of the occluders; then the same with one side for both."""
    data = {"root": str(world.root), "prepared": str(prepared)}
    hands = {"kind": "natocc", "part": "hand", "occluders": str(world.pairs), "holdout_share": 0.4}
    for name, split, side in (("train", "train", "train"), ("test", "val", "validation"), ("bad", "val", "train")):
        keys = {"data": data, "split": split, "occluder_split": side, "output": str(tmp_path / name),
                "occlusion": {"generators": {"hands": hands}}}  # fmt: skip
        (tmp_path / "natocc.yaml").write_text(yaml.safe_dump(keys))
        monkeypatch.setattr(sys, "argv", ["occlusion_gen", str(tmp_path / "natocc.yaml"), "--processes", "1"])
        generating.main()
    assert check(*configs(tmp_path, tmp_path / "train", tmp_path / "test")) == 0
    assert occluders_of(tmp_path / "bad") & occluders_of(tmp_path / "train")
    assert check(*configs(tmp_path, tmp_path / "train", tmp_path / "bad")) == 1
    assert "occluder files" in capsys.readouterr().out


def occluders_of(folder: Path) -> set[str]:
    return {layer["drawn"]["occluder"] for row in read_samples(folder) for layer in row["params"]["layers"]}


@pytest.mark.skipif("OCCFACE_DATA" not in os.environ, reason="OCCFACE_DATA names no folder with the real photos")
def test_the_experiments_on_real_photos_share_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    source = tmp_path / "align.yaml"
    source.write_text(
        f"base: {REPOSITORY / 'configs/mini/data.yaml'}\n"
        "sets:\n"
        "  train: {layout: celebamask_hq, root: '${data.root}', split: train, role: validation, limit: 60}\n"
        "  validation: {layout: celebamask_hq, root: '${data.root}', split: val, role: test, limit: 60}\n"
    )
    assert check(str(source), "configs/mini/eval.yaml") == 0
