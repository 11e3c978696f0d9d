"""A run goes on exactly where it stopped, or says why it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from common.checkpoint import load_last_state, load_state
from common.manifest import read_manifest, write_manifest
from tests.train.runs import LATEST, OLDER, Main, metrics, run_until_killed, same


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


def test_a_run_does_not_go_on_with_other_data(
    config: Path, copied: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [f"train_sets.faces.prepared={copied}", "train.images=4"]
    assert main(config, *overrides) == 0
    manifest = copied / "manifest.jsonl"
    write_manifest(copied, read_manifest(copied)[:5])
    assert main(config, *overrides) == 2
    assert f"these manifests have changed since the run began: {manifest}" in capsys.readouterr().err
