from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from common.geometry import apply_to_points, scaling
from common.image_io import read_label, write_image, write_label, write_mask
from common.labels import PART_ID
from common.manifest import ManifestError, read_manifest, read_samples
from configs.schema import PreparedSet
from datasets.prepared import build_face_set
from face_align.landmark_formats import LandmarkRecord
from face_align.landmark_formats.jsonl import write_landmarks_jsonl
from face_align.landmarks import five_points
from face_align.photo_folders import read_photo_folder
from tests.face_align.align_runs import Main
from tests.tiny_world import FIVE, draw_photo, face_in_photo, part_masks, points68

NAMES = ("Ann_Lee/Ann_Lee_0001", "Ann_Lee/Ann_Lee_0002", "Bo/Bo_0001")


def landmarks_in(number: int) -> np.ndarray:
    return apply_to_points(face_in_photo(number)[0], points68())


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Three drawn photos of two persons in the layout of LFW, with 68 points in one file, and their skin masks."""
    root = tmp_path / "lfw"
    records = []
    for number, name in enumerate(NAMES):
        matrix, size = face_in_photo(number)
        masks = part_masks(matrix, size)
        write_image(root / "photos" / f"{name}.jpg", draw_photo(masks, np.random.default_rng(number)))
        write_mask(tmp_path / "masks" / f"{name}.png", masks["skin"] & ~masks["hair"])
        records.append(LandmarkRecord(name, landmarks_in(number), "ibug68", size))
    write_landmarks_jsonl(tmp_path / "landmarks.jsonl", records)
    return root / "photos"


def config(folder: Path, root: Path, **source: object) -> Path:
    keys = {"layout": "folder", "landmarks": str(folder / "landmarks.jsonl"), **source}
    path = folder / "align.yaml"
    path.write_text(
        f"data: {{root: {root}, prepared: {folder / 'out'}}}\nsource: {json.dumps(keys)}\n"
        f"align: {{size: 64}}\noutput: {folder / 'out'}\nmax_failed_share: 0.5\n"
    )
    return path


def test_photos_without_labels(people: Path, tmp_path: Path, main: Main) -> None:
    assert main(config(tmp_path, people, layout="lfw")) == 0
    rows = read_samples(tmp_path / "out", labelled=False)
    assert [row["id"] for row in rows] == list(NAMES)
    assert [row["subject"] for row in rows] == ["Ann_Lee", "Ann_Lee", "Bo"]
    for row in rows:
        assert set(row["files"]) == {"image"}
        assert row["split"] == "all"
        np.testing.assert_allclose(five_points(np.array(row["landmarks"]), row["scheme"]), FIVE / 4, atol=0.02)
    assert not (tmp_path / "out" / "labels").exists()
    assert {"contact_sheet.jpg", "histograms.png", "report.json"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    with pytest.raises(ManifestError, match=r"3 of 3 crops have no label map.*source\.labels"):
        build_face_set({"lfw": PreparedSet(prepared=tmp_path / "out")})


@pytest.mark.parametrize("kind", ["mask", "parts"])
def test_photos_with_labels(people: Path, tmp_path: Path, main: Main, kind: str) -> None:
    labels = tmp_path / "masks"
    if kind == "parts":
        for number, name in enumerate(NAMES):
            matrix, size = face_in_photo(number)
            label = np.zeros(size, np.uint8)
            for part, mask in part_masks(matrix, size).items():
                label[mask] = PART_ID[part]
            write_label(labels / f"{name}.png", label)
    assert main(config(tmp_path, people, labels=str(labels), label_kind=kind)) == 0
    drawn = part_masks(np.array([[0.25, 0, 0], [0, 0.25, 0]]), (64, 64))
    for row in read_samples(tmp_path / "out"):
        label = read_label(tmp_path / "out" / row["files"]["label"])
        face = drawn["skin"] & ~drawn["hair"]
        found = (label != 0) & (label != PART_ID["hair"])
        assert (found & face).sum() / (found | face).sum() > 0.9
        assert row["face_share"] == pytest.approx(found.mean(), abs=1e-3)
        assert (PART_ID["l_eye"] in label) == (kind == "parts")
    assert len(build_face_set({"a": PreparedSet(prepared=tmp_path / "out")}).records) == 3


def test_label_maps_given_as_masks_and_unknown_ids_are_told(people: Path, tmp_path: Path, main: Main) -> None:
    size = face_in_photo(0)[1]
    write_label(tmp_path / "masks" / f"{NAMES[0]}.png", np.full(size, 13, np.uint8))
    assert main(config(tmp_path, people, labels=str(tmp_path / "masks"))) == 0
    row = read_manifest(tmp_path / "out")[0]
    assert row["outcome"] in ("not_a_mask", "ok")  # a palette's colours may be bright: then it is a mask by meaning
    write_label(tmp_path / "masks" / f"{NAMES[1]}.png", np.full(face_in_photo(1)[1], 99, np.uint8))
    shutil.rmtree(tmp_path / "out")
    assert (
        main(config(tmp_path, people, labels=str(tmp_path / "masks"), label_kind="parts"), "max_failed_share=1.0") == 0
    )
    row = read_manifest(tmp_path / "out")[1]
    assert row["outcome"] == "bad_label"
    assert "found 99" in row["reason"]


def test_all_faces_of_a_photo(people: Path, tmp_path: Path, main: Main) -> None:
    size = face_in_photo(0)[1]
    small = landmarks_in(0) * 0.5
    faces = enumerate((landmarks_in(0), small))
    records = [LandmarkRecord(f"{NAMES[0]}#{index}", points, "ibug68", size) for index, points in faces]
    write_landmarks_jsonl(tmp_path / "landmarks.jsonl", records)
    assert main(config(tmp_path, people, faces="all"), "max_failed_share=0.7") == 0
    rows = read_manifest(tmp_path / "out")
    assert [(row["id"], row["outcome"]) for row in rows] == [
        (f"{NAMES[0]}#0", "ok"), (f"{NAMES[0]}#1", "ok"), (NAMES[1], "no_landmarks"), (NAMES[2], "no_landmarks")
    ]  # fmt: skip
    scales = [row["photo_to_crop"][0][0] for row in rows[:2]]
    assert scales[1] == pytest.approx(2 * scales[0], rel=1e-4)
    shutil.rmtree(tmp_path / "out")
    assert main(config(tmp_path, people, faces="largest"), "max_failed_share=0.7") == 0
    assert read_manifest(tmp_path / "out")[0]["photo_to_crop"][0][0] == pytest.approx(scales[0])


def test_landmarks_of_a_smaller_copy_are_scaled_and_those_of_another_photo_refused(
    people: Path, tmp_path: Path, main: Main
) -> None:
    size = face_in_photo(0)[1]
    half = (size[0] // 2, size[1] // 2)
    scaled = apply_to_points(scaling(size, half), landmarks_in(0))
    records = [
        LandmarkRecord(NAMES[0], scaled, "ibug68", half),
        LandmarkRecord(NAMES[1], landmarks_in(1), "ibug68", (900, 300)),
        LandmarkRecord(NAMES[2], landmarks_in(2) * 9, "ibug68", None),
    ]
    write_landmarks_jsonl(tmp_path / "landmarks.jsonl", records)
    assert main(config(tmp_path, people), "max_failed_share=0.7") == 0
    rows = read_manifest(tmp_path / "out")
    assert [row["outcome"] for row in rows] == ["ok", "bad_landmarks", "bad_landmarks"]
    np.testing.assert_allclose(five_points(np.array(rows[0]["landmarks"]), "ibug68"), FIVE / 4, atol=0.02)
    assert "(900, 300)" in rows[1]["reason"]
    assert "outside the photo" in rows[2]["reason"]


def test_a_changed_photo_or_landmark_is_done_again(people: Path, tmp_path: Path, main: Main) -> None:
    def reused() -> int:
        assert main(config(tmp_path, people)) == 0
        return int(json.loads((tmp_path / "out" / "report.json").read_text())["reused"])

    assert reused() == 0
    assert reused() == 3
    write_image(people / f"{NAMES[0]}.jpg", np.full((*face_in_photo(0)[1], 3), 90, np.uint8))
    assert reused() == 2
    records = [
        LandmarkRecord(name, landmarks_in(number) + (number == 1), "ibug68", face_in_photo(number)[1])
        for number, name in enumerate(NAMES)
    ]
    write_landmarks_jsonl(tmp_path / "landmarks.jsonl", records)
    assert reused() == 2


def test_ffhq_splits_by_number_and_finds_its_folder(tmp_path: Path) -> None:
    for name in ("00000/00007.png", "69000/69001.png"):
        write_image(tmp_path / "images1024x1024" / name, np.zeros((8, 8, 3), np.uint8))
    records = read_photo_folder(tmp_path, layout="ffhq")
    assert [(record.id, record.split) for record in records] == [("00000/00007", "train"), ("69000/69001", "val")]
    write_image(tmp_path / "images1024x1024" / "holiday.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UserError, match=r"named by number.*holiday.*source\.layout=folder"):
        read_photo_folder(tmp_path, layout="ffhq")


def test_lfw_has_the_split_of_its_lists(people: Path) -> None:
    (people / "peopleDevTrain.txt").write_text("1\nAnn_Lee\t2\n")
    (people / "peopleDevTest.txt").write_text("1\nBo\t1\n")
    assert [record.split for record in read_photo_folder(people, layout="lfw")] == ["train", "train", "test"]
    shutil.move(people / "Bo" / "Bo_0001.jpg", people / "Bo" / "Ann_Lee_0009.jpg")
    with pytest.raises(UserError, match=r"Some_Person.*Bo/Ann_Lee_0009"):
        read_photo_folder(people, layout="lfw")


def test_a_plain_folder_finds_its_masks_and_odd_names(tmp_path: Path) -> None:
    odd = ["v1.2.final", os.fsdecode(b"caf\xe9"), "mit Leerzeichen"]
    for name in odd:
        write_image(tmp_path / "images" / f"{name}.jpg", np.zeros((8, 8, 3), np.uint8))
        write_mask(tmp_path / "masks" / f"{name}.png", np.ones((8, 8), bool))
    records = read_photo_folder(tmp_path, layout="folder")
    assert {record.id for record in records} == set(odd)
    assert all(record.label is not None and record.label.exists() for record in records)
    (tmp_path / "split.csv").write_text("id,split\nv1.2.final,val\n")
    with pytest.raises(UserError, match="has no row for 2 photos"):
        read_photo_folder(tmp_path, layout="folder", split="split.csv")


def test_a_name_that_is_no_utf_8_goes_all_the_way(people: Path, tmp_path: Path, main: Main) -> None:
    name = os.fsdecode(b"Bo/Bo_\xe9")
    shutil.move(people / f"{NAMES[2]}.jpg", people / f"{name}.jpg")
    size = face_in_photo(2)[1]
    write_landmarks_jsonl(tmp_path / "landmarks.jsonl", [LandmarkRecord(name, landmarks_in(2), "ibug68", size)])
    assert main(config(tmp_path, people), "max_failed_share=0.9") == 0
    (row,) = read_samples(tmp_path / "out", labelled=False)
    assert row["id"] == name
    assert (tmp_path / "out" / row["files"]["image"]).exists()


def test_mistakes_are_told_at_once(people: Path, tmp_path: Path) -> None:
    labels = tmp_path / "masks"
    (labels / f"{NAMES[0]}.png").unlink()
    shutil.copy(labels / f"{NAMES[1]}.png", labels / f"{NAMES[1]}.bmp")
    with pytest.raises(UserError, match=r"no file of the same name for 1 of 3 photos.*two files for one photo"):
        read_photo_folder(people, layout="folder", labels=labels)
    write_image(people / f"{NAMES[0]}.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UserError, match=r"Ann_Lee_0001\.jpg and Ann_Lee/Ann_Lee_0001\.png"):
        read_photo_folder(people, layout="folder")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: no image found"):
        read_photo_folder(tmp_path / "empty", layout="folder")
    with pytest.raises(UserError, match=r"expected a folder.*data\.root"):
        read_photo_folder(tmp_path / "nowhere", layout="ffhq")


def test_without_landmarks_the_next_step_is_named(
    people: Path, tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path, people)
    assert main(path, "source.landmarks=null") == 2
    assert f"python -m face_align detect {people} OUT" in capsys.readouterr().err
