from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from common.image_io import write_image, write_rgba
from common.labels import PART_ID, FacePolicy, full_mask, mirror, still_visible_mask
from common.seeding import generator
from configs.schema import HarmonySection, NatOccSection, OcclusionSection, RandOccSection, WholeImageSection
from occlusion_gen.face import Face, OccludedFace, Params, make_face
from occlusion_gen.synthesiser import Synthesiser, build_synthesiser
from tests.tiny_world import HOLDOUT, World, part_masks

SIDE = 64
POLICY = FacePolicy()
NO_CHANGE = {
    "affine_share": 0.0,
    "blur_share": 0.0,
    "jpeg_share": 0.0,
    "brightness_contrast_share": 0.0,
    "harmony": None,
}


def drawn_face(side: int = SIDE) -> Face:
    masks = part_masks(np.array([[side / 256, 0, 0], [0, side / 256, 0]]), (side, side))
    label = np.zeros((side, side), np.uint8)
    for name, mask in masks.items():
        label[mask] = PART_ID[name]
    image = np.random.default_rng(0).integers(100, 200, (side, side, 3), dtype=np.uint8)
    return make_face(image, label, POLICY)


FACE = drawn_face()


def section(world: World, *, harmony: HarmonySection | None = None, **options: object) -> OcclusionSection:
    return OcclusionSection(
        generators={
            "hands": NatOccSection(
                occluders=world.pairs,
                part="hand",
                rotate_toward_face=True,
                holdout_share=HOLDOUT,
                weight=2.0,
                harmony=harmony,
            ),
            "objects": NatOccSection(occluders=world.cutouts, part="object", holdout_share=HOLDOUT, harmony=harmony),
            "shapes": RandOccSection(textures=world.textures, holdout_share=HOLDOUT, harmony=harmony),
        },
        **options,
    )


def build(world: World, **options: object) -> Synthesiser:
    return build_synthesiser(section(world, **options), policy=POLICY, split="train", max_side_px=SIDE)


@pytest.fixture(scope="module")
def synthesiser(world: World) -> Synthesiser:
    return build(world)


@pytest.fixture(scope="module")
def everything(world: World) -> Synthesiser:
    whole = WholeImageSection(blur_share=0.5, flip_share=0.5, brightness_contrast_share=0.5)
    return build(world, harmony=HarmonySection(), count=(1, 3), clean_share=0.2, whole_image=whole)


def make(synthesiser: Synthesiser, *key: int, face: Face = FACE) -> OccludedFace:
    return synthesiser(generator(*key), image=face.image, label=face.label)


def as_bytes(sample: OccludedFace) -> tuple[bytes, ...]:
    return tuple(array.tobytes() for array in sample if isinstance(array, np.ndarray))


def kind_of(sample: OccludedFace) -> str | None:
    layers = sample.params["layers"]
    return layers[0]["generator"] if layers else None


def drawn_of(params: Params) -> Params:
    return params["layers"][0]["drawn"]


def test_labels_of_a_composite_agree(everything: Synthesiser) -> None:
    for seed in range(40):
        sample = make(everything, seed)
        label, visible, full = FACE.label, FACE.visible, full_mask(FACE.label, POLICY)
        if sample.params["flip"]:
            label, visible, full = mirror(label), visible[:, ::-1], full[:, ::-1]
        assert_array_equal(sample.full, full)
        assert_array_equal(sample.parts, label)
        assert set(np.unique(sample.visible)) <= {0, 255}
        seen = sample.visible > 0
        assert not (seen & ~visible).any()
        assert_array_equal(still_visible_mask(sample.label, sample.parts, POLICY), seen)
        changed = sample.label != label
        parts = {"hands": "hand", "objects": "object", "shapes": "shape"}
        put_on = {PART_ID[parts[layer["generator"]]] for layer in sample.params["layers"]}
        assert set(np.unique(sample.label[changed])) <= put_on
        assert_array_equal(visible & changed, visible & ~seen)
        assert sample.coverage == pytest.approx(1 - seen.sum() / full.sum())
        assert sample.image.dtype == sample.alpha.dtype == np.uint8
        for array in (sample.label, sample.parts, sample.visible, sample.hidden, sample.full, sample.alpha):
            assert array.shape == (SIDE, SIDE)
            assert array.flags.c_contiguous


def test_the_occluder_is_where_its_label_says(synthesiser: Synthesiser) -> None:
    """Beside the occluder the photo is untouched; within an opaque one, nothing of it is left."""
    window = np.ones((9, 9), np.uint8)
    cores = 0
    for seed in range(40):
        sample = make(synthesiser, seed)
        occluded = (sample.label >= PART_ID["mask"]).astype(np.uint8)
        near, core = cv2.dilate(occluded, window) > 0, cv2.erode(occluded, window) > 0
        assert_array_equal(sample.image[~near], FACE.image[~near])
        assert not sample.alpha[~near].any()
        opacity = drawn_of(sample.params).get("opacity", 1.0)
        # Where the outline of a shape crosses itself, a slit of less than a pixel may thin its alpha.
        assert (abs(sample.alpha[core] - 255 * opacity) <= 12).mean() > (0.9 if kind_of(sample) == "shapes" else 0.999)
        cores += core.any()
    assert cores > 25


