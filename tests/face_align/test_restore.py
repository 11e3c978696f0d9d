from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import face_align.__main__ as script
from common.geometry import apply_to_map, scaling
from common.image_io import image_size, read_label, read_mask, write_grey, write_mask
from common.labels import FacePolicy, visible_mask
from common.manifest import read_manifest
from configs.schema import AlignJob, AlignSection, DataSection
from face_align.align import build_aligner
from face_align.celebamask_hq import read_celebamask_hq, read_parts, resize_label
from face_align.restore import restore_label, restore_map
from tests.in_process import run_script
from tests.tiny_world import World, face_in_photo, part_masks

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `python -m face_align restore` in this process and return its exit code."""

    def call(*words: object) -> int:
        return run_script(script.main, monkeypatch, "face_align", "restore", *words, "--processes", "1")

    return call


def iou(one: np.ndarray, two: np.ndarray) -> float:
    return float((one & two).sum() / (one | two).sum())


@given(st.floats(0.3, 2.5), st.floats(-40, 40), st.floats(-40, 40), st.floats(-0.5, 0.5))
def test_a_mask_comes_back_to_where_it_was(scale: float, x: float, y: float, angle: float) -> None:
    """Photo -> crop -> photo of an ellipse of 200 px, in a crop of 256 px."""
    rows, columns = np.mgrid[:400, :380].astype(np.float32)
    face = ((columns - 190) / 100) ** 2 + ((rows - 200) / 125) ** 2 < 1
    cosine, sine = scale * np.cos(angle) * 0.7, scale * np.sin(angle) * 0.7
    linear = np.array([[cosine, -sine], [sine, cosine]])
    matrix = np.hstack([linear, (np.array([127.5 + x, 127.5 + y]) - linear @ (190, 200))[:, None]])
    crop = apply_to_map(matrix, face.astype(np.float32), size=(256, 256)) > 0.5
    back = restore_map(crop.astype(np.float32), matrix, face.shape) > 0.5
    cover = restore_map(np.ones((256, 256), np.float32), matrix, face.shape) > 0.5
    assert not (back & ~cover).any()
    if scale > 0.7:
        assert iou(back, face & cover) > 0.985
    assert iou(restore_label(crop.astype(np.uint8), matrix, face.shape) == 1, face & cover) > 0.95


def test_a_large_crop_of_a_small_face_does_not_alias() -> None:
    stripes = np.tile(np.array([1.0, 0.0], np.float32), (256, 128))
    grey = restore_map(stripes, scaling((32, 32), (256, 256)), (32, 32))
    assert abs(grey - 0.5).max() < 1e-6


def test_masks_of_crops_lie_on_the_faces_of_the_photos(world: World, prepared: Path, tmp_path: Path, run: Run) -> None:
    masks = tmp_path / "masks"
    for row in read_manifest(prepared):
        label = read_label(prepared / row["files"]["label"])
        write_mask(masks / f"{row['id']}.png", visible_mask(label, FacePolicy()))
    assert run(prepared, masks, tmp_path / "out") == 0
    assert run(prepared, prepared / "labels", tmp_path / "labels", "--kind", "label") == 0
    for row in read_manifest(tmp_path / "out"):
        matrix, size = face_in_photo(int(row["id"]))
        drawn = part_masks(matrix, size)
        face = drawn["skin"] & ~drawn["hair"]
        mask = read_mask(tmp_path / "out" / row["files"]["mask"])
        assert mask.shape == size == image_size(world.root / row["source"])
        assert iou(mask, face) > 0.9  # faces of 45 px
        label = read_label(tmp_path / "labels" / row["files"]["mask"])
        assert iou(visible_mask(label, FacePolicy()), face) > 0.88


def test_probabilities_stay_grey_and_may_be_smaller_than_the_crop(prepared: Path, tmp_path: Path, run: Run) -> None:
    for row in read_manifest(prepared):
        write_grey(tmp_path / "masks" / f"{row['id']}.png", np.full((32, 32), 77, np.uint8))
    assert run(prepared, tmp_path / "masks", tmp_path / "out", "--kind", "grey") == 0
    for row in read_manifest(tmp_path / "out"):
        values = np.unique(read_label(tmp_path / "out" / row["files"]["mask"]))
        assert set(values.tolist()) <= {0, 77}
        assert 77 in values


def test_every_crop_is_accounted_for(prepared: Path, tmp_path: Path, run: Run) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"
    write_mask(masks / "0.png", np.ones((64, 64), bool))
    write_mask(masks / "1.png", np.ones((64, 32), bool))
    (masks / "2.png").write_bytes(b"no image")
    assert run(prepared, masks, out) == 0
    outcomes = {row["id"]: row["outcome"] for row in read_manifest(out)}
    assert outcomes == {"0": "ok", "1": "bad_mask", "2": "unreadable_image", **dict.fromkeys("345", "missing_file")}
    write_mask(masks / "0.png", np.zeros((64, 64), bool))  # another mask: it is restored again
    assert run(prepared, masks, out) == 0
    assert json.loads((out / "report.json").read_text())["reused"] == 0
    assert not read_mask(out / "0.png").any()
    assert run(prepared, masks, out) == 0
    assert json.loads((out / "report.json").read_text())["reused"] == 1


def test_a_folder_without_masks_is_a_mistake(
    prepared: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(prepared, tmp_path, tmp_path / "out") == 2
    assert "expected files such as 0.png" in capsys.readouterr().err
    assert run(tmp_path, tmp_path, tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()


def test_real_faces_survive_the_way_there_and_back(tmp_path: Path) -> None:
    root = Path(os.environ.get("OCCFACE_DATA", "nowhere")) / "celebamask_hq_mini"
    if not root.is_dir():
        pytest.skip("needs real photos: set OCCFACE_DATA to the folder that holds celebamask_hq_mini")
    job = AlignJob(data=DataSection(root=root, prepared=tmp_path), align=AlignSection(size=256), output=tmp_path)
    aligner, policy, ious = build_aligner(job), FacePolicy(), []
    for record in read_celebamask_hq(root, split="split.csv")[::30]:
        row = aligner(record)
        size = tuple(row["photo_size"])
        truth = visible_mask(resize_label(read_parts(record), size), policy)
        crop = visible_mask(read_label(tmp_path / row["files"]["label"]), policy)
        if np.ptp(np.flatnonzero(truth.any(axis=0))) >= 200:
            ious.append(iou(restore_map(crop.astype(np.float32), np.array(row["photo_to_crop"]), size) > 0.5, truth))
    assert len(ious) > 25
    assert np.mean(ious) > 0.985
