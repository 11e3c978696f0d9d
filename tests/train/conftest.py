"""A tiny training, and the script to run it with."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.tiny_world import HOLDOUT, World
from tests.train.runs import Main, train


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Iterator[Main]:
    """Run the script in this process and return its exit code."""

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
        try:
            train.main()
        except SystemExit as stop:
            return int(stop.code or 0)
        finally:
            for handler in train.log.handlers[:]:
                train.log.removeHandler(handler)
                handler.close()
        return 0

    yield call
    logging.getLogger("occface").setLevel(logging.NOTSET)


@pytest.fixture
def config(world: World, prepared: Path, tmp_path: Path) -> Path:
    content = {
        "name": "tiny",
        "run_dir": str(tmp_path / "run"),
        "seed": 1,
        "data": {"root": str(world.root), "prepared": str(prepared)},
        "size": 32,
        "train_sets": {"faces": {"prepared": str(prepared), "split": "train"}},
        "validation": {"every_images": 4, "previews": 2, "set": {"prepared": str(prepared), "split": "val"}},
        "occlusion": {
            "generators": {
                "hands": {"kind": "natocc", "part": "hand", "occluders": str(world.pairs), "holdout_share": HOLDOUT},
                "shapes": {"kind": "randocc", "textures": str(world.textures), "holdout_share": HOLDOUT},
            }
        },
        "model": {"encoder": "mobilenet_v2", "decoder_channels": [16, 8, 8, 8, 4]},
        "train": {
            "images": 8, "batch_size": 2, "schedule": {"warmup_images": 2}, "workers": 0, "threads": 1,
            "precision": "32-true",
            "ema_half_life_images": 8,
        },
    }  # fmt: skip
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def copied(prepared: Path, tmp_path: Path) -> Path:
    return shutil.copytree(prepared, tmp_path / "copied")
