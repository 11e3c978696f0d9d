from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from common.errors import UserError
from common.geometry import apply_to_points
from common.image_io import write_rgba
from common.labels import PART_ID, FacePolicy
from configs.schema.pasting import HandPasteSection
from occlusion_gen.blending.compositing import blend
from occlusion_gen.face import Face, make_face
from occlusion_gen.generators.hand_paste import HandPaste, build_hand_paste, turn_about_middle

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two L-shaped hands of different sizes, whose tip (upper left) is red and whose wrist is blue."""
    folder = tmp_path_factory.mktemp("hands")
    for number, side in enumerate((40, 90)):
        hand = np.zeros((side, side, 4), np.uint8)
        hand[..., 3] = 255
        hand[: side // 2, side // 2 :, 3] = 0
        hand[: side // 2, :, 0] = 250
        hand[side // 2 :, :, 2] = 250
        write_rgba(folder / f"hand{number}.png", hand)
    return folder


def build(hands: Path, **changed: object) -> HandPaste:
    section = HandPasteSection(**({"occluders": hands, "holdout_share": 0.0} | changed))
    return build_hand_paste(section, split="train", max_side_px=256)


def face_of(height: int = 250, width: int = 250) -> Face:
    label = np.zeros((height, width), np.uint8)
    label[height // 4 :, width // 4 : -width // 4] = PART_ID["skin"]
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return make_face(image, label, FacePolicy())


@pytest.mark.parametrize("size", [(60, 60), (250, 250), (500, 300), (1024, 1024)])
@pytest.mark.parametrize("index", [0, 1])
def test_a_hand_has_its_share_of_the_crop(hands: Path, size: tuple[int, int], index: int) -> None:
    middle = [(size[1] - 1) / 2, (size[0] - 1) / 2]
    params = {"occluder": "", "occluder_index": index, "rotation_deg": 135.0, "centre_px": middle}
    patch = build(hands).patch(params, face_of(*size))
    assert (patch.hides == 255).sum() / (size[0] * size[1]) == pytest.approx(0.0384, rel=0.06)
    assert patch.alpha.size < 0.5 * size[0] * size[1] or max(size) <= 60


def test_a_published_hand_has_2400_pixels_of_250_by_250(hands: Path) -> None:
    params = {"occluder": "", "occluder_index": 0, "rotation_deg": 180.0, "centre_px": [124.5, 124.5]}
    assert (build(hands).patch(params, face_of()).hides == 255).sum() == pytest.approx(2400, rel=0.03)


@given(seeds, st.sampled_from(["generic", "centred"]), st.tuples(st.integers(60, 300), st.integers(60, 300)))
def test_hands_come_from_below_and_lie_where_they_may(
    hands: Path, seed: int, placement: str, size: tuple[int, int]
) -> None:
    params = build(hands, placement=placement).draw_params(np.random.default_rng(seed), face_of(*size))
    x, y = params["centre_px"]
    height, width = size
    low, high = (0.5, 1.0) if placement == "generic" else (0.25, 0.75)
    assert width / 4 - 0.51 <= x <= 3 * width / 4 - 0.49
    assert low * height - 0.51 <= y <= high * height - 0.49
    assert params["rotation_deg"] in (135, 180, 225)
    assert params["occluder"] == f"hand{params['occluder_index']}.png"


def test_half_a_turn_puts_the_upper_part_below(hands: Path) -> None:
    params = {"occluder": "", "occluder_index": 0, "rotation_deg": 180.0, "centre_px": [124.5, 124.5]}
    patch = build(hands).patch(params, face_of())
    inside = patch.hides == 255
    red, blue = (inside & (patch.colour[..., channel] > 200) for channel in (0, 2))
    assert np.nonzero(red)[0].mean() > np.nonzero(blue)[0].mean() + 20


@given(st.floats(-360, 360), st.floats(0.1, 5), st.tuples(st.integers(1, 99), st.integers(1, 99)))
def test_turning_keeps_the_middle_and_goes_clockwise(angle_deg: float, scale: float, size: tuple[int, int]) -> None:
    matrix = turn_about_middle(size, angle_deg=angle_deg, scale=scale)
    middle = np.array([[(size[1] - 1) / 2, (size[0] - 1) / 2]])
    assert_allclose(apply_to_points(matrix, middle), [[0, 0]], atol=1e-9)
    above = apply_to_points(matrix, middle - [0, 1])[0]
    angle = np.radians(angle_deg)
    assert_allclose(above, [scale * np.sin(angle), -scale * np.cos(angle)], atol=1e-9)


@given(seeds)
def test_equal_parameters_give_equal_bytes_and_mix_between_layers(hands: Path, seed: int) -> None:
    generator, face = build(hands), face_of(120, 100)
    params = generator.draw_params(np.random.default_rng(seed), face)
    first, second = generator.patch(params, face), generator.patch(json.loads(json.dumps(params)), face)
    for one, other in zip(first[2:], second[2:], strict=True):
        assert_array_equal(one, other)
    below = np.ascontiguousarray(face.image[first.rows, first.columns])
    mixed = blend(below, first.colour, first.alpha)
    assert (mixed >= np.minimum(below, first.colour)).all()
    assert (mixed <= np.maximum(below, first.colour)).all()


def test_drawing_leaves_the_global_generator_alone(hands: Path) -> None:
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    generator, face = build(hands), face_of()
    generator.patch(generator.draw_params(np.random.default_rng(5), face), face)
    assert_array_equal(before, np.random.get_state()[1])


def test_a_hand_outside_the_crop_gives_an_empty_patch(hands: Path) -> None:
    params = {"occluder": "", "occluder_index": 0, "rotation_deg": 180.0, "centre_px": [-900.0, 20.0]}
    assert build(hands).patch(params, face_of()).alpha.size == 0


def test_the_section_pastes_as_published_unless_told_otherwise(hands: Path, tmp_path: Path) -> None:
    section = HandPasteSection(occluders=hands)
    assert (section.blur_share, section.jpeg_share, section.brightness_contrast_share) == (0, 0, 0)
    assert section.edge == "hard"
    assert section.harmony is None
    assert HandPasteSection(occluders=hands, blur_share=0.5).blur_share == 0.5
    assert build(hands).part == PART_ID["hand"]
    with pytest.raises(UserError, match="holds no image"):
        build(hands, occluders=tmp_path)
