from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RecordError, UserError
from common.geometry import apply_to_points
from face_align.crop import TEMPLATES
from face_align.locate import CropRule, by_detector, by_landmarks, centred_square, whole_photo
from tests.stand_ins import FixedDetector, face_at

PHOTO = np.zeros((80, 120, 3), np.uint8)
RULE = CropRule("similarity5", "faceocc256", 256)
sides = st.integers(1, 5000)


@given(sides, sides)
def test_centred_square_holds_the_whole_photo(height: int, width: int) -> None:
    corners = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    moved = apply_to_points(centred_square((height, width), size=64), corners)
    assert (moved >= -0.5 - 1e-6).all()
    assert (moved <= 63.5 + 1e-6).all()
    np.testing.assert_allclose(moved.mean(axis=0), 31.5, atol=1e-6)
    assert np.ptp(moved, axis=0).max() == pytest.approx(64)


def test_whole_photo_is_stretched() -> None:
    (location,) = whole_photo(size=64)(PHOTO, "a")
    corners = np.array([[-0.5, -0.5], [119.5, 79.5]])
    np.testing.assert_allclose(apply_to_points(location.photo_to_crop, corners), [[-0.5, -0.5], [63.5, 63.5]])


def test_detected_faces_land_on_the_template(tmp_path: Path) -> None:
    detector = FixedDetector(tmp_path)
    template = TEMPLATES["faceocc256"][1]
    face = face_at(60, 40, width=30)._replace(points=template / 4 + 20)
    detector.faces = (face, face_at(10, 10, width=8), face_at(5, 5, width=0))
    locations = by_detector(detector, RULE)(PHOTO, "a")  # type: ignore[arg-type]
    assert len(locations) == 2  # the third one's points coincide
    np.testing.assert_allclose(apply_to_points(locations[0].photo_to_crop, face.points), template, atol=1e-9)
    assert len(by_detector(detector, RULE, max_faces=1)(PHOTO, "a")) == 1  # type: ignore[arg-type]


def test_landmark_files_keep_sub_folders(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    np.save(tmp_path / "sub" / "a.npy", TEMPLATES["faceocc256"][1] / 4)
    (location,) = by_landmarks(tmp_path, RULE)(PHOTO, "sub/a")
    np.testing.assert_allclose(location.photo_to_crop, [[4, 0, 0], [0, 4, 0]], atol=1e-9)
    with pytest.raises(RecordError, match=r"b\.npy"):
        by_landmarks(tmp_path, RULE)(PHOTO, "sub/b")
    np.save(tmp_path / "same.npy", np.full((5, 2), 3.0))
    with pytest.raises(RecordError) as caught:
        by_landmarks(tmp_path, RULE)(PHOTO, "same")
    assert caught.value.outcome == "bad_landmarks"


def test_unknown_rule_is_told_when_the_weights_are_read() -> None:
    with pytest.raises(UserError, match="pos3d"):
        CropRule("five_points", "faceocc256", 256)
    with pytest.raises(UserError, match="arcface112"):
        CropRule("similarity5", "ffhq1024", 256)
