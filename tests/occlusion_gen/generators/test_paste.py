from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import ValidationError

from common.errors import UserError
from common.geometry import apply_to_points
from common.image_io import write_image, write_rgba
from common.labels import PART_ID, FacePolicy
from configs.schema.pasting import PasteSection, PasteTransformSection, PoolSection
from occlusion_gen.blending.colour_jitter import draw_jitter, jitter
from occlusion_gen.blending.compositing import blend
from occlusion_gen.face import Face, Params, make_face
from occlusion_gen.generators.paste import Paste, build_paste, move_about_middle

SIDE = 64
STILL = {"rotation_deg": 0.0, "translation": [0.0, 0.0], "scale": 1.0, "shear_deg": 0.0}
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of aligned canvases: two in masks/, three in others/; green and blue textures; a rim of half alpha."""
    folder = tmp_path_factory.mktemp("pools")
    rng = np.random.default_rng(0)
    for kind, count in (("masks", 2), ("others", 3)):
        for number in range(count):
            canvas = np.zeros((SIDE, SIDE, 4), np.uint8)
            canvas[..., :3] = (200, 30, 30)
            canvas[29:51, 9 + number : 41, :3] = 150
            canvas[30:50, 10 + number : 40, :3] = rng.integers(100, 250, (20, 30 - number, 3))
            canvas[29:51, 9 + number : 41, 3] = 140
            canvas[30:50, 10 + number : 40, 3] = 255
            write_rgba(folder / kind / f"{kind}{number}.png", canvas)
    for name, colour in (("a_green", (0, 255, 0)), ("b_blue", (0, 0, 255))):
        write_image(folder / "textures" / f"{name}.png", np.full((40, 40, 3), colour, np.uint8))
    return folder


def section(folder: Path, **changed: object) -> PasteSection:
    settings = {
        "pools": (
            PoolSection(folder=folder / "masks", repeat=5, kind="mask"),
            PoolSection(folder=folder / "others", kind="other"),
        ),
        "textures": folder / "textures",
        "holdout_share": 0.0,
    }
    return PasteSection(**(settings | changed))


def build(folder: Path, **changed: object) -> Paste:
    return build_paste(section(folder, **changed), split="train", max_side_px=SIDE)


def face_of(side: int = SIDE, *, width: int | None = None) -> Face:
    image = np.random.default_rng(2).integers(0, 256, (side, width or side, 3), dtype=np.uint8)
    label = np.zeros(image.shape[:2], np.uint8)
    label[side // 5 :, side // 5 : -side // 5] = PART_ID["skin"]  # touches the lower border
    return make_face(image, label, FacePolicy())


def params_of(pool: int, **changed: object) -> Params:
    still = {"occluder": "x", "pool": pool, "occluder_index": 0, "flip": False, "texture": None, "movement": STILL}
    return {**still, "jitter": [], **changed}


def test_files_count_as_often_as_their_pool_repeats_them(pools: Path) -> None:
    generator, face, rng = build(pools), face_of(), np.random.default_rng(0)
    drawn = [generator.draw_params(rng, face)["occluder"] for _ in range(2600)]
    counts = {name: drawn.count(name) / 2600 for name in set(drawn)}
    assert len(counts) == 5
    for name, share in counts.items():
        assert share == pytest.approx((5 if name.startswith("masks") else 1) / 13, abs=0.04)


@given(seeds)
def test_masks_and_others_move_as_far_as_they_may(pools: Path, seed: int) -> None:
    generator, face, rng = build(pools), face_of(), np.random.default_rng(seed)
    for _ in range(5):
        params = generator.draw_params(rng, face)
        movement, is_mask = params["movement"], params["pool"] == 0
        limit = 5 if is_mask else 10
        assert abs(movement["rotation_deg"]) <= limit
        assert abs(movement["shear_deg"]) <= limit
        assert abs(movement["translation"][0]) <= (0 if is_mask else 0.1)
        assert abs(movement["translation"][1]) <= 0.1
        assert 0.8 <= movement["scale"] <= (1.0 if is_mask else 1.2)


def test_shares_of_flips_and_textures_are_kept(pools: Path) -> None:
    generator, face, rng = build(pools), face_of(), np.random.default_rng(1)
    drawn = [generator.draw_params(rng, face) for _ in range(2000)]
    assert np.mean([params["flip"] for params in drawn]) == pytest.approx(0.5, abs=0.05)
    masks = [params["texture"] is not None for params in drawn if params["pool"] == 0]
    others = [params["texture"] is not None for params in drawn if params["pool"] == 1]
    assert np.mean(masks) == pytest.approx(0.9, abs=0.04)
    assert np.mean(others) == pytest.approx(0.1, abs=0.06)
    chosen = [tuple(params["texture"]) for params in drawn if params["texture"]]
    assert {(name, number) for name, number in chosen} == {("a", 0), ("b", 0)}
    assert all(params["texture"] is None for params in [build(pools, textures=None).draw_params(rng, face)])


def test_an_unmoved_canvas_lies_where_it_lay_in_its_file(pools: Path) -> None:
    for side in (SIDE, 2 * SIDE):
        patch = build(pools).patch(params_of(1), face_of(side))
        alpha = np.zeros((side, side), int)
        alpha[patch.rows, patch.columns] = patch.alpha
        times = side // SIDE
        expected = np.zeros((SIDE, SIDE), int)
        expected[29:51, 9:41] = 140
        expected[30:50, 10:40] = 255
        difference = np.abs(alpha - expected.repeat(times, 0).repeat(times, 1))
        assert difference.max() == 0 if times == 1 else (difference > 2).mean() < 0.08


def test_a_crop_of_another_shape_stretches_the_canvas(pools: Path) -> None:
    patch = build(pools).patch(params_of(1), face_of(SIDE, width=2 * SIDE))
    assert (patch.hides == 255).sum() == pytest.approx(2 * 22 * 32, rel=0.05)


def test_flipping_mirrors_the_whole_canvas(pools: Path) -> None:
    straight, flipped = (build(pools).patch(params_of(1, flip=flip), face_of()) for flip in (False, True))
    canvases = np.zeros((2, SIDE, SIDE), np.uint8)
    canvases[0][straight.rows, straight.columns] = straight.alpha
    canvases[1][flipped.rows, flipped.columns] = flipped.alpha
    assert_array_equal(canvases[0], canvases[1][:, ::-1])
    assert not np.array_equal(canvases[0], canvases[1])


def test_a_texture_takes_the_place_of_all_colours(pools: Path) -> None:
    patch = build(pools).patch(params_of(0, texture=["a", 0]), face_of())
    assert_array_equal(patch.colour, np.broadcast_to(np.uint8([0, 255, 0]), patch.colour.shape))
    plain = build(pools).patch(params_of(0), face_of())
    assert_array_equal(patch.alpha, plain.alpha)


def test_colours_beyond_the_occluder_are_its_own(pools: Path) -> None:
    patch = build(pools).patch(params_of(1), face_of())
    outside = patch.alpha == 0
    assert outside.any()
    assert patch.colour[outside].min() > 60  # the file is (200, 30, 30) there


@pytest.mark.parametrize(("least", "rim"), [(128, 255), (140, 255), (141, 0), (255, 0)])
def test_which_alpha_hides_is_the_users_choice(pools: Path, least: int, rim: int) -> None:
    patch = build(pools, hides_from_alpha=least).patch(params_of(1), face_of())
    assert set(np.unique(patch.hides)) == {0, 255}
    assert (patch.hides[patch.alpha == 255] == 255).all()
    assert (patch.hides[patch.alpha == 140] == rim).all()
    assert (patch.alpha == 140).any()


def test_boxes_are_placed_on_the_face(pools: Path) -> None:
    generator, face = build(pools, placement="box"), face_of()
    assert face.box is not None
    rng = np.random.default_rng(4)
    for _ in range(20):
        params = generator.draw_params(rng, face)
        x, y = params["placement"]["centre_px"]
        assert face.box.x <= x <= face.box.x + face.box.width
        assert face.box.y <= y <= face.box.y + face.box.height
        assert generator.patch(params, face).hides.any()


def test_flipping_a_box_keeps_its_place(pools: Path) -> None:
    generator, face = build(pools, placement="box", affine_share=0.0, jitter=0.0), face_of()
    params = {**generator.draw_params(np.random.default_rng(4), face), "texture": None}
    flipped, straight = (generator.patch({**params, "flip": flip}, face) for flip in (True, False))
    assert (flipped.rows, flipped.columns) == (straight.rows, straight.columns)
    assert_array_equal(flipped.hides, straight.hides)  # the cut-out is a rectangle
    assert not np.array_equal(flipped.colour, straight.colour)


@given(seeds, st.sampled_from([60, 112, 250]), st.sampled_from(["canvas", "box"]))
def test_equal_parameters_give_equal_bytes_and_mix_between_layers(
    pools: Path, seed: int, side: int, placement: str
) -> None:
    generator, face = build(pools, placement=placement), face_of(side)
    params = generator.draw_params(np.random.default_rng(seed), face)
    first, second = generator.patch(params, face), generator.patch(json.loads(json.dumps(params)), face)
    for one, other in zip(first[2:], second[2:], strict=True):
        assert_array_equal(one, other)
    below = np.ascontiguousarray(face.image[first.rows, first.columns])
    assert below.shape == first.colour.shape
    mixed = blend(below, first.colour, first.alpha)
    assert (mixed >= np.minimum(below, first.colour)).all()
    assert (mixed <= np.maximum(below, first.colour)).all()


def test_another_process_makes_the_same(pools: Path) -> None:
    generator, face = build(pools), face_of()
    params = generator.draw_params(np.random.default_rng(7), face)
    here, there = generator.patch(params, face), pickle.loads(pickle.dumps(generator)).patch(params, face)
    assert_array_equal(here.colour, there.colour)
    assert_array_equal(here.alpha, there.alpha)


def test_drawing_leaves_the_global_generator_alone(pools: Path) -> None:
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    generator, face = build(pools), face_of()
    generator.patch(generator.draw_params(np.random.default_rng(5), face), face)
    assert_array_equal(before, np.random.get_state()[1])


def test_an_occluder_outside_the_crop_gives_an_empty_patch(pools: Path) -> None:
    away = {**STILL, "translation": [3.0, 0.0]}
    assert build(pools).patch(params_of(1, movement=away, jitter=[("contrast", 1.2)]), face_of()).alpha.size == 0


def test_the_middle_of_the_canvas_moves_by_the_translation_alone() -> None:
    moved = {"rotation_deg": 33.0, "translation": [0.1, -0.2], "scale": 1.3, "shear_deg": 9.0}
    matrix = move_about_middle(moved, (100, 200))
    assert_allclose(apply_to_points(matrix, np.array([[99.5, 49.5]])), [[99.5 + 20, 49.5 - 20]])
    assert np.sqrt(np.linalg.det(matrix[:, :2])) == pytest.approx(1.3)


@given(seeds)
def test_jitter_keeps_to_its_limit_and_order(seed: int) -> None:
    changes = draw_jitter(np.random.default_rng(seed), limit=0.5)
    assert {name for name, _ in changes} == {"brightness", "contrast", "saturation"}
    assert all(0.5 <= factor <= 1.5 for _, factor in changes)
    image = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    opaque = np.full((9, 7), 255, np.uint8)
    assert_array_equal(jitter([], image, opaque), image)
    assert_array_equal(jitter([(name, 1.0) for name, _ in changes], image, opaque), image)
    grey = jitter([("saturation", 0.0)], image, opaque)
    assert np.ptp(grey, axis=2).max() == 0
    assert_array_equal(jitter([("brightness", 0.5)], image, opaque), np.rint(image * 0.5).astype(np.uint8))


def test_contrast_changes_about_the_grey_of_the_occluder_alone() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2] = 200
    alpha = np.zeros((4, 4), np.uint8)
    alpha[:2] = 255
    assert (jitter([("contrast", 0.5)], image, alpha)[:2] == 200).all()


def test_mistakes_in_the_section_are_refused(pools: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        section(pools, pools=())
    with pytest.raises(ValidationError):
        PasteTransformSection(rotation_deg=5, translation=(0.0, 0.1), scale=(0.0, 1.0), shear_deg=5)
    with pytest.raises(UserError, match="holds no image"):
        build(pools, pools=(PoolSection(folder=tmp_path),))
    defaults = section(pools)
    assert (defaults.blur_share, defaults.jpeg_share, defaults.brightness_contrast_share) == (0, 0, 0)
    assert defaults.harmony is None
