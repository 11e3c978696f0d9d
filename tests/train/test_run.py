"""What a run of `train.py` leaves behind, and what changes it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from common.checkpoint import load_state
from common.config import load_config
from common.image_io import read_image, read_label, write_label
from configs.schema import TrainJob
from models.predictor import CropPredictor
from models.weights import load_weights
from tests.train.runs import LATEST, Main, metrics, record_hashes, start


def test_a_run_leaves_what_it_should(config: Path, tmp_path: Path, main: Main) -> None:
    """The real command: two steps with a loader process."""
    process = start(config, "train.images=4", "train.workers=1")
    output, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    run = tmp_path / "run"
    for name in ("config.yaml", "environment.json", "metrics.jsonl", "log.txt", "checkpoints/latest.pt"):
        assert (run / name).is_file(), name
    assert list((run / "tensorboard").iterdir())
    assert str(run / "checkpoints" / "best.safetensors") in output
    resolved = load_config(run / "config.yaml", TrainJob)
    assert resolved == load_config(config, TrainJob, ["train.images=4", "train.workers=1"])
    environment = json.loads((run / "environment.json").read_text())
    assert len(environment["manifests"]) == 1
    (row,) = metrics(run, "validation")
    assert row["images"] == 4
    assert 0 <= row["face_iou"] <= 1
    assert read_image(run / "previews" / "images_000000004.jpg").shape == (2 * 160, 4 * 160, 3)
    predictor = CropPredictor.from_file(run / "checkpoints" / "best.safetensors", device="cpu")
    assert (predictor.size, predictor.method, predictor.outputs) == (32, "pos3d", ("visible", "full"))
    assert predictor.card.origin["validation"]["face_iou"] == pytest.approx(row["face_iou"], abs=1e-6)
    assert main(run / "config.yaml") == 0  # the same command again: finished, nothing is done
    assert len(metrics(run, "validation")) == 1


def test_a_run_repeats_itself_and_workers_change_nothing(config: Path, tmp_path: Path, main: Main) -> None:
    runs = [tmp_path / "one", tmp_path / "two"]
    assert main(config, f"run_dir={runs[0]}", "model.outputs=[visible]", "loss.ohem_bce=1.0") == 0
    assert main(config, f"run_dir={runs[1]}", "model.outputs=[visible]", "loss.ohem_bce=1.0", "train.workers=2") == 0
    one, two = (load_file(run / "checkpoints" / "latest.safetensors") for run in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)
    _, card = load_weights(runs[0] / "checkpoints" / "latest.safetensors")
    assert card.network.outputs == ("visible",)


def test_a_dry_run_writes_nothing(config: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(config, "--dry-run") == 0
    text = capsys.readouterr().out
    assert "for 4 steps of 2 on 4 faces (2.0 epochs), validate on 2" in text
    assert "GFLOP an image forward" in text
    assert "PFLOP in all; 1 processes x 1 passes x 2 images a step" in text
    assert "encoder: mobilenet_v2" in text
    assert not (tmp_path / "run").exists()


def test_a_batch_may_be_a_single_image(config: Path, main: Main) -> None:
    assert main(config, "train.batch_size=1", "train.images=2", "size=64") == 0


def test_faces_without_a_face_do_no_harm(config: Path, copied: Path, tmp_path: Path, main: Main) -> None:
    for path in (copied / "labels").iterdir():
        write_label(path, np.zeros_like(read_label(path)))
    record_hashes(copied)
    assert main(config, f"train_sets.faces.prepared={copied}", f"validation.set.prepared={copied}") == 0
    state = load_state(tmp_path / "run" / LATEST)
    assert state["progress"]["bad_steps"] == 0
    assert all(torch.isfinite(tensor).all() for tensor in state["network"].values())


def test_several_seeds_are_told_with_mean_and_deviation(
    config: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(config, "train.images=4", "--seeds", "3", "5") == 0
    content = json.loads((tmp_path / "run" / "seeds.json").read_text())
    found = {seed: metrics(tmp_path / "run" / f"seed_{seed}", "validation")[-1]["face_iou"] for seed in ("3", "5")}
    assert content["face_iou"] == pytest.approx(found, abs=1e-6)
    assert found["3"] != found["5"]
    assert content["mean"] == pytest.approx(np.mean(list(found.values())), abs=1e-6)
    assert content["standard_deviation"] == pytest.approx(np.std(list(found.values()), ddof=1), abs=1e-6)
    printed = capsys.readouterr().out
    assert f"| mean of 2 | {content['mean']:.4f} ± {content['standard_deviation']:.4f} |" in printed
    assert main(config, "train.images=4", "--seeds", "3", "5") == 0  # finished runs are taken as they are
    assert json.loads((tmp_path / "run" / "seeds.json").read_text()) == content


def test_waiting_for_samples_is_told(config: Path, tmp_path: Path, main: Main) -> None:
    assert main(config, "train.log_every_images=4") == 0
    rows = metrics(tmp_path / "run", "train")
    assert [row["images"] for row in rows] == [4, 8]
    assert all(0 < row["waiting_share"] < 1 and row["images_per_s"] > 0 for row in rows)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_other_optimisers_and_no_clipping(config: Path, tmp_path: Path, main: Main, kind: str) -> None:
    overrides = [f"train.optimiser.kind={kind}", "train.gradient_clip=null", "train.schedule.kind=poly"]
    assert main(config, "train.images=4", *overrides) == 0
    assert metrics(tmp_path / "run", "validation")[-1]["images"] == 4
