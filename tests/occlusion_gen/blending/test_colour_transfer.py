from __future__ import annotations

import os
import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from common.image_io import read_image, read_mask
from common.labels import PART_ID, FacePolicy
from occlusion_gen.blending.colour_transfer import TransferKind, gaussian_of, linear_map, transfer_colours
from occlusion_gen.blending.sliced_transport import displace, smooth_field
from occlusion_gen.face import Face, Patch, make_face
from occlusion_gen.occluders.library import open_occluders
from tests.occlusion_gen.blending.drawn_patches import draw_face, draw_patch

pytest.importorskip("ot", reason="judges colour distances: pip install POT")

from tests.occlusion_gen.blending.full_transport import colour_distance, full_transport

KINDS: list[TransferKind] = ["sot", "linear_ot", "reinhard", "sot_published"]
REFERENCE_SEEDS = 3
DATA = Path(os.environ.get("OCCFACE_DATA") or "nowhere")


def assert_as_close_as_the_full_algorithm(patch: Patch, face: Face) -> None:
    opaque, target = patch.alpha > 127, face.image[face.visible]
    full = [
        colour_distance(full_transport(patch.colour, opaque, target, seed=seed)[opaque], target)
        for seed in range(REFERENCE_SEEDS)
    ]
    ours = [
        colour_distance(transfer_colours("sot", patch=patch, face=face, seed=seed).colour[opaque], target)
        for seed in range(REFERENCE_SEEDS)
    ]
    spread = max(full) - min(full)
    assert np.mean(ours) <= max(full) + max(spread, 0.25)
    assert np.mean(ours) < 0.6 * colour_distance(patch.colour[opaque], target)


@pytest.mark.parametrize("seed", range(3))
def test_the_transport_is_as_close_as_the_full_algorithm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    colours = rng.integers(60, 200, (2, 3))
    face = draw_face(160, 160, seed=seed, colour=tuple(colours[0]))
    patch = draw_patch(slice(10, 150), slice(40, 160), seed=seed + 10, colour=tuple(colours[1]))
    assert_as_close_as_the_full_algorithm(patch, face)


def real_face(number: int) -> Face:
    mini = DATA / "celebamask_hq_mini"
    photo = cv2.resize(read_image(mini / "CelebA-HQ-img" / f"{number}.jpg"), (160, 160), interpolation=cv2.INTER_AREA)
    skin = read_mask(mini / "CelebAMask-HQ-mask-anno" / "0" / f"{number:05d}_skin.png").astype(np.uint8)
    small = cv2.resize(skin, (160, 160), interpolation=cv2.INTER_NEAREST)
    return make_face(photo, small * np.uint8(PART_ID["skin"]), FacePolicy())


@pytest.mark.skipif(not DATA.is_dir(), reason="needs real hands and faces: set OCCFACE_DATA to their folder")
@pytest.mark.parametrize("number", range(0, 12, 3))
def test_the_transport_is_as_close_as_the_full_algorithm_on_real_hands(number: int) -> None:
    hands = open_occluders(DATA / "occluders" / "hands", split="train", holdout_share=0, max_side_px=140)
    rgba = cv2.copyMakeBorder(hands[13 * number], 4, 4, 4, 4, cv2.BORDER_REPLICATE)
    alpha = cv2.copyMakeBorder(hands[13 * number][..., 3], 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=0)
    height, width = alpha.shape
    colour = np.ascontiguousarray(rgba[..., :3])
    patch = Patch(slice(0, height), slice(0, width), colour, alpha, alpha)
    assert_as_close_as_the_full_algorithm(patch, real_face(number))


@pytest.mark.parametrize("kind", ["linear_ot", "reinhard", "sot"])
def test_mean_and_deviation_become_those_of_the_face(kind: TransferKind) -> None:
    face, patch = draw_face(128, 128), draw_patch(slice(0, 100), slice(20, 120))
    moved = transfer_colours(kind, patch=patch, face=face, seed=0)
    opaque = patch.alpha > 127
    result, target = moved.colour[opaque].astype(float), face.image[face.visible].astype(float)
    assert abs(result.mean(axis=0) - target.mean(axis=0)).max() < 2
    assert abs(result.std(axis=0) - target.std(axis=0)).max() < 0.2 * target.std()


@pytest.mark.parametrize("kind", KINDS)
def test_strength_is_the_share_of_the_way(kind: TransferKind) -> None:
    face, patch = draw_face(), draw_patch(slice(0, 60), slice(10, 90), colour=(120, 110, 130), spread=10)
    none, half, whole = (
        transfer_colours(kind, patch=patch, face=face, seed=0, strength=share).colour.astype(int)
        for share in (0.0, 0.5, 1.0)
    )
    assert_array_equal(none, patch.colour)
    assert abs(half - (none + whole) / 2)[(whole > 0) & (whole < 255)].max() <= 1
    assert abs(whole - none).max() > 30


