from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal

from common.labels import PART_ID
from face_align.sunglasses import mark_sunglasses

SIZE = 128


def face_with_glasses(lens_brightness: int, *, glasses: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return image and label of a bright face with a dark frame around lenses of a given brightness."""
    image = np.full((SIZE, SIZE, 3), 200, np.uint8)
    label = np.full((SIZE, SIZE), PART_ID["skin"], np.uint8)
    if glasses:
        image[40:64, 20:108] = 10
        image[43:61, 23:105] = lens_brightness
        label[40:64, 20:108] = PART_ID["eye_g"]
    return image, label


def test_dark_lenses_become_an_object() -> None:
    image, label = face_with_glasses(60)
    marked = mark_sunglasses(image, label)
    assert (marked[40:64, 20:108] == PART_ID["object"]).all()
    assert_array_equal(marked == PART_ID["skin"], label == PART_ID["skin"])
    assert (label[40:64, 20:108] == PART_ID["eye_g"]).all()  # the argument is left alone


def test_clear_lenses_stay_whatever_their_frame() -> None:
    image, label = face_with_glasses(180)
    assert mark_sunglasses(image, label) is label


def test_the_photo_may_be_dark() -> None:
    image, label = face_with_glasses(180)
    assert mark_sunglasses(image // 4, label) is label
    image, label = face_with_glasses(60)
    assert (mark_sunglasses(image // 4, label) == PART_ID["object"]).any()


def test_without_glasses_or_skin_nothing_changes() -> None:
    image, label = face_with_glasses(60, glasses=False)
    assert mark_sunglasses(image, label) is label
    image, label = face_with_glasses(60)
    label[label == PART_ID["skin"]] = PART_ID["hair"]
    assert mark_sunglasses(image, label) is label
