from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from pydantic import ValidationError

from common.errors import RecordError, UserError
from common.image_io import read_image, read_mask, write_rgba
from common.labels import PART_ID, FacePolicy
from configs.schema.eyewear import EyewearSection
from occlusion_gen.blending.compositing import blend
from occlusion_gen.eyewear.head import fit_camera
from occlusion_gen.eyewear.shapes import SHAPE_NAMES, SHAPES, outlines
from occlusion_gen.face import Face, Patch, make_face
from occlusion_gen.generators.eyewear import Eyewear, LensLabel, Style, build_eyewear
from tests.occlusion_gen.eyewear.seen import head_seen
from tests.tiny_world import PARTS, part_masks, points68

MINI = Path(os.environ.get("OCCFACE_DATA", "nowhere")) / "celebamask_hq_mini"
PLAIN = {
    "width": 1.0,
    "height": 1.0,
    "slip_mm": 2.0,
    "roll_deg": 0.0,
    "under_hair": True,
    "metal": False,
    "frame_colour": [18, 18, 20],
    "lens": {"colour": [16, 16, 18], "opacity": 0.9, "opacity_bottom": 0.9, "mirror": [226, 234, 244]},
    "reflection": {"angle_deg": 30, "offset": 0.0, "width": 0.2, "band": 0.0, "sky": 0.0, "horizon": 0.0},
}
CLEAR_LENS = {"colour": [205, 214, 222], "opacity": 0.1, "opacity_bottom": 0.1, "mirror": [226, 234, 244]}
seeds = st.integers(0, 2**32 - 1)


def drawn_face(side: int = 256, *, shift: tuple[float, float] = (0, 0), fringe: bool = False) -> Face:
    """Return the face of the drawn world in a crop of `side`, moved by `shift` px of a crop of 256."""
    scale = side / 256
    matrix = np.array([[scale, 0, shift[0] * scale], [0, scale, shift[1] * scale]])
    masks = part_masks(matrix, (side, side))
    label = np.zeros((side, side), np.uint8)
    for name in PARTS:
        label[masks[name]] = PART_ID[name]
    if fringe:
        label[masks["skin"] & (np.arange(side)[:, None] < (110 + shift[1]) * scale)] = PART_ID["hair"]
    image = np.random.default_rng(1).integers(90, 160, (side, side, 3), dtype=np.uint8)
    return make_face(image, label, FacePolicy(), landmarks=points68() * scale + np.array(shift) * scale)


def eyewear(style: Style = "sunglasses", lens_label: LensLabel = "occluded", shapes: tuple[str, ...] = SHAPE_NAMES):
    return Eyewear(style=style, shapes=shapes, lens_label=lens_label)


def whole(patch: Patch, side: int, layer: str) -> NDArray[np.uint8]:
    canvas = np.zeros((side, side), np.uint8)
    canvas[patch.rows, patch.columns] = getattr(patch, layer)
    return canvas


@pytest.mark.parametrize("name", SHAPE_NAMES)
def test_lenses_lie_over_the_eyes_and_are_as_wide_as_a_face(name: str) -> None:
    camera = fit_camera(head_seen())
    parts = outlines(SHAPES[name], slip_mm=0)
    eyes_px = (head_seen()[[36, 42]] + head_seen()[[39, 45]]) / 2
    for lens, eye in zip(parts.lenses, eyes_px, strict=True):
        seen = camera.project(lens)
        low, high = seen.min(axis=0), seen.max(axis=0)
        assert (low < eye).all()
        assert (eye < high).all()
        assert_allclose((low + high) / 2, eye, atol=0.15 * (eyes_px[1] - eyes_px[0])[0])
    width_mm = np.ptp(camera.project(np.vstack(parts.front))[:, 0]) / camera.px_per_mm
    assert 125 < width_mm < 160


