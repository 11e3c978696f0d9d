"""Photos through the model at the speed of the machine: reading, finding, predicting and writing overlap.

Three stages share the threads. *Open* reads a photo, finds its faces and cuts their crops; *predict* asks the model;
*write* brings the answers back to the photo and writes the files. Each thread does one thing at a time and the network
runs on one core a call, which on a CPU is faster than one call on all cores; a GPU has a thread of its own and full
batches. Batches are always of the same size, so that no photo's masks depend on which others were done with it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.engines import return_freed_memory
from common.errors import RecordError
from common.image_io import UnreadableImageError, image_size
from common.manifest import Row
from common.photo_list import Photo
from face_align.locate import Location, Locator
from inference.faces import PhotoMasks, Refiner, cut_crops, describe_faces, face_row, merge_faces
from inference.in_order import in_order
from inference.photo_masks import Image8, Probabilities
from inference.sources import read_photo
from models.predictor import CropModel

MOST_PIXELS = 48_000_000  # of photos that one stage holds at once; about 0.2 GB as RGB and a probability map
RETURN_MEMORY_EVERY_S = 1.0
AHEAD_PER_THREAD = 2  # photos of a stage that wait or are worked on, for each thread

# Writes the files of a photo and returns what the row says about them: `files` and `sha256`, by name.
Writer = Callable[[Photo, Image8, PhotoMasks], Row]


class Opened(NamedTuple):
    """A photo whose faces were found.

    Attributes:
        photo: which it is.
        row: what is known so far; complete where the photo cannot be used.
        image: (H, W, 3) uint8 RGB; None where the photo cannot be used.
        locations: of its faces.
        crops: (N, S, S, 3) uint8 RGB.
    """

    photo: Photo
    row: Row
    image: Image8 | None
    locations: list[Location]
    crops: NDArray[np.uint8]


class Answered(NamedTuple):
    """A photo and the model's answers (K, S, S) on its crops."""

    opened: Opened
    answers: list[Probabilities]


