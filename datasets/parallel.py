"""A function over many files, on one process or on several, with a progress bar."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TypeVar

import cv2
from tqdm import tqdm

ALONE_BELOW = 256  # files that one process reads sooner than others would start
CHUNK = 8
Item = TypeVar("Item")
Result = TypeVar("Result")


def each(work: Callable[[Item], Result], items: Sequence[Item], *, processes: int, title: str) -> Iterator[Result]:
    """Yield what `work`, a function that can be pickled, makes of each item, in order."""
    bar = partial(tqdm, desc=title, total=len(items), unit="file", leave=False)
    if processes <= 1 or len(items) < ALONE_BELOW:
        yield from bar(map(work, items))
        return
    # Spawned, not forked: a fork would copy the locks of whatever threads the caller has started.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_single_thread) as pool:
        yield from bar(pool.map(work, items, chunksize=CHUNK))


def _single_thread() -> None:
    cv2.setNumThreads(1)
