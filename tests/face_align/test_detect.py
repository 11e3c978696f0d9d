from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from common.errors import UserError
from common.image_io import list_images, read_image
from face_align import detect
from face_align.landmarks import five_points


@pytest.fixture(scope="module")
def detector() -> detect.YuNetDetector:
    path = detect.find_yunet()
    if path is None:
        pytest.skip(f"no YuNet file in {', '.join(map(str, detect.yunet_folders()))}; set {detect.WEIGHTS_VARIABLE}")
    return detect.YuNetDetector(path)


@pytest.fixture(scope="module")
def real_images() -> Path:
    root = os.environ.get("OCCFACE_DATA")
    if root is None:
        pytest.skip("real photos: set OCCFACE_DATA to their folder")
    return Path(root)


def portrait(real_images: Path) -> NDArray[np.uint8]:
    return read_image(list_images(real_images / "landmarks68" / "images")[0])


def test_every_photo_with_real_occlusions_has_a_face(detector: detect.YuNetDetector, real_images: Path) -> None:
    photos = [*list_images(real_images / "occluded_dev" / "helen_afw" / "images")[::2],
              *list_images(real_images / "occluded_dev" / "rmfd" / "images")]  # fmt: skip
    for path in photos:
        photo = read_image(path)
        faces = detector.detect(photo)
        assert faces, path
        assert [face.area for face in faces] == sorted((face.area for face in faces), reverse=True)
        points = faces[0].points
        assert points.shape == (5, 2)
        assert points.dtype == np.float64
        assert (points[[0, 3], 0] < points[[1, 4], 0]).all(), f"{path}: image-left points stand first"


def test_points_are_those_that_people_marked(detector: detect.YuNetDetector, real_images: Path) -> None:
    distances = []
    for path in list_images(real_images / "landmarks68" / "images")[::12]:
        marked = np.loadtxt(real_images / "landmarks68" / "pts68" / f"{path.stem}.txt")
        found = detector.detect(read_image(path))[0].points
        eyes_px = np.linalg.norm(marked[36] - marked[45])
        distances.append(np.linalg.norm(found - five_points(marked), axis=1).mean() / eyes_px)
    assert np.median(distances) < 0.08  # of the distance between the outer eye corners
    assert max(distances) < 0.3


@pytest.mark.parametrize("longest_px", [64, 500, 2400])
def test_answers_are_in_pixels_of_the_photo(detector: detect.YuNetDetector, real_images: Path, longest_px: int) -> None:
    photo = portrait(real_images)
    height, width = photo.shape[:2]
    ratio = longest_px / max(height, width)
    resized = cv2.resize(photo, (round(width * ratio), round(height * ratio)), interpolation=cv2.INTER_AREA)
    expected = (detector.detect(photo)[0].points + 0.5) * ratio - 0.5
    eyes_px = np.linalg.norm(expected[0] - expected[1])
    assert np.abs(detector.detect(resized)[0].points - expected).max() < 0.12 * eyes_px


def test_small_face_in_a_large_photo_is_found(detector: detect.YuNetDetector, real_images: Path) -> None:
    face = cv2.resize(portrait(real_images), (48, 48), interpolation=cv2.INTER_AREA)
    photo = np.full((1280, 1280, 3), 110, np.uint8)
    photo[600:648, 300:348] = face
    (found,) = detector.detect(photo)
    assert np.abs(found.points - (324, 624)).max() < 24


def test_nothing_is_found_where_nothing_is(detector: detect.YuNetDetector) -> None:
    for size in ((1, 1), (7, 300), (333, 641), (2000, 40)):
        assert detector.detect(np.zeros((*size, 3), np.uint8)) == []


def test_input_is_left_alone_and_answers_repeat(detector: detect.YuNetDetector, real_images: Path) -> None:
    photo = portrait(real_images)
    before = photo.copy()
    first = detector.detect(photo)
    detector.detect(np.zeros((100, 300, 3), np.uint8))  # another size in between
    again = detector.detect(photo)
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(first[0].points, again[0].points)


def test_missing_file_names_both_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(detect.WEIGHTS_VARIABLE, str(tmp_path))
    monkeypatch.setattr(detect, "REPOSITORY_WEIGHTS", tmp_path / "weights")
    assert detect.find_yunet() is None
    with pytest.raises(UserError) as caught:
        detect.require_yunet()
    message = str(caught.value)
    assert str(tmp_path / "weights") in message
    assert f"({tmp_path})" in message
    assert all(name in message for name in detect.YUNET_NAMES)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / detect.YUNET_NAMES[1]).write_bytes(b"x")
    assert detect.require_yunet() == tmp_path / "weights" / detect.YUNET_NAMES[1]


def test_damaged_file_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "yunet.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"yunet\.onnx.*cannot read"):
        detect.YuNetDetector(tmp_path / "yunet.onnx")
    with pytest.raises(UserError, match="there is no YuNet model"):
        detect.YuNetDetector(tmp_path / "none.onnx")


def test_detectors_made_at_the_same_time_are_silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """OpenCV has one level of messages: whoever sets it back must not do so while another detector is made."""
    level = cv2.utils.logging.getLogLevel()
    levels = []

    def create(*_: object) -> None:
        time.sleep(0.01)
        levels.append(cv2.utils.logging.getLogLevel())

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", create)
    (tmp_path / "yunet.onnx").touch()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: detect.YuNetDetector(tmp_path / "yunet.onnx"), range(24)))
    assert levels == [cv2.utils.logging.LOG_LEVEL_ERROR] * 24
    assert cv2.utils.logging.getLogLevel() == level
