from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from pydantic import ValidationError

from common.errors import RecordError
from common.image_io import write_image, write_rgba
from common.labels import PART_ID
from configs.schema.masks import MaskTemplateSection
from occlusion_gen.generators.mask_template import MaskTemplate, build_mask_template
from tests.occlusion_gen.templates.turned_head import face_with, turned_points

KINDS = {"surgical": 4.0, "cloth": 3.0, "kn95": 2.0, "n95": 1.0, "respirator": 0.5}
PROPER = {"proper": 1.0}


def generator(**options: object) -> MaskTemplate:
    return MaskTemplate(**{"kinds": KINDS, "wearing": PROPER, "max_side_px": 128, **options})  # type: ignore[arg-type]


def draw(masks: MaskTemplate, count: int) -> list[dict]:
    face = face_with(turned_points(0.0))
    return [masks.draw_params(np.random.default_rng([3, index]), face) for index in range(count)]


@given(st.integers(0, 2**32 - 1), st.floats(-45, 45))
def test_parameters_are_plain_and_give_the_same_bytes_again(seed: int, yaw_deg: float) -> None:
    masks = generator(wearing={"proper": 1.0, "nose_out": 1.0, "chin": 1.0})
    face = face_with(turned_points(yaw_deg, side_px=96), side_px=96)
    params = masks.draw_params(np.random.default_rng(seed), face)
    again = json.loads(json.dumps(params))
    assert again == params
    first, second = masks.patch(params, face), masks.patch(again, face)
    assert (first.rows, first.columns) == (second.rows, second.columns)
    for one, other in zip(first[2:], second[2:], strict=True):
        assert_array_equal(one, other)


def test_drawing_takes_nothing_from_global_generators_and_changes_no_face() -> None:
    face = face_with(turned_points(10.0))
    before = face.image.copy()
    state = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    masks = generator()
    masks.patch(masks.draw_params(np.random.default_rng(0), face), face)
    assert_array_equal(np.random.get_state()[1], state)
    assert_array_equal(face.image, before)


def test_kinds_ways_of_wearing_and_valves_have_their_frequencies() -> None:
    drawn = draw(generator(wearing={"proper": 3.0, "nose_out": 1.0, "chin": 0.0}, valve_share=0.5), 800)
    kinds = Counter(params["kind"] for params in drawn)
    assert kinds["surgical"] / 800 == pytest.approx(4 / 10.5, abs=0.06)
    assert set(kinds) == set(KINDS)
    wearing = Counter(params["wearing"] for params in drawn)
    assert wearing["nose_out"] / 800 == pytest.approx(0.25, abs=0.05)
    assert wearing["chin"] == 0
    n95 = [params["valve"] for params in drawn if params["kind"] == "n95"]
    assert 0.3 < np.mean(n95) < 0.7
    assert not any(params["valve"] for params in drawn if params["kind"] == "surgical")


def test_colours_are_many_or_those_that_are_given() -> None:
    assert len({tuple(params["colour"]) for params in draw(generator(), 100)}) > 60
    asked = draw(generator(colours=((10, 20, 30), (200, 100, 50)), colour_jitter=0.0), 40)
    assert {tuple(params["colour"]) for params in asked} == {(10, 20, 30), (200, 100, 50)}


def test_without_spread_every_mask_sits_the_same() -> None:
    assert len({json.dumps(params["seat"]) for params in draw(generator(fit=0.0), 20)}) == 1
    assert len({json.dumps(params["seat"]) for params in draw(generator(fit=1.0), 20)}) == 20


@pytest.mark.parametrize(
    ("wearing", "nose", "mouth", "under_chin"), [("proper", 255, 255, 0), ("nose_out", 0, 255, 0), ("chin", 0, 0, 255)]
)
def test_ways_of_wearing(wearing: str, nose: int, mouth: int, under_chin: int) -> None:
    points = turned_points(0.0)
    face = face_with(points)
    for kind in ("surgical", "cloth", "kn95"):
        masks = generator(kinds={kind: 1.0}, wearing={wearing: 1.0}, fit=0.0, loops_share=0.0)
        patch = masks.patch(masks.draw_params(np.random.default_rng(0), face), face)
        hides = np.zeros(face.label.shape, np.uint8)
        hides[patch.rows, patch.columns] = patch.hides
        spots = [points[30], points[62], points[8] + (0, 16)]
        assert [int(hides[round(y), round(x)]) for x, y in spots] == [nose, mouth, under_chin], kind


def test_it_says_what_it_is() -> None:
    masks = generator()
    assert masks.part == PART_ID["mask"]
    assert masks.worn
    assert masks.needs_landmarks


@pytest.mark.parametrize(
    ("points", "outcome"), [(None, "no_landmarks"), (np.full((68, 2), 9.0), "bad_landmarks")], ids=["none", "equal"]
)
def test_faces_that_cannot_wear_one_are_bad_records(points: np.ndarray | None, outcome: str) -> None:
    masks, face = generator(), face_with(points)
    params = masks.draw_params(np.random.default_rng(0), face)
    with pytest.raises(RecordError, match="landmarks") as caught:
        masks.patch(params, face)
    assert caught.value.outcome == outcome


def test_prints_and_templates_come_from_their_folders(tmp_path: Path) -> None:
    write_image(tmp_path / "prints" / "red_1.png", np.full((40, 40, 3), (250, 0, 0), np.uint8))
    rgba = np.zeros((80, 100, 4), np.uint8)
    rgba[10:70, 5:95] = (0, 0, 250, 255)
    (tmp_path / "templates").mkdir()
    write_rgba(tmp_path / "templates" / "blue.png", rgba)
    section = MaskTemplateSection(
        kinds={"cloth": 1.0}, textures=tmp_path / "prints", print_share=1.0, holdout_share=0.0,
        loops_share=0.0, wearing=PROPER, valve_share=0.0,
    )  # fmt: skip
    face = face_with(turned_points(0.0))
    for options, name, channel in (({}, None, 0), ({"templates": tmp_path / "templates"}, "blue", 2)):
        masks = build_mask_template(section.model_copy(update=options), split="train", max_side_px=256)
        params = masks.draw_params(np.random.default_rng(1), face)
        patch = masks.patch(params, face)
        colour = patch.colour[patch.alpha == 255].mean(axis=0)
        assert params["template"] == name
        assert colour[channel] > 4 * max(np.delete(colour, channel))
        assert (patch.hides > 0).sum() > 5000
        assert params == json.loads(json.dumps(params))


def test_a_template_can_be_dyed(tmp_path: Path) -> None:
    rgba = np.zeros((80, 100, 4), np.uint8)
    rgba[10:70, 5:95] = (200, 200, 200, 255)
    write_rgba(tmp_path / "grey.png", rgba)
    section = MaskTemplateSection(templates=tmp_path, tint_share=1.0, holdout_share=0.0, colours=((200, 20, 20),))
    masks = build_mask_template(section, split="train", max_side_px=128)
    face = face_with(turned_points(0.0))
    patch = masks.patch(masks.draw_params(np.random.default_rng(1), face), face)
    red, green, _ = patch.colour[patch.alpha == 255].mean(axis=0)
    assert red > 3 * green


@pytest.mark.parametrize("key", ["kinds", "wearing"])
def test_frequencies_of_nothing_are_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="at least one frequency"):
        MaskTemplateSection(**{key: {}})
