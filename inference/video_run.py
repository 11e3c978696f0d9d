"""A video or a webcam through the model: videos of the results, and one line a frame of what was found.

    OUTPUT/{visible,full,occluder,probability}/{name}.mkv   grey, lossless
    OUTPUT/{overlay,triptych}/{name}.mp4                    for looking at
    OUTPUT/frames/{name}.jsonl                              a line a frame: its faces, each with the number of its track

Files get their names when they are whole. A video that was stopped is done again; Ctrl+C ends a webcam's properly.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

from common.errors import UserError
from common.manifest import Row, encode_row, sha256
from common.photo_list import Photo
from inference.faces import face_row
from inference.outputs import PICTURES, render
from inference.photo_masks import Image8
from inference.video import VideoReader, VideoWriter, webcam_index
from inference.video_segmenter import FrameMasks, VideoSegmenter

FRAMES = "frames"
NO_VIDEO = ("cutout",)  # videos that players show have no alpha


def video_of(source: str) -> Photo:
    """Return what a video is called among the rows: its file name, or webcam0."""
    index = webcam_index(source)
    return Photo(Path(source).name, Path(source)) if index is None else Photo(f"webcam{index}", Path(source))


def video_kinds(kinds: Sequence[str], *, asked: bool) -> tuple[str, ...]:
    """Return the kinds that are written of a video.

    Args:
        kinds: of `inference.outputs.KINDS`.
        asked: whether the user named them.

    Raises:
        UserError: one was asked for that cannot be a video.
    """
    if asked and (impossible := [kind for kind in kinds if kind in NO_VIDEO]):
        raise UserError(f"--save {','.join(impossible)}: not of videos, which have no alpha; take visible or overlay")
    return tuple(kind for kind in kinds if kind not in NO_VIDEO)


def run_video(
    reader: VideoReader,
    segmenter: VideoSegmenter,
    *,
    video: Photo,
    folder: Path,
    kinds: Sequence[str],
    max_frames: int | None = None,
) -> Row:
    """Return the row of a video after writing its results.

    Args:
        reader: of the video, fresh.
        segmenter: for its frame rate.
        video: how it is called.
        folder: to write into.
        kinds: of `inference.outputs.KINDS`, without those of `NO_VIDEO`.
        max_frames: stop after so many.

    Raises:
        UserError: a file cannot be written.
    """
    paths = {kind: f"{kind}/{reader.name}.{'mp4' if kind in PICTURES else 'mkv'}" for kind in kinds}
    paths[FRAMES] = f"{FRAMES}/{reader.name}.jsonl"
    is_webcam = webcam_index(str(video.path)) is not None
    with contextlib.ExitStack() as stack:
        files = stack.enter_context(_FrameFiles(folder, paths, fps=reader.fps))
        progress = stack.enter_context(tqdm(desc="infer", total=_total(reader, max_frames), unit="frame"))
        stack.enter_context(contextlib.suppress(*([KeyboardInterrupt] if is_webcam else [])))
        for image in itertools.islice(reader, max_frames):
            files.write(image, segmenter(image, name=reader.name))
            progress.update()
    return {
        "id": video.id,
        "outcome": "ok" if files.faces else "no_face",
        "source_sha256": None if is_webcam else sha256(video.path),
        "photo_size": list(reader.size),
        "frames": files.frames,
        "problem": reader.problem,
        "files": paths,
        "sha256": {kind: sha256(folder / path) for kind, path in paths.items()},
    }


class _FrameFiles:
    """All files of a video, which get their names together when the last frame was written."""

    def __init__(self, folder: Path, paths: Mapping[str, str], *, fps: float) -> None:
        self._folder, self._paths, self._fps = folder, paths, fps
        self._writers: dict[str, VideoWriter] = {}
        self._lines = folder / paths[FRAMES]
        self._partial = self._lines.with_name(f".{self._lines.name}.partial")
        self._stack = contextlib.ExitStack()
        self.frames = self.faces = 0

    def __enter__(self) -> _FrameFiles:
        self._stack.__enter__()
        self._stack.push(self._finish_lines)
        self._partial.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._partial.open("w", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def write(self, image: Image8, found: FrameMasks) -> None:
        """Add a frame (H, W, 3) uint8 RGB and what was found in it."""
        pictures = {kind: render(kind, image, found.masks) for kind in self._paths if kind != FRAMES}
        for kind, picture in pictures.items():
            if kind not in self._writers:
                self._writers[kind] = self._stack.enter_context(self._new_writer(kind, picture))
            self._writers[kind].write(picture)
        self._stream.write(encode_row(frame_row(self.frames, found)) + "\n")
        self.frames += 1
        self.faces += len(found.masks.faces)

    def _new_writer(self, kind: str, picture: Image8) -> VideoWriter:
        grey = kind not in PICTURES
        size = (picture.shape[0], picture.shape[1])
        return VideoWriter(self._folder / self._paths[kind], fps=self._fps, size=size, lossless=grey, grey=grey)

    def _finish_lines(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if kind is None:
            self._partial.replace(self._lines)
        self._partial.unlink(missing_ok=True)


def frame_row(index: int, found: FrameMasks) -> Row:
    """Return what is known of a frame as plain numbers."""
    faces = [
        {**face_row(face), "track": track, "seen": seen}
        for face, track, seen in zip(found.masks.faces, found.tracks, found.seen, strict=True)
    ]
    return {"frame": index, "is_cut": found.is_cut, "faces": faces}


def _total(reader: VideoReader, max_frames: int | None) -> int | None:
    known = [count for count in (reader.frame_count, max_frames) if count is not None]
    return min(known, default=None)