@given(st.floats(15, 50), st.sampled_from([-1, 1]))
def test_the_far_lens_is_foreshortened_and_only_the_near_arm_is_seen(yaw_deg: float, side: int) -> None:
    landmarks = head_seen(yaw_deg=side * yaw_deg)
    camera = fit_camera(landmarks)
    parts = outlines(SHAPES["wayfarer"], slip_mm=0)
    widths = [np.ptp(camera.project(lens)[:, 0]) for lens in parts.lenses]
    far, near = (1, 0) if camera.turn[0, 2] > 0 else (0, 1)  # the nose points to the far side
    assert widths[far] < widths[near]
    outwards = [side_ * (camera.project(arm)[1:3, 0].mean() - camera.project(arm)[[0, 3], 0].mean())
                for side_, arm in zip((-1, 1), parts.arms, strict=True)]  # fmt: skip
    assert outwards[near] > 0 > outwards[far]


@pytest.mark.parametrize("yaw_deg", [-35, 35])
def test_only_the_near_arm_is_painted(yaw_deg: float) -> None:
    landmarks = head_seen(yaw_deg=yaw_deg)
    camera = fit_camera(landmarks)
    face = drawn_face()._replace(landmarks=landmarks, label=np.zeros((256, 256), np.uint8))
    params = {**PLAIN, "shape": "wayfarer", "lens": CLEAR_LENS}
    alpha = whole(eyewear("clear").patch(params, face), 256, "alpha")
    arms = outlines(SHAPES["wayfarer"], slip_mm=2).arms
    near, far = (arms[0], arms[1]) if yaw_deg > 0 else (arms[1], arms[0])
    for arm, painted in ((near, True), (far, False)):
        x, y = camera.project(arm.mean(axis=0)[None])[0]
        assert (alpha[round(y), round(x)] == 255) == painted


@given(seeds, st.sampled_from(["sunglasses", "clear"]))
def test_equal_parameters_give_equal_bytes_also_through_a_manifest(seed: int, style: Style) -> None:
    generator, face = eyewear(style), drawn_face(112)
    params = generator.draw_params(np.random.default_rng(seed), face)
    first, second = generator.patch(params, face), generator.patch(json.loads(json.dumps(params)), face)
    assert (first.rows, first.columns) == (second.rows, second.columns)
    for one, other in zip(first[2:], second[2:], strict=True):
        assert_array_equal(one, other)
    assert first.colour.shape == (*first.alpha.shape, 3)
    assert first.hides.shape == first.alpha.shape


def test_drawing_leaves_the_global_generator_alone_and_needs_no_pixels() -> None:
    generator, face = eyewear(), drawn_face(64)
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    params = generator.draw_params(np.random.default_rng(5), face)
    generator.patch(params, face)
    assert_array_equal(before, np.random.get_state()[1])
    assert params == generator.draw_params(np.random.default_rng(5), drawn_face(256))


@given(seeds, st.sampled_from([60, 112, 333]), st.tuples(st.integers(-90, 90), st.integers(-90, 90)))
def test_patches_lie_in_the_crop_and_mix_between_the_layers(seed: int, side: int, shift: tuple[int, int]) -> None:
    generator, face = eyewear(), drawn_face(side, shift=shift)
    patch = generator.patch(generator.draw_params(np.random.default_rng(seed), face), face)
    assert 0 <= patch.rows.start <= patch.rows.stop <= side
    assert 0 <= patch.columns.start <= patch.columns.stop <= side
    assert patch.alpha.shape == (patch.rows.stop - patch.rows.start, patch.columns.stop - patch.columns.start)
    below = np.ascontiguousarray(face.image[patch.rows, patch.columns])
    mixed = blend(below, patch.colour, patch.alpha)
    assert (mixed >= np.minimum(below, patch.colour)).all()
    assert (mixed <= np.maximum(below, patch.colour)).all()


def test_the_region_ends_where_the_glasses_do() -> None:
    face = drawn_face(256)
    patch = eyewear().patch({**PLAIN, "shape": "round"}, face)
    assert patch.alpha.size < 0.3 * face.label.size
    rim = np.concatenate([patch.alpha[0], patch.alpha[-1], patch.alpha[:, 0], patch.alpha[:, -1]])
    assert not rim.any()


