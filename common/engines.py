"""Engines: what does the records of a job. Processes of this machine here, a Ray cluster in `common/ray_engine.py`.

An engine yields the row of every record, in any order. Which engine worked and with how many workers changes no byte.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from common.errors import RecordError, UserError
from common.manifest import Row

PARENT_CHECK_S = 0.5
MAX_CHUNK = 16
KEPT_BYTES = 16_000_000  # above what one crop needs at once; the C library does not go beyond 32 MiB
MAX_DEATHS_IN_A_ROW = 16
CV2_NO_MEMORY = -4
MORE_MEMORY = "run the same command again with fewer workers or on a larger machine, or leave this record out"


class Record(Protocol):
    """Anything with a unique `id` that can be sent to another process."""

    @property
    def id(self) -> str:
        """Name of the record, unique in a job."""
        ...


Work = Callable[[Any], Row]


class Engine(Protocol):
    """A way to have records done."""

    def __call__(self, work: Work, records: Sequence[Record], *, folder: Path) -> Generator[Row, None, None]:
        """Yield a row for every record as it is done, in any order.

        Args:
            work: picklable; returns the row of a record or raises `RecordError`.
            folder: where `work` writes.
        """
        ...


@dataclass(frozen=True)
class LocalEngine:
    """Processes of this machine; 1 works in this process.

    A worker that is killed (by the system for want of memory, say) takes no other record with it than the one it had
    in hand. That one goes again at the end, and when it costs a second worker it becomes a row "worker_died".
    """

    processes: int = 1

    def __call__(self, work: Work, records: Sequence[Record], *, folder: Path) -> Generator[Row, None, None]:
        """Yield a row for every record; see `Engine`.

        Raises:
            UserError: workers die one after another without finishing anything.
        """
        prepare_process()  # before forking: OpenCV's thread pool does not survive a fork
        if self.processes <= 1 or len(records) <= 1:
            return (guarded(work, record) for record in records)
        return _Pool(work, records, self.processes).rows()


class Fault(NamedTuple):
    """An error of the program in a worker, on its way to the process that handed out the record."""

    error: Exception
    traceback: str


def guarded(work: Work, record: Record) -> Row:
    """Return the row of `record`, also when it cannot be used."""
    try:
        return work(record)
    except RecordError as error:
        return {"id": record.id, "outcome": error.outcome, "reason": str(error)}
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and error.code != CV2_NO_MEMORY:
            raise
        reason = f"{record.id}: there was not enough memory for it; {MORE_MEMORY}"
        return {"id": record.id, "outcome": "out_of_memory", "reason": reason}


def attempt(work: Work, record: Record) -> Row | Fault:
    """Return the row of `record`, or what went wrong, in a form that can be sent to another process."""
    try:
        return guarded(work, record)
    except Exception as error:
        return Fault(_picklable(error), traceback.format_exc())


def row_of(answer: Row | Fault) -> Row:
    """Return the row, or raise the error that `attempt` caught."""
    if isinstance(answer, Fault):
        answer.error.add_note(f"\nIn the worker:\n{answer.traceback}")
        raise answer.error
    return answer


def died_row(record: Record) -> Row:
    """Return the row of a record whose worker was killed each time."""
    return {
        "id": record.id,
        "outcome": "worker_died",
        "reason": f"{record.id}: the process that worked on it was killed, also in another try, most often for want of "
        f"memory; {MORE_MEMORY}",
    }


def chunks_of(records: Sequence[Record], workers: int) -> Iterator[list[Record]]:
    """Yield the records in lists that are sent at once: long enough to be cheap, short enough to end together."""
    size = max(1, min(MAX_CHUNK, len(records) // (4 * workers)))
    return (list(records[at : at + size]) for at in range(0, len(records), size))


def prepare_process() -> None:
    """Set this process up for image after image: OpenCV on one thread, and memory of freed arrays at hand.

    The C library of Linux gives large arrays back to the system as they are freed, and has the next ones handed out
    page by page, which takes a tenth of the time of aligning. One array of `KEPT_BYTES`, freed, moves its limit there.

    Source: mallopt(3), on M_MMAP_THRESHOLD; no other library minds.
    """
    cv2.setNumThreads(1)
    np.empty(KEPT_BYTES, np.uint8)


def return_freed_memory() -> None:
    """Give memory that was freed back to the system, which others, or the next large array, can then have.

    Arrays of changing sizes leave holes in what the C library of Linux keeps, in each thread's part of it, and over
    thousands of photos these grow. A call takes milliseconds. Elsewhere nothing is done.

    Source: malloc_trim(3).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def default_processes() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """A process, and the records that it was given and has not answered, in order."""

    def __init__(self, work: Work) -> None:
        # Forked, so that the work (with an occluder library, say) is shared and not sent.
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        context: Any = multiprocessing.get_context(method)
        self.connection, end = context.Pipe()
        self.process = context.Process(target=_serve, args=(end, work, os.getpid()), daemon=True)
        self.process.start()
        end.close()  # the worker's own copy is the only one, so that the pipe breaks when it dies
        self.given: deque[Record] = deque()

    def give(self, chunk: list[Record] | None) -> None:
        """Send records, or None to end it."""
        self.given.extend(chunk or ())
        with contextlib.suppress(BrokenPipeError):  # it was killed a moment ago; the next look at its pipe tells
            self.connection.send(chunk)

    def close(self) -> None:
        self.process.join()
        self.connection.close()


