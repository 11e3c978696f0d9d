from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import occlusion_gen.__main__ as script
from common.image_io import image_size, read_image, read_label
from common.labels import FacePolicy, full_mask, still_visible_mask
from common.manifest import is_whole, read_manifest, sha256
from tests.in_process import run_script
from tests.tiny_world import HOLDOUT, World

Main = Callable[..., int]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run the script in this process and return its exit code."""

    def call(*arguments: object, processes: int = 1) -> int:
        return run_script(script.main, monkeypatch, "x", *arguments, "--processes", processes)

    return call


@pytest.fixture
def config(world: World, prepared: Path, tmp_path: Path) -> Path:
    path = tmp_path / "natocc.yaml"
    path.write_text(
        f"data: {{root: {world.root}, prepared: {prepared}}}\nsplit: train\noutput: {tmp_path / 'out'}\n"
        f"occlusion:\n  generators:\n"
        f"    hands: {{kind: natocc, part: hand, occluders: {world.pairs}, holdout_share: {HOLDOUT}}}\n"
        f"    shapes: {{kind: randocc, textures: {world.textures}, holdout_share: {HOLDOUT}}}\n"
        "  whole_image: {blur_share: 0.5, flip_share: 0.5, brightness_contrast_share: 0.5}\n"
    )
    return path


def test_files_and_rows_agree(config: Path, prepared: Path, tmp_path: Path, main: Main) -> None:
    assert main(config) == 0
    out = tmp_path / "out"
    sources = {row["id"]: row for row in read_manifest(prepared)}
    rows = read_manifest(out)
    assert [row["id"] for row in rows] == ["0", "1", "2", "3"]  # only the training split
    for index, row in enumerate(rows):
        assert is_whole(out, row)
        assert row["key"] == [0, 0, index]
        assert row["source_sha256"] == sources[row["id"]]["sha256"]["image"]
        assert row["crop"] == sources[row["id"]]["crop"]
        label, parts = (read_label(out / row["files"][kind]) for kind in ("label", "parts"))
        visible, full = still_visible_mask(label, parts, FacePolicy()), full_mask(parts, FacePolicy())
        assert not (visible & ~full).any()
        assert row["coverage"] == pytest.approx(1 - visible.sum() / full.sum(), abs=1e-5)
        for name in ("image", "occluder", "parts", "label"):
            assert image_size(out / row["files"][name]) == (64, 64)
        assert row["params"]["layers"][0]["generator"] in ("hands", "shapes")
    report = json.loads((out / "report.json").read_text())
    assert report["outcomes"] == {"ok": 4}
    assert report["coverage"]["mean"] == pytest.approx(np.mean([row["coverage"] for row in rows]), abs=1e-4)
    assert sum(report["generators"].values()) == 4
    assert read_image(out / "contact_sheet.jpg").ndim == 3


def test_a_repetition_and_more_processes_give_the_same_bytes(config: Path, tmp_path: Path, main: Main) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    assert main(config, f"output={folders[0]}") == 0
    assert main(config, f"output={folders[1]}", processes=3) == 0
    first, second = ((folder / "manifest.jsonl").read_bytes() for folder in folders)
    assert first == second
    assert main(config, f"output={folders[0]}") == 0
    assert (folders[0] / "manifest.jsonl").read_bytes() == first
    (folders[0] / "images" / "2.jpg").write_bytes(b"spoilt")
    assert main(config, f"output={folders[0]}") == 0
    assert json.loads((folders[0] / "report.json").read_text())["reused"] == 3
    assert sha256(folders[0] / "images" / "2.jpg") == sha256(folders[1] / "images" / "2.jpg")


def test_another_set_is_another_draw_of_the_same_faces(config: Path, tmp_path: Path, main: Main) -> None:
    for index in (0, 1):
        assert main(config, f"set={index}", f"output={tmp_path / str(index)}") == 0
    first, second = (read_manifest(tmp_path / str(index)) for index in (0, 1))
    assert [row["id"] for row in first] == [row["id"] for row in second]
    assert all(one["params"] != two["params"] for one, two in zip(first, second, strict=True))
    assert_array_equal([row["key"][1] for row in second], 1)


def test_a_damaged_face_is_recorded_and_the_others_go_on(
    config: Path, prepared: Path, tmp_path: Path, main: Main
) -> None:
    copy = shutil.copytree(prepared, tmp_path / "copy")
    (copy / "images" / "1.png").write_bytes(b"spoilt")
    assert main(config, f"data.prepared={copy}", "max_failed_share=0.5") == 0
    rows = read_manifest(tmp_path / "out")
    assert [row["outcome"] for row in rows] == ["ok", "damaged_file", "ok", "ok"]
    assert [row["key"][2] for row in rows if row["outcome"] == "ok"] == [0, 2, 3]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["occlusion.generators.hands.aera=[0, 1]"],
            "occlusion.generators.hands.aera: unknown key; did you mean 'area'",
        ),
        (["occlusion.generators.hands.area=[1, 0.5]"], "two numbers in order"),
        (["occlusion.generators.hands.occluders=/nowhere"], "/nowhere: expected a folder"),
        (["data.prepared=/nowhere"], "python -m face_align"),
        (["split=test"], "no sample of split 'test'"),
        (["occlusion.clean_share=2"], "occlusion.clean_share: "),
    ],
)
def test_mistakes_end_with_2(
    config: Path, tmp_path: Path, main: Main, overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(config, *overrides) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_writes_nothing_and_another_configuration_is_refused(
    config: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(config, "--dry-run") == 0
    assert "would occlude 4 faces of 64 px with hands, shapes" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert main(config, "limit=1") == 0
    assert main(config, "limit=1", "seed=5") == 2
    assert "seed: 0 -> 5" in capsys.readouterr().err