@pytest.mark.parametrize("key", [(0, 0, 0), (0, 1, 2), (2**31, 5, 10**6)])
def test_the_same_key_gives_the_same_bytes(world: World, key: tuple[int, int, int]) -> None:
    first, second = (make(build(world), *key) for _ in "ab")
    assert as_bytes(first) == as_bytes(second)
    assert first.params == second.params
    for axis in range(3):
        other = list(key)
        other[axis] += 1
        assert as_bytes(first) != as_bytes(make(build(world), *other))


def test_parameters_alone_make_the_sample_again(everything: Synthesiser) -> None:
    for seed in range(40):
        sample = make(everything, seed)
        params = json.loads(json.dumps(sample.params))
        assert params == sample.params
        assert as_bytes(everything.apply(params, FACE)) == as_bytes(sample)


def test_applying_changes_neither_face_nor_generators(everything: Synthesiser) -> None:
    before = [array.tobytes() for array in FACE[:3]]
    np.random.seed(3)
    torch.manual_seed(3)
    state = np.random.get_state()[1].tolist(), torch.get_rng_state()
    for index in range(8):
        make(everything, 0, index)
    assert [array.tobytes() for array in FACE[:3]] == before
    assert np.random.get_state()[1].tolist() == state[0]
    assert torch.equal(torch.get_rng_state(), state[1])


def test_clean_faces_are_untouched(world: World) -> None:
    clean = build(world, clean_share=1.0)
    for index in range(5):
        sample = make(clean, index)
        assert_array_equal(sample.image, FACE.image)
        assert_array_equal(sample.label, FACE.label)
        assert_array_equal(sample.visible > 0, FACE.visible)
        assert sample.coverage == 0
        assert not sample.alpha.any()
        assert sample.params["layers"] == []


def test_shares_and_weights_are_kept(world: World) -> None:
    drawn = build(world, clean_share=0.2)
    drawn_layers = [drawn.draw_params(generator(0, index), FACE)["layers"] for index in range(600)]
    names = [layers[0]["generator"] if layers else None for layers in drawn_layers]
    expected = {None: 0.2, "hands": 0.4, "objects": 0.2, "shapes": 0.2}
    for name, share in expected.items():
        assert names.count(name) / 600 == pytest.approx(share, abs=0.06)


def test_a_label_without_a_face_gets_no_occluder(synthesiser: Synthesiser) -> None:
    sample = synthesiser(generator(0), image=FACE.image, label=np.zeros_like(FACE.label))
    assert_array_equal(sample.image, FACE.image)
    assert sample.coverage == 0


def test_training_and_validation_see_other_occluders(world: World) -> None:
    seen = {}
    for split in ("train", "validation"):
        built = build_synthesiser(section(world), policy=POLICY, split=split, max_side_px=SIDE)
        seen[split] = {
            (params["layers"][0]["generator"], drawn_of(params)["occluder"])
            for params in (built.draw_params(generator(1, index), FACE) for index in range(120))
        }
    assert not seen["train"] & seen["validation"]
    assert {name for name, _ in seen["train"]} == {name for name, _ in seen["validation"]} != set()


def test_the_whole_image_can_be_changed_and_mirrored(world: World) -> None:
    plain = build(world)
    flipped = build(world, whole_image=WholeImageSection(flip_share=1.0))
    changed = build(world, whole_image=WholeImageSection(blur_share=1.0, brightness_contrast_share=1.0))
    for index in range(6):
        sample, mirrored, other = (make(which, index) for which in (plain, flipped, changed))
        assert_array_equal(mirrored.image, sample.image[:, ::-1])
        assert_array_equal(mirrored.label, mirror(sample.label))
        assert_array_equal(mirrored.alpha, sample.alpha[:, ::-1])
        assert_array_equal(other.label, sample.label)
        assert (other.image != sample.image).mean() > 0.5


# ---------------------------------------------------------------- natocc


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_bright_occluder_brings_no_dark_fringe(tmp_path: Path, share: float) -> None:
    rgba = np.zeros((90, 70, 4), np.uint8)  # black where transparent
    y, x = np.mgrid[:90, :70]
    rgba[((x - 35) / 30) ** 2 + ((y - 45) / 40) ** 2 < 1] = (240, 240, 240, 255)
    write_rgba(tmp_path / "white.png", rgba)
    options = {**NO_CHANGE, "blur_share": share, "affine_share": share}
    natocc = NatOccSection(occluders=tmp_path, part="object", holdout_share=0, **options)
    built = build_synthesiser(
        OcclusionSection(generators={"a": natocc}), policy=POLICY, split="train", max_side_px=SIDE
    )
    grey = FACE._replace(image=np.full((SIDE, SIDE, 3), 180, np.uint8))
    for index in range(12):
        sample = make(built, index, face=grey)
        assert sample.coverage > 0.05
        assert sample.image.min() >= 180 - 1
        assert sample.image.max() <= 240 + 1


