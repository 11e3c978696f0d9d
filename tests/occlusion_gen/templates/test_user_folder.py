from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from common.errors import UserError
from common.image_io import write_image, write_rgba
from occlusion_gen.templates.frame import KEY_PLACES, Canvas
from occlusion_gen.templates.user_folder import UserTemplates, open_templates

STICKERS = Path(os.environ.get("OCCFACE_DATA") or "nowhere") / "occluders" / "stickers"
GREEN = (40, 160, 90)
POINTS = {
    "nose": [100, 12],
    "chin": [100, 148],
    "left_top": [22, 50],
    "right_top": [178, 50],
    "left_bottom": [55, 115],
    "right_bottom": [145, 115],
}


def write_mask(folder: Path, name: str, *, strap: bool = False) -> None:
    """Write a green mask of 160 x 200 pixels, round below, with the key points `POINTS`."""
    rgba = np.full((160, 200, 4), (255, 255, 255, 0), np.uint8)
    corners = np.array([[100, 10], [190, 30], [180, 80], [140, 130], [100, 150], [60, 130], [20, 80], [10, 30]])
    alpha = np.zeros((160, 200), np.uint8)
    cv2.fillPoly(alpha, [corners], 255, cv2.LINE_AA)
    if strap:
        cv2.line(alpha, (185, 35), (199, 5), 255, 3)
    rgba[alpha > 0, :3], rgba[..., 3] = GREEN, alpha
    write_rgba(folder / name, rgba)


def open_all(folder: Path, **options: object) -> UserTemplates:
    chosen = {"split": "train", "holdout_share": 0.0, "exclude": (), "unit_px": 120.0, **options}
    return open_templates(folder, **chosen)  # type: ignore[arg-type]


def write_points(folder: Path, table: object) -> None:
    (folder / "keypoints.yaml").write_text(yaml.safe_dump(table))


def test_key_points_lie_where_the_file_says(tmp_path: Path) -> None:
    write_mask(tmp_path, "green.png")
    rgba = np.zeros((160, 200, 4), np.uint8)
    for x, y in POINTS.values():
        cv2.circle(rgba, (x, y), 9, (250, 0, 0, 255), -1)
    write_rgba(tmp_path / "dots.png", rgba)
    write_points(tmp_path, {"dots.png": {"points": POINTS}})
    templates = open_all(tmp_path, exclude=("green*",))
    assert templates.name(0) == "dots"
    level = templates.sheet(0, turn_deg=0.0).levels[0]
    for place in KEY_PLACES.values():
        x, y = level.canvas.to_pixels(np.array(place)).round().astype(int)
        assert level.pixels[y, x, 3] == 255, place


