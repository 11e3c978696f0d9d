"""Frames of a video file or a webcam, and videos of results. Sound is left alone.

Reading and writing are OpenCV's, with the FFmpeg that its wheels bring.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from common.errors import UserError

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts", ".3gp"}
)
WEBCAM = re.compile(r"webcam(?::(\d+))?|(\d+)")
USUAL_FPS = 25.0  # where a file or webcam does not say, or says nonsense
HIGHEST_FPS = 1000.0
# A container's number of frames is often its duration times the rate, rounded; a loss of more is one.
COUNT_TOLERANCE = 0.02
# Lossless: grey values read back as they were written. The other plays everywhere.
CODECS: dict[bool, tuple[str, str]] = {True: (".mkv", "FFV1"), False: (".mp4", "mp4v")}

Image8 = NDArray[np.uint8]


def webcam_index(source: str) -> int | None:
    """Return the number of the webcam that `source` names ("0", "webcam", "webcam:1"); None if it names a file."""
    match = WEBCAM.fullmatch(source)
    if match is None or Path(source).exists():
        return None
    return int(match[1] or match[2] or 0)


def is_video(source: str) -> bool:
    """Return whether `source` names a webcam or, by its suffix, a video file."""
    return webcam_index(source) is not None or Path(source).suffix.lower() in VIDEO_SUFFIXES


class VideoReader:
    """The frames of a video, each (H, W, 3) uint8 RGB, upright; to be used in a `with`.

    Args:
        source: path of a file, "webcam" or "webcam:1"; the number alone will do.

    Attributes:
        name: for results: the file's name without suffix, or webcam0.
        fps: frames a second.
        size: (height, width) of the upright frames.
        frame_count: as the file says, for a progress bar; None where it does not.
        problem: after the last frame: what was missing at the end of the file, None where all is well.

    Raises:
        UserError: there is no such file or webcam, or it cannot be decoded.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        index = webcam_index(source)
        self.name = Path(source).stem if index is None else f"webcam{index}"
        self._capture = _open_file(source) if index is None else _open_webcam(index)
        has_frame, frame = self._capture.read()
        if not has_frame:
            self._capture.release()
            raise UserError(
                f"{source}: not one frame can be decoded; convert it, e.g. `ffmpeg -i IN -c:v mpeg4 OUT.mp4`"
            )
        self._first: Image8 | None = frame
        self.size: tuple[int, int] = frame.shape[:2]
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(fps) if math.isfinite(fps) and 0 < fps <= HIGHEST_FPS else USUAL_FPS
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frame_count = round(count) if index is None and math.isfinite(count) and count > 0 else None
        self.problem: str | None = None

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[Image8]:
        """Yield the frames, once."""
        frame, self._first = self._first, None
        seen = 0
        while frame is not None:
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            seen += 1
            has_frame, following = self._capture.read()
            frame = following if has_frame else None
        if self.frame_count is not None and seen < (1 - COUNT_TOLERANCE) * self.frame_count - 1:
            self.problem = f"{self._source}: ends after {seen} of {self.frame_count} frames; the file is cut or damaged"


def _open_file(source: str) -> cv2.VideoCapture:
    if not Path(source).is_file():
        raise UserError(f"{source}: no such video file; give a file, or webcam:0 for the first webcam")
    with _quiet_opencv():
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise UserError(
            f"{source}: is no video that OpenCV can read; convert it, e.g. `ffmpeg -i IN -c:v mpeg4 OUT.mp4`"
        )
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # phones store frames on their side, and how to turn them
    return capture


def _open_webcam(index: int) -> cv2.VideoCapture:
    with _quiet_opencv():
        capture = cv2.VideoCapture(index)
    if not capture.isOpened():
        raise UserError(
            f"webcam:{index}: cannot be opened; is it plugged in, allowed to this user, and free? On Linux "
            "`ls /dev/video*` lists what there is"
        )
    return capture


class VideoWriter:
    """Writes a video, whole or not at all; to be used in a `with`, which puts the file in its place at the end.

    Sides of videos are even: an odd one gets one more row or column, equal to the last.

    Args:
        path: .mkv for `lossless`, else .mp4.
        fps: frames a second.
        size: (height, width) of the frames.
        lossless: keep every grey value, for masks and probabilities.
        grey: frames are (H, W); else they are (H, W, 3) RGB.

    Raises:
        UserError: the suffix is another, or the file cannot be written.
    """

    def __init__(
        self, path: Path, *, fps: float, size: tuple[int, int], lossless: bool = False, grey: bool = False
    ) -> None:
        suffix, codec = CODECS[lossless]
        if path.suffix != suffix:
            raise UserError(f"{path}: {'lossless' if lossless else 'ordinary'} videos are written as {suffix}")
        self._path, self._size, self._grey = path, size, grey
        self._frames = 0
        self._padding = (0, size[0] % 2, 0, size[1] % 2)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = path.with_name(f".{path.stem}.partial{suffix}")  # OpenCV tells the container by the suffix
        width_height = (size[1] + size[1] % 2, size[0] + size[0] % 2)
        fourcc = cv2.VideoWriter.fourcc(*codec)
        with _quiet_opencv():
            self._writer = cv2.VideoWriter(str(self._partial), cv2.CAP_FFMPEG, fourcc, fps, width_height, not grey)
        if not self._writer.isOpened():
            raise UserError(f"{path}: cannot be written; is the folder writable, and does this OpenCV have FFmpeg?")

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, image: Image8) -> None:
        """Add a frame.

        Args:
            image: (H, W) uint8 grey or (H, W, 3) uint8 RGB, as was said.

        Raises:
            ValueError: another shape or type.
        """
        wanted = self._size if self._grey else (*self._size, 3)
        if image.shape != wanted or image.dtype != np.uint8:
            raise ValueError(f"expected a frame {wanted} uint8, found {image.shape} {image.dtype}")
        even = cv2.copyMakeBorder(image, *self._padding, cv2.BORDER_REPLICATE)
        self._writer.write(even if self._grey else cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
        self._frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self._writer.release()
        try:
            # Ctrl+C is how a webcam's video ends.
            if (kind is None or kind is KeyboardInterrupt) and self._frames:
                self._check()
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)
        return False

    def _check(self) -> None:
        """Read the last frame back: OpenCV does not tell when the disk is full."""
        capture = cv2.VideoCapture(str(self._partial), cv2.CAP_FFMPEG)
        capture.set(cv2.CAP_PROP_POS_FRAMES, self._frames - 1)
        is_whole = capture.isOpened() and capture.read()[0]
        capture.release()
        if not is_whole:
            raise UserError(f"{self._path}: the video did not become whole; is the disk full? Nothing was left behind")


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from printing what the error message says better."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