def test_a_fixed_placement_gives_a_known_picture(tmp_path: Path) -> None:
    """Golden values of one composite: an opaque red square on a grey face, turned by 90 degrees."""
    rgba = np.zeros((20, 20, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = np.linspace(100, 250, 20).astype(np.uint8)[:, None], 255  # brighter downward
    rgba[0, 0, 3] = 0  # a file without any transparency would be refused
    write_rgba(tmp_path / "red.png", rgba)
    natocc = NatOccSection(occluders=tmp_path, part="object", holdout_share=0, harmony=None)
    built = build_synthesiser(
        OcclusionSection(generators={"a": natocc}), policy=POLICY, split="train", max_side_px=SIDE
    )
    placement = {"area": 0.25, "stretch": [1.0, 1.0], "rotation_deg": 90.0, "shear_deg": [0.0, 0.0]}
    nothing = {"blur": None, "jpeg_quality": None, "brightness_contrast": None}
    drawn = {
        "occluder": "red.png",
        "occluder_index": 0,
        "box": [12, 12, 40, 40],
        "placement": {**placement, "centre_px": [32.0, 32.0]},
    }
    params = {
        "layers": [{"generator": "a", "drawn": drawn, "finish": {"degradation": nothing, "harmony": None}}],
        "after": nothing,
        "flip": False,
    }
    sample = built.apply(params, FACE._replace(image=np.full((SIDE, SIDE, 3), 60, np.uint8)))
    rows, columns = np.nonzero(sample.label == PART_ID["object"])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (22, 42, 22, 42)
    across = sample.image[32, 18:48:3].astype(int)
    golden_red = [60, 78, 238, 214, 190, 167, 143, 119, 82, 60]
    golden_green = [60, 54, 0, 0, 0, 0, 0, 2, 30, 60]
    assert abs(across[:, 0] - golden_red).max() <= 3, across[:, 0].tolist()
    assert abs(across[:, 1] - golden_green).max() <= 3, across[:, 1].tolist()


# ---------------------------------------------------------------- randocc


def randocc(folder: Path, **options: object) -> Synthesiser:
    write_image(folder / "a" / "white.png", np.full((8, 8, 3), 255, np.uint8))
    shapes = RandOccSection(textures=folder, holdout_share=0, **{**NO_CHANGE, **options})
    return build_synthesiser(OcclusionSection(generators={"s": shapes}), policy=POLICY, split="train", max_side_px=SIDE)


def test_coverage_is_near_the_published_parity_target(tmp_path: Path) -> None:
    """Published over a real run: mean .304, std .148 (p5 .091, median .286, p95 .580); here on an oval face."""
    built = randocc(tmp_path, affine_share=0.7)
    coverage = np.array([make(built, 5, index).coverage for index in range(400)])
    assert coverage.mean() == pytest.approx(0.304, abs=0.05)
    assert coverage.std() == pytest.approx(0.148, abs=0.03)
    assert np.percentile(coverage, 5) == pytest.approx(0.091, abs=0.06)
    assert np.percentile(coverage, 95) == pytest.approx(0.58, abs=0.08)


def test_opaque_shapes_hide_and_translucent_ones_let_the_face_shine_through(tmp_path: Path) -> None:
    black = FACE._replace(image=np.zeros_like(FACE.image))
    for share in (0.0, 1.0):
        built = randocc(tmp_path, translucent_share=share)
        for index in range(10):
            sample = make(built, index, face=black)
            opacity = drawn_of(sample.params)["opacity"]
            inside = sample.alpha == sample.alpha.max()
            assert (opacity == 1) if share == 0 else (0.4 <= opacity <= 0.7)
            assert abs(sample.image[inside].mean() - 255 * opacity) < 12
            assert sample.alpha.max() == pytest.approx(255 * opacity, abs=1)


def test_labels_of_translucent_shapes_follow_the_setting(tmp_path: Path) -> None:
    always = randocc(tmp_path, translucent_share=1.0, translucent_label="occluded")
    threshold = randocc(tmp_path, translucent_share=1.0, translucent_label="threshold")
    seen = set()
    for index in range(30):
        hidden, judged = make(always, index), make(threshold, index)
        assert hidden.coverage > 0
        thin = drawn_of(judged.params)["opacity"] < 0.5
        seen.add(thin)
        assert judged.coverage == (0 if thin else hidden.coverage)
        assert_array_equal(judged.image, hidden.image)
    assert seen == {True, False}


def test_every_texture_is_used_class_by_class(world: World) -> None:
    shapes = RandOccSection(textures=world.textures, holdout_share=HOLDOUT)
    built = build_synthesiser(
        OcclusionSection(generators={"s": shapes}), policy=POLICY, split="train", max_side_px=SIDE
    )
    drawn = [drawn_of(built.draw_params(generator(0, index), FACE)) for index in range(200)]
    assert np.mean([params["texture_class"] == "dots" for params in drawn]) == pytest.approx(0.5, abs=0.12)
    assert len({params["occluder"] for params in drawn}) == 6
