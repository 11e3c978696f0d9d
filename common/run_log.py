"""What a run tells while it goes: progress bar, log.txt, metrics.jsonl and TensorBoard, from one process alone."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from common.run_dir import append_metrics

Item = TypeVar("Item")
log = logging.getLogger("occface")


class RunLog:
    """Writes into the run folder between `with` and its end; on other processes than the first it does nothing.

    Args:
        run_dir: the run folder, which exists.
        active: whether this is the process that tells.
        total: images of the whole run.
        initial: images seen before.
    """

    def __init__(self, run_dir: Path, *, active: bool, total: int, initial: int) -> None:
        self.run_dir = run_dir
        self.active = active
        self._bar = tqdm(
            total=total, initial=initial, unit="image", desc="train", smoothing=0.05, disable=not active
        )  # fmt: skip
        self._board = SummaryWriter(str(run_dir / "tensorboard")) if active else None
        self._handlers: list[logging.Handler] = []
        self._level = log.level

    def __enter__(self) -> RunLog:
        log.setLevel(logging.INFO if self.active else logging.ERROR)
        if self.active:
            self._handlers = [logging.FileHandler(self.run_dir / "log.txt"), logging.StreamHandler()]
        for handler in self._handlers:
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
            log.addHandler(handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        if self._board is not None:
            self._board.close()
        log.setLevel(self._level)
        for handler in self._handlers:
            log.removeHandler(handler)
            handler.close()

    def advance(self, images: int) -> None:
        """Move the progress bar."""
        self._bar.update(images)

    def metrics(self, images: int, kind: str, values: Mapping[str, float]) -> None:
        """Write one line of metrics and the same to TensorBoard; `train` shows at the progress bar too."""
        if self._board is None:
            return
        finite = {name: round(value, 6) for name, value in values.items() if math.isfinite(value)}  # JSON knows no NaN
        append_metrics(self.run_dir, {"images": images, "kind": kind, **finite})
        for name, value in values.items():
            self._board.add_scalar(f"{kind}/{name}", value, images)
        if kind == "train":
            self._bar.set_postfix(loss=f"{values['loss']:.3f}", waiting=f"{values['waiting_share']:.0%}")


class Pace:
    """Loss, speed and waiting since the last report.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Forget what was: what took time since then is none of training."""
        self._start_s, self._waited_s, self._images = self._clock(), 0.0, 0
        self._losses: list[float] = []

    def timed(self, batches: Iterable[Item]) -> Iterator[Item]:
        """Yield `batches`, and count how long each was waited for."""
        iterator = iter(batches)
        while True:
            asked_s = self._clock()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited_s += self._clock() - asked_s
            yield batch

    def add(self, images: int, *, loss: float | None) -> None:
        """Count the images of a step, and its loss unless it was not taken."""
        self._images += images
        if loss is not None:
            self._losses.append(loss)

    def report(self) -> dict[str, Any]:
        """Return mean loss of the steps that were taken, images/s and the share of time spent waiting; begin anew."""
        took_s = max(self._clock() - self._start_s, 1e-9)
        found = {
            "loss": sum(self._losses) / max(1, len(self._losses)),
            "images_per_s": self._images / took_s,
            "waiting_share": min(1.0, self._waited_s / took_s),
        }
        self.restart()
        return found