@dataclass
class StageTimes:
    """Processor time that the stages took, of all threads together.

    Attributes:
        seconds: stage -> seconds.
    """

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Add the time of the body to `stage`."""
        start_s = time.thread_time()
        try:
            yield
        finally:
            spent_s = time.thread_time() - start_s
            with self._lock:
                self.seconds[stage] += spent_s


class Pipeline:
    """Makes masks of many photos.

    Args:
        model: answers on crops; may be called from several threads.
        new_locator: makes what finds the faces; called once in each thread.
        write: writes the files of a photo.
        threads: worker threads.
        batch_size: crops that the model is asked about at once.
        on_gpu: the model has a device of its own, which one thread keeps busy.
        refiner: see `inference.faces.describe_faces`.

    Attributes:
        times: processor time of each stage.
    """

    def __init__(
        self,
        model: CropModel,
        *,
        new_locator: Callable[[], Locator],
        write: Writer,
        threads: int,
        batch_size: int,
        on_gpu: bool = False,
        refiner: Refiner | None = None,
    ) -> None:
        self.model = model
        self.times = StageTimes()
        self._new_locator = new_locator
        self._write = write
        self._threads = threads
        self._batch_size = batch_size
        self._on_gpu = on_gpu
        self._refiner = refiner
        self._local = threading.local()

    def run(self, photos: Iterable[Photo]) -> Iterator[Row]:
        """Yield the row of each photo, in order, after its files were written.

        A photo that cannot be used gets a row with the reason, and the rest goes on.
        """
        ahead = AHEAD_PER_THREAD * self._threads
        with contextlib.ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(self._threads))
            asking = stack.enter_context(ThreadPoolExecutor(1)) if self._on_gpu else pool
            opened = in_order(
                pool, self.open, photos, ahead=max(ahead, self._batch_size), pixels=_pixels, most_pixels=MOST_PIXELS
            )
            answered = in_order(
                asking, self._ask, self._groups(opened), ahead=ahead, pixels=_held, most_pixels=MOST_PIXELS
            )
            single = (photo for group in answered for photo in group)
            rows = in_order(
                pool, self._finish, single, ahead=ahead, pixels=lambda one: _held([one.opened]), most_pixels=MOST_PIXELS
            )
            for stage in (opened, answered, rows):  # the last is closed first; what has not begun is then left out
                stack.callback(stage.close)
            returned_s = time.monotonic()
            for row in rows:
                yield row
                if time.monotonic() - returned_s > RETURN_MEMORY_EVERY_S:
                    return_freed_memory()
                    returned_s = time.monotonic()

    def open(self, photo: Photo) -> Opened:
        """Return the photo with its faces and crops, or the reason why it cannot be used."""
        none = np.zeros((0, self.model.size, self.model.size, 3), np.uint8)
        try:
            with self.times.of("decode"):
                image, digest = read_photo(photo.path)
            with self.times.of("detect"):
                locations = self._locator()(image, photo.name)
            with self.times.of("crop"):
                crops = cut_crops(image, locations, size=self.model.size)
        except RecordError as error:
            return Opened(photo, {"id": photo.id, "outcome": error.outcome, "reason": str(error)}, None, [], none)
        outcome = "ok" if locations else "no_face"
        row = {"id": photo.id, "outcome": outcome, "source_sha256": digest, "photo_size": list(image.shape[:2])}
        return Opened(photo, row, image, locations, crops)

    def _locator(self) -> Locator:
        if not hasattr(self._local, "locate"):
            self._local.locate = self._new_locator()
        return self._local.locate

    def _groups(self, photos: Iterable[Opened]) -> Iterator[list[Opened]]:
        """Yield photos that are asked about together: as many as fill a batch, or memory."""
        group: list[Opened] = []
        for photo in photos:
            group.append(photo)
            if sum(len(one.crops) for one in group) >= self._batch_size or _held(group) >= MOST_PIXELS // 2:
                yield group
                group = []
        if group:
            yield group

    def _ask(self, group: Sequence[Opened]) -> list[Answered]:
        with self.times.of("network"):
            answers = iter(ask(self.model, np.concatenate([one.crops for one in group]), batch_size=self._batch_size))
            return [Answered(one, [next(answers) for _ in one.crops]) for one in group]

    def _finish(self, photo: Answered) -> Row:
        one = photo.opened
        if one.image is None:
            return one.row
        size = (one.image.shape[0], one.image.shape[1])
        with self.times.of("un-warp"):
            faces = describe_faces(self.model, one.image, one.locations, photo.answers, refiner=self._refiner)
            masks = merge_faces(faces, size, outputs=self.model.outputs, threshold=self.model.threshold)
        with self.times.of("encode"):
            files = self._write(one.photo, one.image, masks)
        return {**one.row, **files, "faces": [face_row(face) for face in faces]}


def ask(model: CropModel, crops: NDArray[np.uint8], *, batch_size: int) -> Iterator[Probabilities]:
    """Yield the model's answer (K, S, S) on each crop; the last batch is filled up to the size of the others.

    Libraries compute batches of other sizes by other routes, whose results differ in the last digits.

    Args:
        model: answers on crops.
        crops: (N, S, S, 3) uint8 RGB.
        batch_size: crops at once.
    """
    for start in range(0, len(crops), batch_size):
        batch = crops[start : start + batch_size]
        missing = batch_size - len(batch)
        filled = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), np.uint8)]) if missing else batch
        yield from model.predict_crops(filled)[: len(batch)]


def _pixels(photo: Photo) -> int:
    """Return the pixels of a photo by its header; 0 where it cannot be read, which is told later."""
    try:
        height, width = image_size(photo.path)
    except UnreadableImageError:
        return 0
    return height * width


def _held(group: Sequence[Opened]) -> int:
    return sum(0 if one.image is None else one.image[..., 0].size for one in group)