@pytest.mark.parametrize("shape", SHAPE_NAMES)
def test_glasses_are_the_same_at_every_size(shape: str) -> None:
    shares = []
    for side in (60, 256, 1024):
        patch = eyewear(shapes=(shape,)).patch({**PLAIN, "shape": shape}, drawn_face(side))
        shares.append((patch.hides == 255).sum() / side**2)
    assert_allclose(shares, shares[-1], rtol=0.1)
    assert shares[-1] > 0.03


@pytest.mark.parametrize("style", ["sunglasses", "clear"])
def test_what_the_labels_say_under_lenses(style: Style) -> None:
    face = drawn_face(256)
    lens = PLAIN["lens"] if style == "sunglasses" else CLEAR_LENS
    params = {**PLAIN, "shape": "wayfarer", "lens": lens}
    hides = {
        name: whole(eyewear(style, name).patch(params, face), 256, "hides")  # type: ignore[arg-type]
        for name in ("occluded", "threshold", "soft")
    }
    eye = (94, 92)
    assert set(np.unique(hides["occluded"])) == {0, 255}
    assert hides["occluded"][eye] == 255
    assert hides["threshold"][eye] == (255 if style == "sunglasses" else 0)
    assert hides["soft"][eye] == pytest.approx(255 * (0.9 if style == "sunglasses" else 0.1), abs=1.5)
    assert hides["soft"][100:140, 92].max() == 255  # the lower rim
    assert (hides["threshold"] <= hides["occluded"]).all()
    patch = eyewear(style, "soft").patch(params, face)
    assert_array_equal(patch.hides, patch.alpha)


def test_sunglasses_are_objects_and_clear_glasses_are_glasses() -> None:
    assert eyewear("sunglasses").part == PART_ID["object"]
    assert eyewear("clear").part == PART_ID["eye_g"]
    assert eyewear().worn
    assert eyewear().needs_landmarks


@given(seeds)
def test_dark_lenses_are_dark_and_clear_ones_clear(seed: int) -> None:
    rng, face = np.random.default_rng(seed), drawn_face(64)
    dark = Eyewear("sunglasses", SHAPE_NAMES, "occluded", opacity=(0.75, 1.0), tinted_share=0, gradient_share=0)
    lens = dark.draw_params(rng, face)["lens"]
    assert 0.75 <= lens["opacity"] == lens["opacity_bottom"] <= 1
    tinted = Eyewear("sunglasses", SHAPE_NAMES, "occluded", tinted_share=1).draw_params(rng, face)["lens"]
    assert 0.3 <= tinted["opacity"] <= 0.7
    assert 0.02 <= eyewear("clear").draw_params(rng, face)["lens"]["opacity"] <= 0.12


