from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.image_io import read_label, write_image, write_label
from common.labels import PART_ID, FacePolicy
from common.manifest import is_whole, read_manifest, sha256, write_manifest
from models.network import build_network
from models.weights import Card, make_preprocessing, save_weights
from scripts.doubt_labels import RECORD, Doubter, doubts_of, is_made, write_doubted

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "doubt_labels.py"
SIDE = 64


def face() -> np.ndarray:
    truth = np.zeros((SIDE, SIDE), np.bool_)
    truth[8:56, 8:56] = True
    return truth


def test_an_area_is_doubted_and_an_outline_is_not() -> None:
    truth = face()
    probability = truth.astype(np.float32)
    probability[30:44, 30:44] = 0.1  # a hand that the label calls skin
    probability[0:6, 20:30] = 0.9  # a piece of face that the label has lost
    probability[8, :] = probability[:, 8] = 0.1  # one pixel less along the outline
    doubts = doubts_of(truth, probability, firm=0.25, most=0.35)
    assert doubts[31:43, 31:43].all()
    assert doubts[1:5, 22:28].all()
    assert not doubts[20:28, 8].any()
    assert doubts.sum() < 1.5 * (14 * 14 + 60)


def test_what_is_only_unsure_is_not_doubted() -> None:
    probability = face().astype(np.float32)
    probability[30:44, 30:44] = 0.4
    assert not doubts_of(face(), probability, firm=0.25, most=0.35).any()


def test_a_face_that_the_network_does_not_know_stays() -> None:
    assert not doubts_of(face(), np.zeros((SIDE, SIDE), np.float32), firm=0.25, most=0.35).any()
    assert doubts_of(face(), np.zeros((SIDE, SIDE), np.float32), firm=0.25, most=2.0).any()


class Blind:
    """Answers 0.1 in the lower half, else 0.9 on faces."""

    size = SIDE

    def predict_crops(self, crops: np.ndarray) -> np.ndarray:
        answer = np.where(face(), 0.9, 0.1).astype(np.float32)
        answer[40:56, 20:40] = 0.1
        return np.repeat(answer[None, None], len(crops), axis=0)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    folder, rows = tmp_path / "prepared", []
    for name, split in (("a", "train"), ("b", "val")):
        files = {"image": f"images/{name}.jpg", "label": f"labels/{name}.png"}
        write_image(folder / files["image"], np.full((SIDE, SIDE, 3), 120, np.uint8))
        write_label(folder / files["label"], np.where(face(), PART_ID["skin"], 0).astype(np.uint8))
        digests = {key: sha256(folder / path) for key, path in files.items()}
        crop = {"method": "pos3d", "template": "faceocc256"}
        rows.append(
            {
                "id": name,
                "outcome": "ok",
                "split": split,
                "subject": name,
                "files": files,
                "sha256": digests,
                "crop": crop,
            }
        )
    write_manifest(folder, rows)
    return folder


def test_only_the_chosen_are_changed_and_the_manifest_knows(prepared: Path, tmp_path: Path) -> None:
    doubter = Doubter(Blind(), 0.25, 0.35)  # type: ignore[arg-type]
    faces = write_doubted(prepared, tmp_path / "out", read_manifest(prepared), chosen={"a"}, doubter=doubter)
    assert [round(face.share, 2) for face in faces] == [pytest.approx(320 / 48**2, abs=0.03)]
    changed, same = (read_label(tmp_path / "out" / "labels" / f"{name}.png") for name in "ab")
    assert (changed[42:54, 22:38] == PART_ID["unknown"]).all()
    assert (changed == PART_ID["skin"]).any()
    assert (same == read_label(prepared / "labels" / "b.png")).all()
    rows = read_manifest(tmp_path / "out")
    assert all(is_whole(tmp_path / "out", row) for row in rows)
    assert [row["id"] for row in rows] == ["a", "b"]


def doubt(prepared: Path, out: Path, weights: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(SCRIPT), str(prepared), str(out), "--weights", str(weights), *more]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_as_a_command(prepared: Path, tmp_path: Path) -> None:
    from configs.schema import ModelSection

    network, spec = build_network(ModelSection(encoder="mobilenet_v2"), policy=FacePolicy())
    preprocessing = make_preprocessing("imagenet", size=SIDE, method="pos3d", template="faceocc256")
    save_weights(tmp_path / "w.safetensors", network.state_dict(), Card(spec, preprocessing, 0.5, {}))

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return doubt(prepared, tmp_path / "out", tmp_path / "w.safetensors", *more)

    assert "would doubt the labels of 1 of 2 faces" in run("--dry-run").stdout
    assert not (tmp_path / "out").exists()
    assert "no sample of the splits ['test']" in run("--splits", "test").stderr
    unset = run("--firm", "0.7")
    assert unset.returncode == 2
    assert "--firm: expected a probability between 0 and 0.5, found 0.7" in unset.stderr
    done = run()
    assert done.returncode == 0, done.stderr
    assert "of 1 faces have doubts" in done.stdout
    assert (tmp_path / "out" / "contact_sheet.jpg").stat().st_size > 0
    label = tmp_path / "out" / "labels" / "a.png"
    assert "is made already" in run().stdout
    label.write_bytes(label.read_bytes()[:-9])
    assert "is made already" not in run().stdout
    assert "is made already" in run().stdout


@pytest.mark.parametrize("name", ["prepared", "other"])
def test_folders_of_others_are_left_alone(prepared: Path, tmp_path: Path, name: str) -> None:
    out = prepared if name == "prepared" else tmp_path / "other"
    out.mkdir(exist_ok=True)
    (out / "mine.txt").write_text("mine")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    done = doubt(prepared, out, tmp_path / "none.safetensors")
    assert done.returncode == 2
    assert f"{out}: holds something that was not made here" in done.stderr
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_missing_weights_are_told_before_anything_is_written(prepared: Path, tmp_path: Path) -> None:
    done = doubt(prepared, tmp_path / "out", tmp_path / "no.safetensors")
    assert done.returncode == 2
    assert "no.safetensors: no such weights file" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_without_its_manifest_is_made_again(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text('{"firm": 0.25}')
    assert not is_made(tmp_path, {"firm": 0.25})
