from __future__ import annotations

import random

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import ValidationError

from common.errors import UserError
from common.geometry import scaling
from common.labels import PART_ID, mirror
from configs.schema import AugmentSection
from datasets import augment
from datasets.augment import build_augmenter

STILL = {"flip_share": 0.0, "rotation_deg": 0.0, "scale": (1.0, 1.0), "translation": 0.0}
PLAIN = {
    "photometric_share": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0,
    "grey_share": 0.0, "blur_share": 0.0, "jpeg_share": 0.0, "noise_share": 0.0,
}  # fmt: skip
NOTHING = {**STILL, **PLAIN}
SIDE = 48
seeds = st.integers(0, 2**32 - 1)


def photo(side: int = SIDE) -> np.ndarray:
    y, x = np.mgrid[:side, :side] / side
    smooth = np.dstack([80 + 120 * x, 60 + 100 * y, 200 - 80 * x * y])
    return np.clip(smooth + np.random.default_rng(0).normal(0, 10, smooth.shape), 0, 255).astype(np.uint8)


PHOTO = photo()
MASKS = np.zeros((SIDE, SIDE, 2), np.uint8)
MASKS[10:30, 12:33, 0] = 1
MASKS[5:40, 8:40, 1] = 1


def changed(seed: int = 0, *, image: np.ndarray = PHOTO, size: int = SIDE, **options: object) -> tuple:
    augmenter = build_augmenter(AugmentSection(**{**NOTHING, **options}))
    return augmenter(np.random.default_rng(seed), image=image, masks=MASKS, size=size)


def test_a_power_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"powers of at least 0\.01, found \[0\.0, 2\.0\]"):
        AugmentSection(gamma=(0, 2))
    changed(gamma_share=1.0, gamma=(0.01, 10))


def test_nothing_changes_when_all_is_off() -> None:
    image, masks = changed()
    assert_array_equal(image, PHOTO)
    assert_array_equal(masks, MASKS)
    with_ranges = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1}
    assert_array_equal(changed(**with_ranges)[0], PHOTO)  # their share is 0


@pytest.mark.parametrize(
    "options",
    [
        {"photometric_share": 1.0, "brightness": 0.5},
        {"photometric_share": 1.0, "contrast": 0.5},
        {"photometric_share": 1.0, "saturation": 0.5},
        {"photometric_share": 1.0, "hue": 0.2},
        {"photometric_share": 1.0, "photometric_mode": "each", "brightness": 0.5},
        {"photometric_share": 1.0, "photometric_mode": "each", "contrast": 0.5},
        {"photometric_share": 1.0, "photometric_mode": "each", "saturation": 0.5},
        {"photometric_share": 1.0, "photometric_mode": "each", "hue": 0.2},
        {"gamma_share": 1.0},
        {"grey_share": 1.0},
        {"blur_share": 1.0},
        {"jpeg_share": 1.0},
        {"noise_share": 1.0},
        {"flip_share": 1.0},
        {"rotation_deg": 30.0},
        {"scale": (0.7, 0.8)},
        {"translation": 0.2},
    ],
    ids=lambda options: "-".join(map(str, options)),
)
def test_every_setting_takes_effect(options: dict[str, object]) -> None:
    results = [changed(seed, **options) for seed in range(6)]
    assert np.mean([(image != PHOTO).mean() for image, _ in results]) > 0.3
    geometric = not set(options).isdisjoint(STILL)
    assert any((masks != MASKS).any() for _, masks in results) == geometric
    if not {"grey_share", "flip_share"} & set(options):
        assert len({image.tobytes() for image, _ in results}) > 1


def test_settings_do_what_their_names_say() -> None:
    def channels(**options: object) -> np.ndarray:
        return np.array([changed(seed, **options)[0].astype(float) for seed in range(12)])

    grey = channels(grey_share=1.0)
    assert (np.ptp(grey, axis=-1) == 0).all()
    bright = channels(photometric_share=1.0, brightness=0.3).mean(axis=(1, 2, 3))
    assert bright.max() > PHOTO.mean() * 1.08
    assert bright.min() < PHOTO.mean() * 0.92
    detail = np.abs(np.diff(channels(blur_share=1.0), axis=2)).mean()
    assert detail < 0.8 * np.abs(np.diff(PHOTO.astype(float), axis=1)).mean()
    noisy = channels(noise_share=1.0) - PHOTO
    assert noisy.std(axis=(1, 2, 3)).min() > 1.5
    assert noisy.std(axis=(1, 2, 3)).max() < 0.08 * 255
    strong = channels(noise_share=1.0, noise=(0.1, 0.1)) - PHOTO
    assert strong.std(axis=(1, 2, 3)) == pytest.approx(0.1 * 255, rel=0.1)
    darker = channels(gamma_share=1.0, gamma=(2.0, 2.0))
    assert_allclose(darker, np.broadcast_to(255 * (PHOTO / 255.0) ** 2, darker.shape), atol=1.001)
    hue = channels(photometric_share=1.0, hue=0.02) - PHOTO
    assert abs(hue).mean() < 25