class _Pool:
    """Workers, and the chunks of records that wait for one."""

    def __init__(self, work: Work, records: Sequence[Record], processes: int) -> None:
        self.work = work
        self.processes = processes
        self.waiting = deque(chunks_of(records, processes))
        self.busy: dict[object, _Worker] = {}  # by connection
        self.deaths: Counter[str] = Counter()
        self.deaths_in_a_row = 0

    def rows(self) -> Generator[Row, None, None]:
        """Yield the row of every record."""
        try:
            while self.waiting or self.busy:
                while self.waiting and len(self.busy) < self.processes:
                    worker = _Worker(self.work)
                    self.busy[worker.connection] = worker
                    worker.give(self.waiting.popleft())
                for connection in wait([worker.connection for worker in self.busy.values()]):
                    yield from self._answered(self.busy[connection])
        finally:
            for worker in self.busy.values():
                worker.process.kill()
                worker.close()

    def _answered(self, worker: _Worker) -> Iterator[Row]:
        try:
            answer = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(worker)
            return
        self.deaths_in_a_row = 0
        worker.given.popleft()
        if not worker.given and self.waiting:
            worker.give(self.waiting.popleft())
        elif not worker.given:
            del self.busy[worker.connection]
            worker.give(None)
            worker.close()
        yield row_of(answer)

    def _bury(self, worker: _Worker) -> Iterator[Row]:
        """Hand the records of a dead worker on; the one it had in hand goes last, when fewest run beside it."""
        del self.busy[worker.connection]
        worker.close()
        victim = worker.given.popleft()
        self.deaths[victim.id] += 1
        self.deaths_in_a_row += 1
        if self.deaths_in_a_row > max(MAX_DEATHS_IN_A_ROW, 4 * self.processes):
            raise UserError(
                "worker processes are killed one after another, most often for want of memory; run the same command "
                "again, which goes on where it stopped, with fewer `--processes`"
            )
        if worker.given:
            self.waiting.appendleft(list(worker.given))
        if self.deaths[victim.id] > 1:
            yield died_row(victim)
        else:
            self.waiting.append([victim])


def _serve(connection: Connection, work: Work, parent: int) -> None:
    """Answer chunks of records until None comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    prepare_process()
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        while (chunk := connection.recv()) is not None:
            for record in chunk:
                connection.send(attempt(work, record))


def _end_with_parent(parent: int) -> None:
    """Leave when the process that hands out records is gone: a killed one cannot tell its workers to stop."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
