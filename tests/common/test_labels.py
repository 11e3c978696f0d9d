from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from common.labels import (
    CELEBAMASK_PARTS,
    FACE_PARTS,
    PALETTE,
    PART_ID,
    PART_NAMES,
    Eyeglasses,
    FacePolicy,
    full_mask,
    known_mask,
    mirror,
    visible_mask,
)

seeds = st.integers(0, 2**32 - 1)


def random_label(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, len(PART_NAMES), (24, 31), dtype=np.uint8)


def face_with_glasses() -> np.ndarray:
    """Skin, glasses whose left lens shows an eye (an island), an eye beside the glasses, an ear and a neck."""
    label = np.zeros((20, 30), np.uint8)
    label[2:14, 4:26] = PART_ID["skin"]
    label[6:11, 6:14] = PART_ID["eye_g"]
    label[8:9, 9:11] = PART_ID["l_eye"]  # seen through the lens
    label[8:9, 20:22] = PART_ID["r_eye"]  # no lens before it
    label[6:10, 1:3] = PART_ID["l_ear"]
    label[14:18, 10:20] = PART_ID["neck"]
    label[2:4, 4:26] = PART_ID["hair"]
    return label


def test_ids_are_those_of_the_data_set() -> None:
    published = (
        "skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip hair hat ear_r neck_l neck cloth"
    )
    assert " ".join(CELEBAMASK_PARTS) == published
    assert [PART_ID[name] for name in ("background", "skin", "hair", "cloth", "mask", "hand")] == [0, 1, 13, 18, 19, 20]


def test_every_class_has_a_colour_of_its_own() -> None:
    assert PALETTE.shape == (256, 3)
    assert len({tuple(colour) for colour in PALETTE[: len(PART_NAMES)].tolist()}) == len(PART_NAMES)


def test_glasses_as_occluder_take_the_eye_behind_them_away() -> None:
    label = face_with_glasses()
    visible = visible_mask(label, FacePolicy(eyeglasses="occluder"))
    assert not visible[6:11, 6:14].any()
    assert visible[8, 20:22].all()
    assert visible[12, 5:25].all()


def test_eyes_seen_through_lenses_can_stay_islands() -> None:
    label = face_with_glasses()
    visible = visible_mask(label, FacePolicy(eyeglasses="lenses_are_face"))
    assert visible[8, 9:11].all()
    assert visible[6:11, 6:14].sum() == 2


def test_glasses_can_count_as_face() -> None:
    assert visible_mask(face_with_glasses(), FacePolicy(eyeglasses="face"))[6:11, 6:14].all()


@pytest.mark.parametrize("part", ["ears", "neck"])
def test_ears_and_neck_are_face_only_where_asked_for(part: str) -> None:
    label = face_with_glasses()
    wanted = label == PART_ID["l_ear" if part == "ears" else "neck"]
    without, within = visible_mask(label, FacePolicy()), visible_mask(label, FacePolicy(**{part: True}))
    assert_array_equal(within & ~without, wanted)


def test_skin_inside_the_ring_of_the_glasses_stays_face() -> None:
    label = np.full((12, 12), PART_ID["skin"], np.uint8)
    label[3:9, 3:9] = PART_ID["eye_g"]
    label[5:7, 5:7] = PART_ID["skin"]
    assert visible_mask(label, FacePolicy())[5:7, 5:7].all()


@given(seeds)
def test_visible_is_within_full_and_occluders_are_never_face(seed: int) -> None:
    label = random_label(seed)
    for eyeglasses in ("occluder", "face", "lenses_are_face"):
        policy = FacePolicy(eyeglasses=eyeglasses, ears=True, neck=True)
        visible, full = visible_mask(label, policy), full_mask(label, policy)
        assert not (visible & ~full).any()
        assert not full[label >= PART_ID["mask"]].any()
        assert not full[(label == PART_ID["hair"]) | (label == 0)].any()


def test_the_full_face_is_the_same_whatever_glasses_mean() -> None:
    label = face_with_glasses()
    full = full_mask(label, FacePolicy(eyeglasses="occluder"))
    assert full[6:11, 6:14].all()
    for eyeglasses in ("face", "lenses_are_face"):
        assert_array_equal(full_mask(label, FacePolicy(eyeglasses=eyeglasses)), full)


def test_face_parts_can_be_chosen() -> None:
    label = face_with_glasses()
    assert_array_equal(visible_mask(label, FacePolicy(face=("r_eye",))), label == PART_ID["r_eye"])
    assert "hair" not in FACE_PARTS
    with pytest.raises(ValueError, match=r"unknown face parts \['brows'\]"):
        visible_mask(label, FacePolicy(face=("skin", "brows")))


@given(seeds)
def test_mirroring_twice_is_the_identity(seed: int) -> None:
    label = random_label(seed)
    assert_array_equal(mirror(mirror(label)), label)


def test_mirroring_exchanges_left_and_right() -> None:
    row = np.array([[PART_ID[name] for name in ("l_eye", "r_brow", "r_ear", "nose", "ear_r", "l_lip")]], np.uint8)
    expected = [PART_ID[name] for name in ("l_lip", "ear_r", "nose", "l_ear", "l_brow", "r_eye")]
    assert mirror(row).tolist() == [expected]


@pytest.mark.parametrize("eyeglasses", ["face", "ignore"])
def test_unknown_pixels_are_no_face_and_nothing_is_known_of_them(eyeglasses: Eyeglasses) -> None:
    policy = FacePolicy(eyeglasses=eyeglasses)
    before = np.full((4, 6), PART_ID["skin"], np.uint8)
    assert known_mask(before, before, policy) is None or known_mask(before, before, policy).all()
    before[:, :3] = PART_ID["unknown"]
    after = before.copy()
    after[:2] = PART_ID["hand"]  # known again: a hand was put over it
    known = known_mask(after, before, policy)
    assert known is not None
    assert known[:2].all()
    assert known[:, 3:].all()
    assert not known[2:, :3].any()
    assert not visible_mask(before, policy)[:, :3].any()
