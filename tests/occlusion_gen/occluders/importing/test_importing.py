"""Small sets in each published layout, imported by the command and read by the library."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from common.image_io import read_image, read_rgba, write_image, write_mask
from occlusion_gen.commands.import_ import main
from occlusion_gen.occluders.library import open_occluders, open_textures

SKIN = (190, 130, 100)
HEIGHT, WIDTH = 120, 160


def photo(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "index.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def run(*words: object) -> None:
    main([*map(str, words), "--processes", "1"])


def error_of(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as caught:
        run(*words)
    assert caught.value.code == 2
    return capsys.readouterr().err


# 11k Hands


def write_hands(root: Path, *, masks: bool) -> Path:
    """Write five photos of two subjects in the published tree."""
    lines = ["id,age,gender,skinColor,accessories,nailPolish,aspectOfHand,imageName,irregularities"]
    for number in range(5):
        name = f"Hand_{number + 2:07d}"
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.ellipse(mask, (80, 40), (30 + number, 45), 0, 0, 360, 255, -1, cv2.LINE_AA)
        image = np.where(mask[..., None] > 127, np.array(SKIN, np.uint8), np.uint8(250))
        write_image(root / "Hands" / f"{name}.jpg", image, quality=95)
        if masks:
            write_mask(root / "masks" / f"{name}.png", mask > 127)
        lines.append(f'"{number % 2:07d}",27,"male","fair",0,0,"dorsal right","{name}.jpg",0')
    (root / "HandInfo.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("masks", [True, False])
def test_11k_hands_become_cut_outs_by_subject(tmp_path: Path, masks: bool) -> None:
    source, output = write_hands(tmp_path / "source", masks=masks), tmp_path / "out"
    run("11k_hands", source, output)
    rows = rows_of(output)
    assert [row["file"] for row in rows] == [f"Hand_{number + 2:07d}.png" for number in range(5)]
    assert [row["group"] for row in rows] == ["0000000", "0000001"] * 2 + ["0000000"]
    assert list(rows[0].values()) == ["Hand_0000002.png", "Hands/Hand_0000002.jpg", "0000000", "hand", ""]
    rgba = read_rgba(output / "Hand_0000002.png")
    assert abs(rgba.shape[0] - 85) <= 2
    assert abs(rgba.shape[1] - 61) <= 2
    assert abs(np.median(rgba[..., :3][rgba[..., 3] > 0], axis=0) - SKIN).max() <= 4
    assert len(open_occluders(output, split="validation", holdout_share=0.01, max_side_px=64)) in (2, 3)  # a subject


def test_11k_hands_without_all_masks_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_hands(tmp_path / "source", masks=True)
    (source / "masks" / "Hand_0000003.png").unlink()
    assert "1 of 5 photos have no mask, e.g. ['Hand_0000003.jpg']" in error_of(
        capsys, "11k_hands", source, tmp_path / "o"
    )
    run("11k_hands", source, tmp_path / "out", "--ignore-masks")
    assert len(rows_of(tmp_path / "out")) == 5


def test_a_photo_that_fails_is_told_and_the_others_are_kept(tmp_path: Path) -> None:
    source, output = write_hands(tmp_path / "source", masks=True), tmp_path / "out"
    write_mask(source / "masks" / "Hand_0000003.png", np.ones((5, 5), bool))
    (source / "Hands" / "Hand_0000004.jpg").write_bytes(b"\xff\xd8broken")
    write_mask(source / "masks" / "Hand_0000005.png", np.zeros((HEIGHT, WIDTH), bool))
    run("11k_hands", source, output)
    assert [row["file"] for row in rows_of(output)] == ["Hand_0000002.png", "Hand_0000006.png"]
    outcomes = {row["id"]: row["outcome"] for row in map(json.loads, (output / "manifest.jsonl").open())}
    assert list(outcomes.values()) == ["ok", "outline_does_not_fit", "unreadable_image", "nothing_found", "ok"]
    # A second run does what was mended, and takes the rest as it is.
    write_mask(source / "masks" / "Hand_0000003.png", np.tile(np.arange(WIDTH) < 70, (HEIGHT, 1)))
    run("11k_hands", source, output)
    assert len(rows_of(output)) == 3
    assert json.loads((output / "report.json").read_text())["reused"] == 2


# COCO


def box_polygon(x: float, y: float, width: float, height: float) -> list[float]:
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def note(key: int, image: int, category: int, box: tuple[float, ...], **more: Any) -> dict[str, Any]:
    x, y, width, height = box
    outline = [box_polygon(x, y, width, height)]
    standard = {"segmentation": outline, "bbox": list(box), "area": width * height, "iscrowd": 0}
    return {"id": key, "image_id": image, "category_id": category, **standard, **more}


def runs_of(mask: NDArray[np.bool_]) -> list[int]:
    flat = np.concatenate([[False], mask.T.ravel(), [not mask.T.ravel()[-1]]])
    edges = np.flatnonzero(np.diff(flat))
    runs = np.diff(np.concatenate([[0], edges]))
    return [int(run) for run in runs]


def write_coco(root: Path, *, nested: bool = False) -> Path:
    """Write two photos: cups, a cell phone as run lengths, a crowd, a person, a crumb, and one cut off all round."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[30:100, 40:120] = True
    mask[50:60, 60:70] = False
    notes = [
        note(11, 9, 1, (10.45, 20, 80, 60)),
        note(12, 9, 2, (40, 30, 80, 70), segmentation={"counts": runs_of(mask), "size": [HEIGHT, WIDTH]}),
        note(13, 9, 1, (10, 10, 90, 80), iscrowd=1),
        note(14, 25, 3, (10, 10, 90, 80)),
        note(15, 25, 1, (10, 10, 20, 20)),
        note(16, 25, 1, (0, 0, 160, 100)),
        note(17, 25, 1, (0, 10, 100, 100), segmentation=[box_polygon(0, 10, 50, 100), box_polygon(60, 10, 40, 100)]),
    ]
    content = {
        "licenses": [{"id": 4, "name": "Attribution", "url": "http://example.org/by"}],
        "images": [
            {"id": 25, "file_name": "000000000025.jpg", "height": HEIGHT, "width": WIDTH},
            {"id": 9, "file_name": "000000000009.jpg", "height": HEIGHT, "width": WIDTH, "license": 4},
        ],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "cell phone"}, {"id": 3, "name": "person"}],
        "annotations": notes[::-1],
    }
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    for number in (9, 25):
        place = root / "images" / "val2017" if nested else root / "val2017"
        write_image(place / f"{number:012d}.jpg", photo(number), quality=100)
    return root