@pytest.mark.parametrize(
    ("ranges", "tolerance"),
    [
        ({"brightness": (0.5, 1.5), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}, 0.6),
        ({"brightness": (1, 1), "contrast": (0.5, 1.5), "saturation": (1, 1), "hue": (0, 0)}, 0.8),
        ({"brightness": (1, 1), "contrast": (1, 1), "saturation": (0.5, 1.5), "hue": (0, 0)}, 0.6),
        ({"brightness": (0.7, 1.3), "contrast": (0.7, 1.3), "saturation": (0.7, 1.3), "hue": (0, 0)}, 1.2),
    ],
    ids=["brightness", "contrast", "saturation", "three"],
)
def test_colours_change_as_in_albumentations(ranges: dict[str, tuple[float, float]], tolerance: float) -> None:
    # Neither too dark nor too bright: what several steps together clip is clipped once, not by each step.
    image = cv2.resize(np.random.default_rng(0).integers(60, 140, (6, 6, 3), dtype=np.uint8), (64, 64))
    changes = 0.0
    for seed in range(20):
        results = []
        for kind in (augment.ColourJitter, augment.A.ColorJitter):
            compose = augment.A.Compose([kind(**ranges, p=1.0)])
            compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
            results.append(compose(image=image)["image"].astype(int))
        assert abs(results[0] - results[1]).mean() <= tolerance
        changes += abs(results[1] - image).mean() / 20
    assert changes > 2 * tolerance


@pytest.mark.parametrize("hue", [-0.04, -0.02, 0.02, 0.04])
def test_hue_is_turned_by_its_share_of_the_circle(hue: float) -> None:
    jitter = augment.ColourJitter(brightness=(1, 1), contrast=(1, 1), saturation=(1, 1), hue=(hue, hue), p=1.0)
    skin = np.array([[[200, 150, 120], [120, 80, 60], [90, 70, 40], [128, 128, 128], [0, 0, 0]]], np.uint8)
    turned = augment.A.Compose([jitter])(image=skin)["image"]
    before, after = (
        cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)[0, :3, 0] for image in (skin, turned)
    )
    assert (after - before) / 360 == pytest.approx(hue, rel=0.25)
    assert_array_equal(turned[0, 3:], skin[0, 3:])  # greys stay
    assert abs(turned @ augment.LUMA - skin @ augment.LUMA).max() <= 1