def test_without_points_the_outline_tells_them(tmp_path: Path) -> None:
    write_mask(tmp_path, "green.png", strap=True)
    sheet = open_all(tmp_path).sheet(0, turn_deg=0.0)
    level = sheet.levels[0]
    rows = np.flatnonzero((level.pixels[..., 3] > 127)[:, level.canvas.size[1] // 2])
    top, bottom = level.canvas.from_pixels(np.array([[0, rows[0]], [0, rows[-1]]]))[:, 1]
    assert top == pytest.approx(0.13, abs=0.03)
    assert bottom == pytest.approx(1.045, abs=0.03)
    opaque = level.pixels[level.pixels[..., 3] == 255][:, :3]
    np.testing.assert_allclose(opaque, np.broadcast_to(GREEN, opaque.shape), atol=2)
    assert not sheet.drawn
    # White stands where the file's alpha is 0; none of it may reach the rim.
    rim = level.pixels[(level.pixels[..., 3] > 0) & (level.pixels[..., 3] < 255)]
    assert np.abs(rim[:, :3].astype(int) - GREEN).max() < 12


def test_views_of_one_mask_are_chosen_by_the_turn_and_held_out_together(tmp_path: Path) -> None:
    for mask in "abcdef":
        for ending in ("", "_left", "_right"):
            write_mask(tmp_path, f"{mask}{ending}.png")
    train, validation = (open_all(tmp_path, split=split, holdout_share=0.4) for split in ("train", "validation"))
    names = [[each.name(index) for index in range(len(each))] for each in (train, validation)]
    assert sorted(names[0] + names[1]) == list("abcdef")
    assert names[0]
    assert names[1]
    chosen = [train.sheet(0, turn_deg=turn).name for turn in (-40.0, -5.0, 5.0, 40.0)]
    stem = names[0][0]
    assert chosen == [f"{stem}_left.png", f"{stem}.png", f"{stem}.png", f"{stem}_right.png"]


def test_two_files_of_one_view_are_refused(tmp_path: Path) -> None:
    write_mask(tmp_path, "green.png")
    write_mask(tmp_path, "other.png")
    before = open_all(tmp_path).digest
    write_points(tmp_path, {"other.png": {"mask": "green"}})
    with pytest.raises(UserError, match=r"green\.png and other\.png are both the frontal view of 'green'"):
        open_all(tmp_path)
    assert open_all(tmp_path, exclude=("other*",)).digest != before


def test_a_lone_view_serves_all_turns(tmp_path: Path) -> None:
    write_mask(tmp_path, "lone.png")
    templates = open_all(tmp_path)
    assert templates.sheet(0, turn_deg=50.0) is templates.sheet(0, turn_deg=-50.0)


@pytest.mark.parametrize("unit_px", [48.0, 300.0])
def test_templates_are_kept_no_larger_than_needed(tmp_path: Path, unit_px: float) -> None:
    write_mask(tmp_path, "green.png")
    level = open_all(tmp_path, unit_px=unit_px).sheet(0, turn_deg=0.0).levels[0]
    assert level.canvas.unit_px <= unit_px
    assert level.pixels.shape[:2] == Canvas(level.canvas.unit_px).size


def test_files_without_alpha_or_mask_are_named(tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", np.full((40, 40, 3), 90, np.uint8))
    with pytest.raises(UserError, match=r"photo\.png: has no transparency"):
        open_all(tmp_path)
    (tmp_path / "photo.png").unlink()
    write_rgba(tmp_path / "empty.png", np.zeros((40, 40, 4), np.uint8))
    with pytest.raises(UserError, match=r"empty\.png: nothing in it is opaque"):
        open_all(tmp_path)
    with pytest.raises(UserError, match="no mask template"):
        open_all(tmp_path, exclude=("empty*",))


WRONG = {
    "no such file": ({"absent.png": {"points": POINTS}}, r"absent\.png: no such file"),
    "unknown key": ({"green.png": {"pionts": POINTS}}, "unknown key `pionts`; known: view, mask, points"),
    "unknown point": ({"green.png": {"points": {**POINTS, "ear": [1, 1]}}}, "unknown point `ear`; known: nose"),
    "unknown view": ({"green.png": {"view": "top"}}, "view is 'top'; known: frontal, left, right"),
    "no pair": ({"green.png": {"points": {**POINTS, "chin": [4]}}}, "point `chin`: expected \\[x, y\\]"),
    "too few": ({"green.png": {"points": {"chin": [1, 2]}}}, "1 points, expected at least 4"),
    "on a line": (
        {"green.png": {"points": {name: [number, number] for number, name in enumerate(POINTS)}}},
        "key points lie on a line",
    ),
    "a list": (["green.png"], "expected a mapping of names to values, found list"),
    "not a mapping": ({"green.png": 3}, "green.png: expected view, mask and points, found 3"),
}


@pytest.mark.parametrize(("table", "message"), WRONG.values(), ids=WRONG)
def test_mistakes_in_keypoints_are_told(tmp_path: Path, table: object, message: str) -> None:
    write_mask(tmp_path, "green.png")
    write_points(tmp_path, table)
    with pytest.raises(UserError, match=message):
        open_all(tmp_path)


def test_broken_yaml_is_told(tmp_path: Path) -> None:
    write_mask(tmp_path, "green.png")
    (tmp_path / "keypoints.yaml").write_text("green.png: [1, 2")
    with pytest.raises(UserError, match=r"keypoints\.yaml: not valid YAML"):
        open_all(tmp_path)


@pytest.mark.skipif(not STICKERS.is_dir(), reason="needs OCCFACE_DATA with occluders/stickers")
def test_real_stickers_are_seven_masks_in_three_views() -> None:
    templates = open_all(STICKERS, exclude=("moustache*", "straw_hat*", "sunglasses*"), unit_px=64.0)
    assert len(templates) == 7
    assert all(set(views) == {"frontal", "left", "right"} for _, views in templates.masks)