@pytest.mark.parametrize("nested", [False, True])
def test_coco_objects_become_cut_outs_by_photo(tmp_path: Path, nested: bool) -> None:
    source, output = write_coco(tmp_path / "coco", nested=nested), tmp_path / "out"
    run("coco", source, output)
    rows = rows_of(output)
    assert [row["file"] for row in rows] == ["cup_9_11.png", "cell_phone_9_12.png", "cup_25_17.png"]
    assert [row["group"] for row in rows] == ["image 9", "image 9", "image 25"]
    assert [row["class"] for row in rows] == ["cup", "cell phone", "cup"]
    assert [row["licence"] for row in rows] == ["http://example.org/by", "http://example.org/by", ""]
    assert rows[0]["source"] == ("images/" if nested else "") + "val2017/000000000009.jpg"
    pixels = read_image(source / rows[0]["source"])
    cup = read_rgba(output / "cup_9_11.png")
    np.testing.assert_array_equal(cup[..., :3], pixels[20:80, 10 : 10 + cup.shape[1]])
    assert cup.shape[:2] in ((60, 80), (60, 81))
    assert cup[30, 40, 3] == 255
    assert int(cup[30, 0, 3]) == pytest.approx(140, abs=40)  # the polygon begins amid a pixel
    phone = read_rgba(output / "cell_phone_9_12.png")
    np.testing.assert_array_equal(phone[..., :3], pixels[30:100, 40:120])
    assert (phone[20:30, 20:30, 3] == 0).all()
    assert (phone[..., 3] == 255).sum() == 70 * 80 - 100
    gap = read_rgba(output / "cup_25_17.png")[..., 3]
    assert (gap[50, 52:58] == 0).all()
    assert gap[50, 70] == 255


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (["--categories", "cell phone"], ["cell_phone_9_12.png"]),
        (["--people", "--categories", "person"], ["person_25_14.png"]),
        (["--min-area", "300", "--max-borders", "4", "--categories", "cup"],
         ["cup_9_11.png", "cup_25_15.png", "cup_25_16.png", "cup_25_17.png"]),
        (["--limit", "1"], ["cup_9_11.png"]),
    ],
)  # fmt: skip
def test_coco_options_choose_objects(tmp_path: Path, words: list[str], files: list[str]) -> None:
    source = write_coco(tmp_path / "coco")
    run("coco", source, tmp_path / "out", *words)
    assert [row["file"] for row in rows_of(tmp_path / "out")] == files


