from __future__ import annotations

import importlib
import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from common.checkpoint import load_state
from common.config import load_config
from common.image_io import read_image
from configs.schema import TrainJob
from models.predictor import Predictor
from models.weights import Preprocessing, load_weights
from tests.tiny_world import HOLDOUT, World

train = importlib.import_module("train")
REPOSITORY = Path(__file__).resolve().parent.parent
Main = Callable[..., int]


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
            "images": 8, "batch_size": 2, "warmup_images": 2, "workers": 0, "threads": 1, "precision": "32-true",
            "ema_half_life_images": 8,
        },
    }  # fmt: skip
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "train.py", *map(str, arguments)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def metrics(run: Path, kind: str) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


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
    predictor = Predictor.from_file(run / "checkpoints" / "best.safetensors", device="cpu")
    assert (predictor.size, predictor.method, predictor.outputs) == (32, "pos3d", ("visible", "full"))
    assert predictor.card.origin["validation"]["face_iou"] == pytest.approx(row["face_iou"], abs=1e-6)
    assert main(run / "config.yaml") == 0  # the same command again: finished, nothing is done
    assert len(metrics(run, "validation")) == 1


def test_a_killed_run_goes_on_to_the_very_same_weights(config: Path, tmp_path: Path, main: Main) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    overrides = ["train.images=48"]
    process = start(config, f"run_dir={killed}", *overrides)
    state = killed / "checkpoints" / "latest.pt"
    deadline = time.monotonic() + 120
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    reached = load_state(state)["progress"]["images"]
    assert 0 < reached < 48
    assert main(config, f"run_dir={killed}", *overrides) == 0
    assert main(config, f"run_dir={whole}", *overrides) == 0
    assert metrics(killed, "validation")[-1] == metrics(whole, "validation")[-1]
    one, two = (load_file(run / "checkpoints" / "latest.safetensors") for run in (killed, whole))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    resumed, uninterrupted = (load_state(run / "checkpoints" / "latest.pt") for run in (killed, whole))
    for part in ("network", "average"):
        assert all(torch.equal(resumed[part][name], tensor) for name, tensor in uninterrupted[part].items())
    assert torch.equal(resumed["torch_rng"], uninterrupted["torch_rng"])
    for part in ("images", "best_face_iou", "bad_steps"):
        assert resumed["progress"][part] == uninterrupted["progress"][part]
    best = [load_file(run / "checkpoints" / "best.safetensors") for run in (killed, whole)]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


def test_a_run_repeats_itself_and_workers_change_nothing(config: Path, tmp_path: Path, main: Main) -> None:
    runs = [tmp_path / "one", tmp_path / "two"]
    assert main(config, f"run_dir={runs[0]}", "model.outputs=[visible]", "loss.ohem_bce=1.0") == 0
    assert main(config, f"run_dir={runs[1]}", "model.outputs=[visible]", "loss.ohem_bce=1.0", "train.workers=2") == 0
    one, two = (load_file(run / "checkpoints" / "latest.safetensors") for run in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)
    _, card = load_weights(runs[0] / "checkpoints" / "latest.safetensors")
    assert card.network.outputs == ("visible",)


def test_a_run_is_not_resumed_under_another_configuration(
    config: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(config, "train.images=4") == 0
    assert main(config, "train.images=8", "train.learning_rate=0.5") == 2
    text = capsys.readouterr().err
    assert "holds a run of another configuration" in text
    assert "train.images: 4 -> 8" in text
    assert "train.learning_rate: 0.001 -> 0.5" in text


def test_a_mistake_before_the_first_step_can_be_mended(
    config: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(config, "model.encoder_weights=/gone.pth") == 2
    assert "/gone.pth: no such file with encoder weights" in capsys.readouterr().err
    assert main(config, "train.images=2") == 0
    assert (tmp_path / "run" / "checkpoints" / "best.safetensors").exists()


def test_a_bad_step_is_skipped_counted_and_leaves_no_trace(
    config: Path, tmp_path: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    normalise, calls = Preprocessing.normalise, []

    def overflow_once(self: Preprocessing, images: torch.Tensor) -> torch.Tensor:
        calls.append(images.shape)
        return normalise(self, images) * (float("inf") if len(calls) == 2 else 1.0)

    monkeypatch.setattr(Preprocessing, "normalise", overflow_once)
    assert main(config) == 0
    state = load_state(tmp_path / "run" / "checkpoints" / "latest.pt")
    assert state["progress"]["bad_steps"] == 1
    assert state["progress"]["images"] == 8
    for part in ("network", "average"):
        assert all(torch.isfinite(tensor).all() for tensor in state[part].values())
    assert "step skipped at 4 images" in (tmp_path / "run" / "log.txt").read_text()
    assert all(row["loss"] < 10 for row in metrics(tmp_path / "run", "validation"))


def test_a_run_that_diverges_stops_and_names_the_samples(
    config: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["train.learning_rate=1e30", "train.images=40", "validation.every_images=40", "train.max_bad_steps=3"]
    assert main(config, *overrides) == 2
    text = capsys.readouterr().err
    assert "3 steps in a row had no finite loss" in text
    assert "train.learning_rate" in text
    assert "faces/" in text
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.learnig_rate=1"], "train.learnig_rate: unknown key; did you mean 'learning_rate'?"),
        (["validation.set.split=train"], "share samples"),
        (["train_sets.faces.split=null"], "share samples"),
        (["train.images=1"], "batch_size"),
        (["size=40"], "size: "),
        (["model.outputs=[full]"], "[visible] or [visible, full]"),
        (["train_sets.faces.prepared=/nowhere"], "/nowhere/manifest.jsonl: cannot be read"),
        (["occlusion.generators.hands.occluders=/nowhere"], "/nowhere: expected a folder"),
        (["occlusion.generators.hands.holdout_share=0.0"], "belongs to the validation side"),
        (["model.encoder=mobilnet"], "'mobilnet' is unknown"),
    ],
)
def test_mistakes_end_with_2_and_leave_no_run(
    config: Path, tmp_path: Path, main: Main, overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(config, *overrides) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_nobody_is_in_training_and_validation(
    config: Path, prepared: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = tmp_path / "twin"
    twin.symlink_to(prepared)  # the same people under another path
    assert main(config, f"validation.set.prepared={twin}", "validation.set.split=train") == 2
    assert "4 subjects are in the training sets and in the validation set" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(config: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(config, "--dry-run") == 0
    text = capsys.readouterr().out
    assert "for 4 steps of 2 on 4 faces, validate on 2" in text
    assert "encoder: mobilenet_v2" in text
    assert not (tmp_path / "run").exists()
