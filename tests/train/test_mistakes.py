"""Steps without a number, and mistakes of the user."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from common.checkpoint import load_state
from common.image_io import read_label, write_label
from common.manifest import read_manifest, write_manifest
from models.weights import Preprocessing
from tests.train.runs import Main, metrics, record_hashes


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


def test_a_single_value_for_batch_normalisation_is_told(
    config: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(config, "train.batch_size=2", "train.accumulate=2", "train.images=2", "size=32") == 2
    assert "raise train.batch_size to 2 or more a process and pass" in capsys.readouterr().err


def test_class_ids_that_no_part_has_are_told_with_their_file(
    config: Path, copied: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / "labels" / "2.png"
    label = read_label(path)
    label[0, 0] = 255
    write_label(path, label)
    record_hashes(copied)
    assert main(config, f"train_sets.faces.prepared={copied}") == 2
    assert f"{path}: holds the class id 255, known are 0 to 23" in capsys.readouterr().err


def test_a_set_with_test_samples_does_not_judge(
    config: Path, copied: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = [row | {"split": "test"} if row["split"] == "val" else row for row in read_manifest(copied)]
    write_manifest(copied, changed)
    assert main(config, f"validation.set.prepared={copied}", "validation.set.split=null") == 2
    assert "2 of 6 samples for validation are of split 'test'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_changed_label_is_named_and_not_trained_on(
    config: Path, copied: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / "labels" / "2.png"
    write_label(path, np.zeros_like(read_label(path)))
    assert main(config, f"train_sets.faces.prepared={copied}") == 2
    assert f"{path}: is not the file that was written" in capsys.readouterr().err