def test_mistakes_about_coco_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = write_coco(tmp_path / "coco"), tmp_path / "out"
    table = source / "annotations" / "instances_val2017.json"
    assert "unknown categories cop; known: cell phone, cup, person" in error_of(
        capsys, "coco", source, output, "--categories", "cop"
    )
    assert "no object is left" in error_of(capsys, "coco", source, output, "--min-area", "1e9")
    (source / "val2017" / "000000000025.jpg").unlink()
    said = error_of(capsys, "coco", source, output)
    assert "Missing:\n  val2017/000000000025.jpg\nExpected below it:\n  annotations/instances_train2017.json" in said
    content = json.loads(table.read_text())
    del content["images"]
    table.write_text(json.dumps(content))
    assert "is no table of COCO instances, it has no images" in error_of(capsys, "coco", source, output)
    table.write_text("{")
    assert "cannot be read as JSON" in error_of(capsys, "coco", source, output)
    assert not output.exists()


# EgoHands


def write_egohands(root: Path) -> Path:
    """Write two videos of two frames; the partner's right hand is a square of known place, others are elsewhere."""
    square = np.array([[41, 31], [81, 31], [81, 91], [41, 91]], float)  # MATLAB's first pixel is 1
    empty = np.empty((0, 2))
    videos = []
    for video in ("CARDS_COURTYARD_B_T", "JENGA_OFFICE_S_B"):
        frames = []
        for number in (11, 120):
            seen = number == 11
            frames.append(
                {
                    "frame_num": number,
                    "myleft": square + 5 if seen else empty,
                    "myright": empty,
                    "yourleft": square - 5 if not seen else empty,
                    "yourright": square,
                }
            )
            path = root / "_LABELLED_SAMPLES" / video / f"frame_{number:04d}.jpg"
            write_image(path, photo(number), quality=100)
        labelled = np.array([tuple(frame.values()) for frame in frames], [(key, object) for key in frames[0]])
        videos.append((video, labelled))
    table = np.empty(2, [("video_id", object), ("labelled_frames", object)])
    table[:] = videos
    savemat(root / "metadata.mat", {"video": table[None]})
    return root


@pytest.mark.parametrize(
    ("words", "hands"),
    [
        ([], ["0011_partner_right", "0120_partner_left", "0120_partner_right"]),
        (["--hands", "own"], ["0011_own_left"]),
        (["--hands", "all"], ["0011_partner_right", "0011_own_left", "0120_partner_left", "0120_partner_right"]),
    ],
)
def test_egohands_become_cut_outs_by_video(tmp_path: Path, words: list[str], hands: list[str]) -> None:
    source, output = write_egohands(tmp_path / "ego"), tmp_path / "out"
    run("egohands", source, output, *words)
    rows = rows_of(output)
    videos = ["CARDS_COURTYARD_B_T", "JENGA_OFFICE_S_B"]
    assert [row["file"] for row in rows] == [f"{video}_frame_{hand}.png" for video in videos for hand in hands]
    assert {row["group"] for row in rows} == {f"video {video}" for video in videos}
    if not words:
        rgba = read_rgba(output / rows[0]["file"])
        pixels = read_image(source / rows[0]["source"])
        assert rgba.shape[0] in (60, 61)
        assert rgba.shape[1] in (40, 41)
        np.testing.assert_array_equal(rgba[:, :, :3], pixels[30 : 30 + rgba.shape[0], 40 : 40 + rgba.shape[1]])


