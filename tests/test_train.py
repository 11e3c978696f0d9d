from __future__ import annotations

import importlib
import json
import logging
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from common.checkpoint import load_last_state, load_state
from common.config import load_config
from common.image_io import read_image, read_label, write_label
from common.manifest import read_manifest, sha256, write_manifest
from configs.schema import TrainJob
from models.predictor import CropPredictor
from models.weights import Preprocessing, load_weights
from tests.tiny_world import HOLDOUT, World

train = importlib.import_module("train")
REPOSITORY = Path(__file__).resolve().parent.parent
LATEST, OLDER = train.LATEST, train.OLDER
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
            "images": 8, "batch_size": 2, "schedule": {"warmup_images": 2}, "workers": 0, "threads": 1,
            "precision": "32-true",
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
    predictor = CropPredictor.from_file(run / "checkpoints" / "best.safetensors", device="cpu")
    assert (predictor.size, predictor.method, predictor.outputs) == (32, "pos3d", ("visible", "full"))
    assert predictor.card.origin["validation"]["face_iou"] == pytest.approx(row["face_iou"], abs=1e-6)
    assert main(run / "config.yaml") == 0  # the same command again: finished, nothing is done
    assert len(metrics(run, "validation")) == 1


def run_until_killed(arguments: list[str], *, images: int, delay_s: float) -> None:
    """Run the script in a process of its own and kill it once `images` were seen and `delay_s` has gone by."""
    run = Path(next(text for text in arguments if text.startswith("run_dir=")).partition("=")[2])
    process = start(*arguments)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        rows = metrics(run, "train") if (run / "metrics.jsonl").exists() else []
        if rows and rows[-1]["images"] >= images:
            break
        time.sleep(0.002)
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors


