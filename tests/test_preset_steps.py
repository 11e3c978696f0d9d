"""Every preset takes two real steps, validates and would save, with its own network, loss and optimiser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import train
from common.config import load_config
from configs.schema import NatOccSection, PreparedSet, RandOccSection, TrainJob
from datasets.prepared import build_face_set
from models.processes import start_fabric
from tests.tiny_world import HOLDOUT, World

FOLDER = Path(__file__).resolve().parent.parent / "configs"
PRESETS = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem not in ("data", "natocc_base"))
SIZE = 64
STEPS, BATCH = 2, 2
SHORT = {"images": STEPS * BATCH, "batch_size": BATCH, "accumulate": 1, "workers": 0, "precision": "32-true"}


def small(name: str, world: World, prepared: Path, run_dir: Path) -> TrainJob:
    """Return the preset on drawn faces and occluders, small and short; nothing of how it learns is changed."""
    job = load_config(FOLDER / f"{name}.yaml", TrainJob, [f"data.root={world.root}", "model.encoder_weights=null"])
    generators = {
        "objects": NatOccSection(occluders=world.cutouts, part="object", holdout_share=HOLDOUT),
        "masks": NatOccSection(occluders=world.pairs, part="mask", holdout_share=HOLDOUT),
        "shapes": RandOccSection(textures=world.textures, holdout_share=HOLDOUT),
    }
    return job.model_copy(
        update={
            "run_dir": run_dir,
            "size": SIZE,
            "train_sets": {"faces": PreparedSet(prepared=prepared, split="train")},
            "validation": job.validation.model_copy(update={"set": PreparedSet(prepared=prepared, split="val")}),
            "occlusion": job.occlusion.model_copy(update={"generators": generators, "real": None}),
            "train": job.train.model_copy(update=SHORT),
        }
    )


@pytest.mark.parametrize("name", PRESETS)
def test_two_steps(name: str, world: World, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[str] = []
    # The largest of them would write two gigabytes, and tests/train writes and reads such files anyway.
    monkeypatch.setattr(train, "save_state", lambda path, *_, **__: saved.append(path.name))
    monkeypatch.setattr(train, "save_weights", lambda path, *_, **__: saved.append(path.name))
    job = small(name, world, prepared, tmp_path / "run")
    faces, held_out = (
        build_face_set(job.train_sets), build_face_set({"validation": job.validation.set}, judges=True),
    )  # fmt: skip
    progress = train.train(job, tmp_path / "run", fabric=start_fabric(job.train), faces=faces, held_out=held_out)
    assert progress.images == STEPS * BATCH
    assert progress.bad_steps == 0
    assert {"latest.pt", "latest.safetensors"} <= set(saved)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert 0 <= rows[-1]["face_iou"] <= 1