def test_mistakes_about_egohands_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_egohands(tmp_path / "ego")
    frame = source / "_LABELLED_SAMPLES" / "JENGA_OFFICE_S_B" / "frame_0120.jpg"
    frame.unlink()
    said = error_of(capsys, "egohands", source, tmp_path / "out")
    assert "Missing:\n  _LABELLED_SAMPLES/JENGA_OFFICE_S_B/frame_0120.jpg\n" in said
    savemat(source / "metadata.mat", {"frames": np.zeros(3)})
    assert "expected the variable `video`" in error_of(capsys, "egohands", source, tmp_path / "out")
    (source / "metadata.mat").write_bytes(b"no matrix")
    assert "cannot be read as a MATLAB file" in error_of(capsys, "egohands", source, tmp_path / "out")
    savemat(source / "metadata.mat", {"video": np.array([("x",)], [("video_id", object)])})
    assert "lacks a field of EgoHands" in error_of(capsys, "egohands", source, tmp_path / "out")


# DTD


def test_dtd_is_copied_by_class(tmp_path: Path) -> None:
    source, output = tmp_path / "dtd", tmp_path / "out"
    names = [f"{kind}/{kind}_{number:04d}.jpg" for kind in ("banded", "dotted") for number in (2, 7, 16)]
    for seed, name in enumerate(names):
        write_image(source / "images" / name, photo(seed))
    (source / "images" / "banded" / ".directory").write_text("")
    run("dtd", source, output)
    assert [row["file"] for row in rows_of(output)] == names
    assert [row["class"] for row in rows_of(output)] == ["banded"] * 3 + ["dotted"] * 3
    assert (output / names[3]).read_bytes() == (source / "images" / names[3]).read_bytes()
    library = open_textures(output, split="train", holdout_share=0, side_px=16)
    assert library.classes == ["banded", "dotted"]
    assert sum(len(files) for files in library.files.values()) == 6


# All


@pytest.mark.parametrize(
    ("layout", "tree"),
    [
        ("11k_hands", "Hands/Hand_0000002.jpg"),
        ("coco", "annotations/instances_train2017.json"),
        ("dtd", "images/{class}/{class}_{nnnn}.jpg"),
        ("egohands", "_LABELLED_SAMPLES/CARDS_COURTYARD_B_T/frame_0011.jpg"),
    ],
)
def test_another_tree_is_told_with_the_expected_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str, tree: str
) -> None:
    (tmp_path / "empty").mkdir()
    said = error_of(capsys, layout, tmp_path / "empty", tmp_path / "out")
    assert f"error: {tmp_path / 'empty'}: is not laid out as" in said
    assert tree in said.split("Expected below it:")[1]
    assert "expected the folder of the data set" in error_of(capsys, layout, tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("layout", "write"), [("coco", write_coco), ("egohands", write_egohands), ("11k_hands", write_hands)]
)
def test_a_dry_run_writes_nothing_and_other_settings_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str, write: Callable[..., Path]
) -> None:
    source = write(tmp_path / "source", **({"masks": True} if layout == "11k_hands" else {}))
    run(layout, source, tmp_path / "out", "--dry-run")
    assert "dry run: would import" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    run(layout, source, tmp_path / "out", "--limit", "2")
    assert (tmp_path / "out" / "preview" / "contact_sheet.jpg").is_file()
    assert "limit: 2 -> 3" in error_of(capsys, layout, source, tmp_path / "out", "--limit", "3")
