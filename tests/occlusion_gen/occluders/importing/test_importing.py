"""Small sets in each published layout, imported by the command and read by the library."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from common.image_io import read_image, read_rgba, write_image, write_mask
from occlusion_gen.occluders.library import open_occluders, open_textures
from tests.occlusion_gen.occluders.importing.raw_sets import (
    HEIGHT,
    WIDTH,
    error_of,
    photo,
    rows_of,
    run,
    write_coco,
)

SKIN = (190, 130, 100)


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