def test_the_linear_map_gives_the_covariance_of_the_target() -> None:
    rng = np.random.default_rng(0)
    source = (rng.normal(0, 20, (4000, 3)) @ rng.normal(size=(3, 3)) + 100).astype(np.float32)
    target = (source @ np.array([[0.8, 0.1, 0], [0.2, 0.9, 0.1], [0, -0.1, 1.1]]) + 9).astype(np.float32)
    matrix = linear_map(gaussian_of(source), gaussian_of(target))
    moved = source @ matrix[:, :3].T + matrix[:, 3]
    np.testing.assert_allclose(moved.mean(axis=0), target.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(moved.T), np.cov(target.T), rtol=0.05, atol=6)
    np.testing.assert_allclose(matrix[:, :3], matrix[:, :3].T, atol=1e-8)  # an optimal map is symmetric


def test_equal_colours_stay() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (700, 3)).astype(np.float32)
    moved = displace(colours, colours[::-1].copy(), np.random.default_rng(1))
    assert abs(moved).max() < 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_colours_beyond_the_opaque_part_move_with_it(kind: TransferKind) -> None:
    """Otherwise the old colour would come back wherever alpha is soft."""
    face = draw_face(128, 128, colour=(200, 60, 60))
    patch = draw_patch(slice(4, 124), slice(4, 124), colour=(60, 60, 200), share=0.3)
    if kind == "sot_published":  # it moves background as well, with the black that is around the face
        patch = patch._replace(alpha=np.full_like(patch.alpha, 255))
    moved = transfer_colours(kind, patch=patch, face=face, seed=0)
    shift = moved.colour.astype(int) - patch.colour
    assert shift[0, 0, 0] > 60
    assert shift[0, 0, 2] < -60
    steps = np.abs(np.diff(cv2.GaussianBlur(shift.astype(np.float32), (0, 0), 3), axis=1))
    assert steps.max() < 15


def test_a_field_carries_on_without_a_step() -> None:
    left = np.arange(20 * 60).reshape(20, 60)[:, :20].ravel()
    displacement = np.column_stack([np.linspace(10, 30, left.size)] * 3).astype(np.float32)
    field = smooth_field(displacement, places=left, size=(20, 60), sigma_px=2)
    assert field.shape == (20, 60, 3)
    assert field.min() >= 9.9
    assert field.max() <= 30.1
    assert np.abs(np.diff(field[..., 0], axis=1)).max() < 2


def test_the_published_transport_keeps_its_oddities() -> None:
    """Black background takes part, so that a hand comes out with the wrong mean; highlights are gone."""
    face = draw_face(128, 128, colour=(200, 150, 120))
    patch = draw_patch(slice(0, 100), slice(20, 120), colour=(90, 80, 70))
    opaque, target = patch.alpha > 127, face.image[face.visible]
    mended, published = (
        transfer_colours(kind, patch=patch, face=face, seed=0).colour[opaque] for kind in ("sot", "sot_published")
    )
    assert colour_distance(published, target) > 1.5 * colour_distance(mended, target)
    assert np.percentile(published, 99) < np.percentile(target, 99)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_bytes_and_no_global_generator_is_touched(kind: TransferKind) -> None:
    face, patch = draw_face(), draw_patch(slice(0, 60), slice(10, 90))
    states = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    before = patch.colour.copy(), face.image.copy()
    first = transfer_colours(kind, patch=patch, face=face, seed=7)
    second = transfer_colours(kind, patch=patch, face=face, seed=7)
    assert_array_equal(first.colour, second.colour)
    assert_array_equal(first.alpha, patch.alpha)
    assert_array_equal(before[0], patch.colour)
    assert_array_equal(before[1], face.image)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # type: ignore[index]
    if kind.startswith("sot"):
        assert (transfer_colours(kind, patch=patch, face=face, seed=8).colour != first.colour).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (0, 0), (0, 5), (60, 60), (1, 90)])
def test_any_patch_comes_back_in_its_shape(kind: TransferKind, size: tuple[int, int]) -> None:
    patch = draw_patch(slice(0, size[0]), slice(3, 3 + size[1]))
    for face in (draw_face(), draw_face(colour=(0, 0, 0)), draw_face(colour=(128, 128, 128), seed=3)):
        moved = transfer_colours(kind, patch=patch, face=face, seed=0)
        assert moved.colour.shape == (*size, 3)
        assert moved.colour.dtype == np.uint8


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_move_or_nobody_to_follow_changes_nothing(kind: TransferKind) -> None:
    face, patch = draw_face(), draw_patch(slice(0, 60), slice(10, 90))
    clear = patch._replace(alpha=np.zeros_like(patch.alpha))
    assert_array_equal(transfer_colours(kind, patch=clear, face=face, seed=0).colour, patch.colour)
    nobody = make_face(face.image, np.zeros_like(face.label), FacePolicy())
    assert_array_equal(transfer_colours(kind, patch=patch, face=nobody, seed=0).colour, patch.colour)


@pytest.mark.parametrize("kind", ["sot", "linear_ot", "reinhard"])
def test_a_pixel_takes_about_the_mean_of_the_face(kind: TransferKind) -> None:
    face, patch = draw_face(), draw_patch(slice(40, 41), slice(40, 41))
    moved = transfer_colours(kind, patch=patch, face=face, seed=0)
    assert abs(moved.colour[0, 0] - face.image[face.visible].mean(axis=0)).max() < 4