@given(seeds, st.sampled_from([(40, 60), (64, 64), (200, 150)]), st.floats(0.5, 3))
def test_what_lies_beyond_the_image_is_its_mirror(seed: int, size: tuple[int, int], scale: float) -> None:
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8), size[::-1])
    angle, shift = rng.uniform(-3, 3), rng.uniform(-30, 30, 2)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])
    masks = np.dstack([image[..., 0], image[..., 1]])
    found, moved = augment.warp(matrix, image=image, masks=masks, size=48)
    expected = cv2.warpAffine(image, matrix, (48, 48), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    assert abs(found.astype(int) - expected).max() <= 4
    nearest = cv2.warpAffine(masks, matrix, (48, 48), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    assert (moved != nearest).mean() < 0.005  # halfway between two pixels either is the nearest


def test_shares_are_kept() -> None:
    augmenter = build_augmenter(AugmentSection(**{**NOTHING, "grey_share": 0.3, "flip_share": 0.5}))
    rng = np.random.default_rng(0)
    results = [augmenter(rng, image=PHOTO, masks=MASKS, size=SIDE) for _ in range(300)]
    assert np.mean([np.ptp(image, axis=-1).max() == 0 for image, _ in results]) == pytest.approx(0.3, abs=0.08)
    assert np.mean([masks[15, 13, 0] == 0 for _, masks in results]) == pytest.approx(0.5, abs=0.08)


@given(seeds, st.sampled_from([32, 48, 80]))
def test_image_and_masks_move_together(seed: int, size: int) -> None:
    """A marker painted into the image is found where its mask went."""
    marked = np.zeros((SIDE, SIDE, 3), np.uint8)
    marked[MASKS[..., 0] > 0] = 255
    options = {"flip_share": 0.5, "rotation_deg": 25.0, "scale": (0.8, 1.25), "translation": 0.1}
    image, masks = changed(seed, image=marked, size=size, **options)
    assert image.shape == (size, size, 3)
    assert masks.shape == (size, size, 2)
    assert set(np.unique(masks)) <= {0, 1}
    found, expected = image[..., 0] > 127, masks[..., 0] > 0
    assert (found & expected).sum() / (found | expected).sum() > 0.9
    assert_allclose(np.argwhere(found).mean(axis=0), np.argwhere(expected).mean(axis=0), atol=0.35)
    assert not (masks[..., 0] > masks[..., 1]).any()


def test_a_flip_is_the_mirror_image() -> None:
    image, masks = changed(flip_share=1.0)
    assert_array_equal(image, PHOTO[:, ::-1])
    assert_array_equal(masks, MASKS[:, ::-1])


def test_translation_is_symmetric_and_within_its_share() -> None:
    shifts = []
    for seed in range(200):
        _, masks = changed(seed, translation=0.1)
        shifts.append(np.argwhere(masks[..., 0]).mean(axis=0) - np.argwhere(MASKS[..., 0]).mean(axis=0))
    values = np.array(shifts)
    assert abs(values).max() <= 0.1 * SIDE + 0.5
    assert (values.min(axis=0) < -0.07 * SIDE).all()
    assert (values.max(axis=0) > 0.07 * SIDE).all()
    assert (abs(values.mean(axis=0)) < 0.6).all()


def test_the_same_generator_gives_the_same_bytes() -> None:
    section = AugmentSection()
    one, two = build_augmenter(section), build_augmenter(section)
    for seed in range(25):
        first = one(np.random.default_rng(seed), image=PHOTO, masks=MASKS, size=32)
        second = two(np.random.default_rng(seed), image=PHOTO, masks=MASKS, size=32)
        assert first[0].tobytes() == second[0].tobytes()
        assert first[1].tobytes() == second[1].tobytes()
        one(np.random.default_rng(seed + 1000), image=PHOTO, masks=MASKS, size=32)  # what came before does not matter


def test_input_and_global_generators_are_left_alone() -> None:
    before = PHOTO.tobytes(), MASKS.tobytes()
    np.random.seed(1)
    torch.manual_seed(1)
    state = np.random.get_state()[1].tolist(), torch.get_rng_state()
    augmenter = build_augmenter(AugmentSection())
    for seed in range(10):
        augmenter(np.random.default_rng(seed), image=PHOTO, masks=MASKS, size=SIDE)
    assert (PHOTO.tobytes(), MASKS.tobytes()) == before
    assert np.random.get_state()[1].tolist() == state[0]
    assert torch.equal(torch.get_rng_state(), state[1])


def test_changes_are_drawn_independently() -> None:
    augmenter = build_augmenter(AugmentSection(**{**NOTHING, "grey_share": 0.5, "noise_share": 0.5}))
    smooth = np.full((SIDE, SIDE, 3), (140, 110, 100), np.uint8)
    rng = np.random.default_rng(0)
    images = [augmenter(rng, image=smooth, masks=MASKS, size=SIDE)[0].astype(int) for _ in range(300)]
    grey = np.array([np.ptp(image.mean(axis=(0, 1))) < 10 for image in images])
    noisy = np.array([image.std(axis=(0, 1)).max() > 1 for image in images])
    assert grey.mean() == pytest.approx(0.5, abs=0.08)
    assert noisy.mean() == pytest.approx(0.5, abs=0.08)
    assert (grey & noisy).mean() == pytest.approx(0.25, abs=0.08)


EACH = {"photometric_mode": "each", "photometric_share": 1.0}


def test_each_by_itself_does_what_photometric_distortion_does() -> None:
    """Brightness is added, contrast is a factor about black, saturation and hue leave what they should."""
    image = np.clip(PHOTO, 60, 180)
    added = [changed(seed, image=image, brightness=32 / 255, **EACH)[0].astype(int) - image for seed in range(40)]
    assert all(np.ptp(difference) <= 2 for difference in added)  # one number for all pixels
    means = np.array([difference.mean() for difference in added])
    assert means.min() >= -32.5
    assert means.max() <= 32.5
    assert np.ptp(means) > 48
    factors = np.array([changed(seed, image=image, contrast=0.3, **EACH)[0].mean() for seed in range(40)])
    ratios = [changed(seed, image=image, contrast=0.3, **EACH)[0] / image for seed in range(5)]
    assert all(np.ptp(ratio) < 0.03 for ratio in ratios)
    assert factors.min() / image.mean() == pytest.approx(0.7, abs=0.05)
    assert factors.max() / image.mean() == pytest.approx(1.3, abs=0.05)
    grey = np.repeat(image[..., :1], 3, axis=2)
    for options in ({"saturation": 0.5}, {"hue": 0.1}):
        assert abs(changed(3, image=grey, **options, **EACH)[0].astype(int) - grey).max() <= 1


def test_each_has_a_share_of_its_own() -> None:
    """Half the samples in each of two that commute with a look: brightness moves the mean, saturation the spread."""
    options = {**EACH, "photometric_share": 0.5, "brightness": 0.1, "saturation": 0.5}
    image = np.full((8, 8, 3), (140, 110, 100), np.uint8)
    augmenter = build_augmenter(AugmentSection(**{**NOTHING, **options}))
    rng = np.random.default_rng(0)
    results = [augmenter(rng, image=image, masks=MASKS[:8, :8], size=8)[0].astype(int) for _ in range(400)]
    brighter = np.array([result.mean() for result in results]) - image.mean()
    colour = np.array([np.ptp(result[0, 0]) for result in results])
    both = (abs(brighter) > 2) & (abs(colour - 40) > 2)
    assert np.mean(abs(brighter) > 2) == pytest.approx(0.5 * 23.5 / 25.5, abs=0.08)
    assert np.mean(both) == pytest.approx(0.21, abs=0.08)


def test_an_argument_that_albumentations_does_not_know_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    compression = augment.A.ImageCompression
    monkeypatch.setattr(augment.A, "ImageCompression", lambda **options: compression(quality_lower=40, **options))
    with pytest.raises(UserError, match=r"does not do as told .*quality_lower"):
        build_augmenter(AugmentSection())


def mean_shift(masks: np.ndarray) -> np.ndarray:
    return np.argwhere(masks[..., 0]).mean(axis=0) - np.argwhere(MASKS[..., 0]).mean(axis=0)


def test_the_legacy_translation_moves_up_and_never_down() -> None:
    shifts = np.array([mean_shift(changed(seed, translation=0.1, legacy_translation=True)[1]) for seed in range(200)])
    largest = 0.1 * (SIDE - 1) / 2
    assert_allclose(shifts[:, 0], shifts[:, 1], atol=0.6)  # one number for both axes
    assert shifts.max() <= 0.5
    assert shifts.min() == pytest.approx(-largest, abs=0.6)
    flipped = np.array(
        [changed(seed, translation=0.1, legacy_translation=True, flip_share=1.0)[1] for seed in range(100)]
    )
    mirrored = np.array([mean_shift(masks[:, ::-1]) for masks in flipped])
    assert mirrored[:, 0].max() <= 0.5  # still up, and to the other side
    assert_allclose(mirrored[:, 0], mirrored[:, 1], atol=0.6)


def test_only_a_share_is_turned() -> None:
    turned = [(changed(seed, rotation_deg=40.0, rotation_share=0.3)[1] != MASKS).any() for seed in range(200)]
    assert np.mean(turned) == pytest.approx(0.3, abs=0.1)


def test_left_and_right_parts_change_places_in_a_mirror() -> None:
    left, right = PART_ID["l_eye"], PART_ID["r_eye"]
    parts = np.zeros((SIDE, SIDE, 3), np.uint8)
    parts[10:20, 8:16], parts[10:20, 30:38] = left, right
    augmenter = build_augmenter(AugmentSection(**{**NOTHING, "flip_share": 1.0}))
    _, found = augmenter(np.random.default_rng(0), image=PHOTO, masks=parts, size=SIDE, parts_channel=2)
    assert_array_equal(found[..., 1], parts[:, ::-1, 1])
    assert_array_equal(found[..., 2], mirror(parts[..., 2]))
    assert found[12, 12, 2] == left  # the left side of the picture is again what it was called
    augmenter = build_augmenter(AugmentSection(**NOTHING))
    _, found = augmenter(np.random.default_rng(0), image=PHOTO, masks=parts, size=SIDE, parts_channel=2)
    assert_array_equal(found, parts)


def test_a_crop_four_times_as_large_is_averaged_block_by_block() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    moved, _ = augment.warp(scaling((64, 64), (16, 16)), image=image, masks=np.zeros((64, 64, 2), np.uint8), size=16)
    blocks = image.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(moved - blocks).max() <= 0.5