def test_hair_lies_over_glasses_or_behind_their_front() -> None:
    params = {**PLAIN, "shape": "round"}
    open_face, covered = drawn_face(), drawn_face(fringe=True)
    free, hidden = (whole(eyewear().patch(params, face), 256, "alpha") for face in (open_face, covered))
    hair = covered.label == PART_ID["hair"]
    deep = cv2.erode(hair.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    assert free[deep].max() == 255
    assert not hidden[deep].any()
    assert hidden[~hair].max() == 255
    front = whole(eyewear().patch({**params, "under_hair": False}, covered), 256, "alpha")
    assert (front[deep] == 255).sum() > 100
    assert front[94, 92] == free[94, 92]
    hat = covered._replace(label=np.where(hair, PART_ID["hat"], covered.label).astype(np.uint8))
    assert not whole(eyewear().patch({**params, "under_hair": False}, hat), 256, "alpha")[deep].any()


def test_who_wears_glasses_gets_no_second_pair() -> None:
    face = drawn_face()
    face.label[90:100, 80:90] = PART_ID["eye_g"]
    assert eyewear().patch({**PLAIN, "shape": "round"}, face).alpha.size == 0


@pytest.mark.parametrize("shift", [(3000, 0), (-3000, 0), (0, 3000), (-3000, -3000)])
def test_glasses_outside_the_crop_give_an_empty_patch(shift: tuple[float, float]) -> None:
    patch = eyewear().patch({**PLAIN, "shape": "round"}, drawn_face(100, shift=shift))
    assert patch.alpha.size == 0


@pytest.mark.parametrize("broken", [np.full((68, 2), np.nan), np.zeros((68, 2)), np.zeros((5, 2))])
def test_unusable_landmarks_are_refused(broken: NDArray[np.float64]) -> None:
    face = drawn_face()._replace(landmarks=broken)
    with pytest.raises(RecordError, match="landmarks") as error:
        eyewear().patch({**PLAIN, "shape": "round"}, face)
    assert error.value.outcome == "bad_landmarks"


def write_glasses(folder: Path) -> None:
    """Write a frontal cut-out 120 x 40: two opaque discs and a bar, in red."""
    y, x = np.mgrid[:40, :120]
    discs = [(x - middle) ** 2 + (y - 20) ** 2 < 19**2 for middle in (25, 94)]
    shape = discs[0] | discs[1] | ((abs(y - 12) < 3) & (x > 20) & (x < 100))
    colour = np.zeros((40, 120, 3), np.uint8)
    colour[..., 0] = 200
    write_rgba(folder / "red.png", np.dstack([colour, shape * np.uint8(255)]))


@given(seeds)
def test_cut_outs_from_files_sit_on_the_eyes(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    folder = tmp_path_factory.mktemp("glasses")
    write_glasses(folder)
    section = EyewearSection(style="sunglasses", occluders=folder, holdout_share=0)
    generator = build_eyewear(section, split="train", max_side_px=256)
    face = drawn_face()
    params = generator.draw_params(np.random.default_rng(seed), face)
    assert params["occluder"] == "red.png"
    patch = generator.patch(params, face)
    hides = whole(patch, 256, "hides")
    assert hides[100, 92] == hides[100, 164] == 255
    assert hides[94 + 60, 92] == hides[20, 128] == 0
    assert patch.colour[..., 0].min() >= 198
    covered = generator.patch({**params, "under_hair": True}, drawn_face(fringe=True))
    assert whole(covered, 256, "hides")[80, 92] == 0


def test_the_section_becomes_the_generator_and_refuses_what_cannot_be(tmp_path: Path) -> None:
    section = EyewearSection(style="clear", shapes=("round",), lens_label="soft", opacity=(0.8, 0.9))
    generator = build_eyewear(section, split="train", max_side_px=64)
    assert generator == Eyewear("clear", ("round",), "soft", opacity=(0.8, 0.9))
    for wrong in ({"style": "mixed"}, {"opacity": (0.5, 1.2)}, {"shapes": ()}, {"shapes": ("square",)}):
        with pytest.raises(ValidationError):
            EyewearSection(**{"style": "sunglasses", **wrong})
    with pytest.raises(UserError, match="holds no image"):
        build_eyewear(EyewearSection(style="clear", occluders=tmp_path), split="train", max_side_px=64)


@pytest.mark.skipif(not MINI.is_dir(), reason="needs real photos: set OCCFACE_DATA")
def test_sunglasses_hide_the_eyes_of_real_faces() -> None:
    hidden = []
    for number in range(7, 240, 7):
        masks = {
            part: MINI / "CelebAMask-HQ-mask-anno" / "0" / f"{number:05d}_{part}.png"
            for part in ("l_eye", "r_eye", "eye_g")
        }
        if masks["eye_g"].exists() or not (masks["l_eye"].exists() and masks["r_eye"].exists()):
            continue
        image = read_image(MINI / "CelebA-HQ-img" / f"{number}.jpg")
        eyes = read_mask(masks["l_eye"]) | read_mask(masks["r_eye"])
        landmarks = np.load(MINI / "landmarks" / f"{number}.npy").astype(float)
        face = make_face(image, eyes.view(np.uint8), FacePolicy(), landmarks=landmarks)
        generator = eyewear()
        patch = generator.patch(generator.draw_params(np.random.default_rng(number), face), face)
        hidden.append((whole(patch, 512, "hides")[eyes] == 255).mean())
    assert len(hidden) > 20
    assert np.mean(hidden) > 0.97
    assert min(hidden) > 0.85