def same(one: Any, two: Any) -> bool:
    """Return whether two states are equal, bit by bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[name], two[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


def test_a_run_that_is_killed_three_times_goes_on_to_the_very_same_weights(
    config: Path, tmp_path: Path, main: Main
) -> None:
    """Random moments, most of them within an epoch; states lie between validations."""
    overrides = [
        "train.images=60", "train.save_every_images=6", "validation.every_images=20", "train.log_every_images=2",
    ]  # fmt: skip
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    rng, reached = np.random.default_rng(), [0]
    for third in range(3):
        images, delay_s = int(rng.integers(6 + 16 * third, 12 + 16 * third)), float(rng.uniform(0, 0.05))
        print(f"kill at {images} images + {delay_s:.3f} s")
        run_until_killed([str(config), f"run_dir={killed}", *overrides], images=images, delay_s=delay_s)
        state = load_last_state(killed / LATEST, older=killed / OLDER)  # none yet, if the first state was cut short
        reached.append(0 if state is None else state["progress"]["images"])
    assert reached == sorted(reached)
    assert 0 < reached[2] < reached[3] < 60
    assert main(config, f"run_dir={killed}", *overrides) == 0
    assert main(config, f"run_dir={whole}", *overrides) == 0
    states = [load_state(run / LATEST) for run in (killed, whole)]
    for part in ("network", "average", "optimiser", "generators", "progress"):
        assert same(states[0][part], states[1][part]), part
    assert metrics(killed, "validation") == metrics(whole, "validation")
    assert [row["loss"] for row in metrics(killed, "train")] == [row["loss"] for row in metrics(whole, "train")]
    for name in ("latest", "best"):
        one, two = (load_file(run / "checkpoints" / f"{name}.safetensors") for run in (killed, whole))
        assert same(one, two), name


def test_a_damaged_state_costs_no_more_than_the_way_from_the_one_before(
    config: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    overrides = ["train.images=12", "train.save_every_images=4"]
    for run in (cut, whole):
        assert main(config, f"run_dir={run}", *overrides) == 0
    latest = cut / LATEST
    latest.write_bytes(latest.read_bytes()[: latest.stat().st_size // 2])
    assert load_state(cut / OLDER)["progress"]["images"] == 8
    assert main(config, f"run_dir={cut}", *overrides) == 0  # not finished any more
    assert same(load_state(cut / LATEST)["network"], load_state(whole / LATEST)["network"])
    assert (cut / "checkpoints" / "damaged_latest.pt").exists()
    assert {path.name for path in (whole / "checkpoints").iterdir()} == {
        "latest.pt", "previous.pt", "latest.safetensors", "best.safetensors",
    }  # fmt: skip


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
    assert main(config, "train.images=8", "train.optimiser.learning_rate=0.5") == 2
    text = capsys.readouterr().err
    assert "holds a run of another configuration" in text
    assert "train.images: 4 -> 8" in text
    assert "train.optimiser.learning_rate: 0.001 -> 0.5" in text


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
    for part in (state["network"], state["average"]["module"]):
        assert all(torch.isfinite(tensor).all() for tensor in part.values())
    assert "step skipped at 4 images" in (tmp_path / "run" / "log.txt").read_text()
    assert all(row["loss"] < 10 for row in metrics(tmp_path / "run", "validation"))
    (line,) = (tmp_path / "run" / "bad_steps.jsonl").read_text().splitlines()
    skipped = json.loads(line)
    assert (skipped["images"], len(skipped["samples"])) == (4, 2)
    assert all(name.startswith("faces/") for name in skipped["samples"])


def test_a_run_that_diverges_stops_and_names_the_samples(
    config: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [
        "train.optimiser.learning_rate=1e30",
        "train.images=40",
        "validation.every_images=40",
        "train.max_bad_steps=3",
    ]
    assert main(config, *overrides) == 2
    text = capsys.readouterr().err
    assert "3 steps in a row had no finite loss" in text
    assert "train.optimiser.learning_rate" in text
    assert "faces/" in text
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["train.optimiser.learnig_rate=1"],
            "train.optimiser.learnig_rate: unknown key; did you mean 'learning_rate'?",
        ),
        (["validation.set.split=test"], "a test set never chooses a checkpoint"),
        (["train.accumulate=3"], "must be a multiple of accumulate (3)"),
        (["train.schedule.kind=steps"], "milestones_images must be given for kind: steps"),
        (["train.schedule.milestones_images=[5]"], "milestones_images must be given for kind: steps, and for no other"),
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
    assert "for 4 steps of 2 on 4 faces (2.0 epochs), validate on 2" in text
    assert "GFLOP an image forward" in text
    assert "PFLOP in all; 1 processes x 1 passes x 2 images a step" in text
    assert "encoder: mobilenet_v2" in text
    assert not (tmp_path / "run").exists()


def test_a_batch_may_be_a_single_image(config: Path, main: Main) -> None:
    assert main(config, "train.batch_size=1", "train.images=2", "size=64") == 0


def test_a_single_value_for_batch_normalisation_is_told(
    config: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(config, "train.batch_size=2", "train.accumulate=2", "train.images=2", "size=32") == 2
    assert "raise train.batch_size to 2 or more a process and pass" in capsys.readouterr().err


@pytest.fixture
def copied(prepared: Path, tmp_path: Path) -> Path:
    return shutil.copytree(prepared, tmp_path / "copied")


def accept_changes(folder: Path) -> None:
    """Let the manifest tell of the files as they are now."""
    rows = read_manifest(folder)
    for row in rows:
        row["sha256"] = {kind: sha256(folder / name) for kind, name in row["files"].items()}
    write_manifest(folder, rows)


def test_a_changed_label_is_named_and_not_trained_on(
    config: Path, copied: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / "labels" / "2.png"
    write_label(path, np.zeros_like(read_label(path)))
    assert main(config, f"train_sets.faces.prepared={copied}") == 2
    assert f"{path}: is not the file that was written" in capsys.readouterr().err


def test_class_ids_that_no_part_has_are_told_with_their_file(
    config: Path, copied: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / "labels" / "2.png"
    label = read_label(path)
    label[0, 0] = 255
    write_label(path, label)
    accept_changes(copied)
    assert main(config, f"train_sets.faces.prepared={copied}") == 2
    assert f"{path}: holds the class id 255, known are 0 to 22" in capsys.readouterr().err


def test_faces_without_a_face_do_no_harm(config: Path, copied: Path, tmp_path: Path, main: Main) -> None:
    for path in (copied / "labels").iterdir():
        write_label(path, np.zeros_like(read_label(path)))
    accept_changes(copied)
    assert main(config, f"train_sets.faces.prepared={copied}", f"validation.set.prepared={copied}") == 0
    state = load_state(tmp_path / "run" / LATEST)
    assert state["progress"]["bad_steps"] == 0
    assert all(torch.isfinite(tensor).all() for tensor in state["network"].values())


def test_a_set_with_test_samples_does_not_judge(
    config: Path, copied: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(copied, [{**row, "split": row["split"].replace("val", "test")} for row in read_manifest(copied)])
    assert main(config, f"validation.set.prepared={copied}", "validation.set.split=null") == 2
    assert "2 of 6 samples for validation are of split 'test'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_go_on_with_other_data(
    config: Path, copied: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [f"train_sets.faces.prepared={copied}", "train.images=4"]
    assert main(config, *overrides) == 0
    manifest = copied / "manifest.jsonl"
    write_manifest(copied, read_manifest(copied)[:5])
    assert main(config, *overrides) == 2
    assert f"these manifests have changed since the run began: {manifest}" in capsys.readouterr().err


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
