from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import UserError
from inference.video import VideoReader, VideoWriter, is_video, webcam_index

SIZE = (60, 80)
FPS = 12.5


def frames(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Return frames (H, W, 3) with red on the left, and green that brightens from frame to frame."""
    made = []
    for index in range(count):
        frame = np.zeros((*size, 3), np.uint8)
        frame[:, : size[1] // 2, 0] = 200
        frame[..., 1] = 10 * index
        made.append(frame)
    return made


def write(path: Path, images: list[np.ndarray], **options: bool) -> Path:
    with VideoWriter(path, fps=FPS, size=images[0].shape[:2], **options) as writer:
        for image in images:
            writer.write(image)
    return path


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    path = write(tmp_path / "deep" / "clip.mp4", frames(8))
    with VideoReader(str(path)) as reader:
        assert (reader.name, reader.size, reader.frame_count) == ("clip", SIZE, 8)
        assert reader.fps == pytest.approx(FPS)
        found = list(reader)
    assert reader.problem is None
    assert len(found) == 8
    for one, other in zip(found, frames(8), strict=True):
        assert one.dtype == np.uint8
        assert np.abs(one.astype(int) - other).mean() < 4  # red is red: the order of colours is kept
    assert [file.name for file in path.parent.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("grey", [False, True])
def test_lossless_keeps_every_value(tmp_path: Path, grey: bool) -> None:
    shape = SIZE if grey else (*SIZE, 3)
    images = list(np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8))
    with VideoReader(str(write(tmp_path / "mask.mkv", images, lossless=True, grey=grey))) as reader:
        found = np.stack(list(reader))
    np.testing.assert_array_equal(found[..., 0] if grey else found, np.stack(images))


def test_odd_sides_grow_by_a_copy_of_the_last_pixel(tmp_path: Path) -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (2, 31, 41), dtype=np.uint8))
    with VideoReader(str(write(tmp_path / "mask.mkv", images, lossless=True, grey=True))) as reader:
        found = next(iter(reader))[..., 0]
    assert found.shape == (32, 42)
    np.testing.assert_array_equal(found[:31, :41], images[0])
    np.testing.assert_array_equal(found[31], found[30])


def test_frames_of_phones_come_upright(tmp_path: Path) -> None:
    """The matrix in the header says: turn by 90 degrees, clockwise."""
    path = write(tmp_path / "clip.mp4", frames(3))
    content = bytearray(path.read_bytes())
    at = content.find(_matrix(1, 0, 0, 1), content.find(b"tkhd"))
    assert at > 0
    content[at : at + 36] = _matrix(0, 1, -1, 0)
    path.write_bytes(content)
    with VideoReader(str(path)) as reader:
        found = next(iter(reader))
    assert reader.size == found.shape[:2] == (80, 60)
    np.testing.assert_allclose(found.astype(int), np.rot90(frames(1)[0], k=-1), atol=30)


def _matrix(*values: int) -> bytes:
    a, b, c, d = (value << 16 for value in values)
    return b"".join(value.to_bytes(4, "big", signed=True) for value in (a, b, 0, c, d, 0, 0, 0, 1 << 30))


def test_a_cut_file_gives_its_frames_and_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(40)]
    path = write(tmp_path / "clip.mkv", images, lossless=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoReader(str(path)) as reader:
        reader.frame_count = 40  # the index that tells it lies at the end, and is lost with it
        found = len(list(reader))
    assert 10 < found < 30
    assert reader.problem is not None
    assert f"ends after {found} of 40 frames" in reader.problem


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    for name, message in [("text", "no video"), ("empty", "no video"), ("folder", "no such"), ("none", "no such")]:
        with pytest.raises(UserError, match=rf"{name}.mp4: .*{message}"):
            VideoReader(str(tmp_path / f"{name}.mp4"))


def test_an_absent_webcam_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent:
        def __init__(self, index: int) -> None:
            assert index == 7

        def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
            return False

    monkeypatch.setattr(cv2, "VideoCapture", Absent)
    with pytest.raises(UserError, match=r"webcam:7: cannot be opened; is it plugged in"):
        VideoReader("webcam:7")


@pytest.mark.parametrize(
    ("source", "index"),
    [("0", 0), ("12", 12), ("webcam", 0), ("webcam:3", 3), ("a.mp4", None), ("webcam:x", None), ("-1", None)],
)
def test_webcams_are_told_from_files(source: str, index: int | None) -> None:
    assert webcam_index(source) == index
    assert is_video(source) == (index is not None or source == "a.mp4")


def test_a_file_called_like_a_webcam_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("0").mkdir()
    assert webcam_index("0") is None
    assert not is_video("0")
    assert is_video("CLIP.MOV")
    assert not is_video("photo.jpg")


def write_until(path: Path, error: type[BaseException]) -> None:
    with VideoWriter(path, fps=FPS, size=SIZE) as writer:
        for frame in frames(5):
            writer.write(frame)
        raise error


def test_nothing_is_left_of_an_interrupted_video(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        write_until(tmp_path / "a.mp4", RuntimeError)
    with VideoWriter(tmp_path / "empty.mp4", fps=FPS, size=SIZE):
        pass
    assert not list(tmp_path.iterdir())


def test_ctrl_c_ends_a_webcams_video_as_it_should(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_until(tmp_path / "a.mp4", KeyboardInterrupt)
    with VideoReader(str(tmp_path / "a.mp4")) as reader:
        assert len(list(reader)) == 5


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    def fill_up() -> None:
        with VideoWriter(tmp_path / "a.mp4", fps=FPS, size=SIZE) as writer:
            writer.write(frames(1)[0])
            writer._writer.release()
            writer._partial.write_bytes(writer._partial.read_bytes()[:40])

    with pytest.raises(UserError, match="did not become whole"):
        fill_up()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong", [np.zeros((60, 80), np.uint8), np.zeros((60, 82, 3), np.uint8), np.zeros((60, 80, 3))]
)
def test_frames_of_another_kind_are_refused(tmp_path: Path, wrong: np.ndarray) -> None:
    with (
        pytest.raises(ValueError, match=r"expected a frame \(60, 80, 3\) uint8"),
        VideoWriter(tmp_path / "a.mp4", fps=FPS, size=SIZE) as writer,
    ):
        writer.write(wrong)


def test_suffixes_tell_the_codec(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lossless videos are written as"):
        VideoWriter(tmp_path / "a.mp4", fps=FPS, size=SIZE, lossless=True)
