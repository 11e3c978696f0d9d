"""The engine for a Ray cluster: many machines that share a file system.

The work goes into Ray's object store once and to each worker once; records travel in chunks, rows come back. A node
that dies takes nothing with it: its chunks go to other workers, files have their names only when they are whole, and
the same record gives the same bytes wherever it is done, so that doing it twice is doing it once.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import tempfile
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from common.engines import Fault, Record, Work, attempt, chunks_of, died_row, prepare_process, row_of
from common.errors import UserError
from common.manifest import Row

REPOSITORY = Path(__file__).resolve().parents[1]
MAX_DEATHS = 3  # of workers or nodes that one record may cost
KNOCK_S = 10.0
SHARED_WAIT_S = 10.0  # network file systems show new files with a delay


@dataclass(frozen=True)
class RayEngine:
    """A Ray cluster.

    Attributes:
        address: "host:port" of a running cluster; "auto": the one that this machine belongs to; None: start one of
            this machine alone and stop it at the end.
        processes: workers of a cluster that is started here; None: all cores.
    """

    address: str | None = None
    processes: int | None = None

    def __call__(self, work: Work, records: Sequence[Record], *, folder: Path) -> Generator[Row, None, None]:
        """Yield a row for every record; see `common.engines.Engine`.

        Raises:
            UserError: Ray is not installed, the cluster cannot be reached, or its nodes do not see `folder`.
        """
        if not records:
            return
        ray = _import_ray()
        with _cluster(ray, self), tempfile.NamedTemporaryFile(prefix=".ray.", suffix=".partial", dir=folder) as seen:
            errand = ray.put(_Errand(work, Path.cwd(), Path(seen.name).resolve()))
            yield from _rows(ray, errand, records)


class _Errand(NamedTuple):
    """What every worker gets once: the work, the folder to run in, and a file that a shared file system shows."""

    work: Work
    working_directory: Path
    shown: Path


def _import_ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UserError(
            f"engine=ray needs Ray ({error}); install it on every node: pip install -r requirements-ray.txt"
        ) from error


@contextlib.contextmanager
def _cluster(ray: Any, engine: RayEngine) -> Iterator[None]:
    """Be connected to the cluster; a connection that is there already is used and left as it is."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a job sends nothing to anybody
    here = {"num_cpus": engine.processes, "include_dashboard": False} if engine.address is None else {}
    try:
        _knock(engine.address)
        ray.init(address=engine.address or "local", log_to_driver=False, logging_level="ERROR", **here)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"ray_address={engine.address}: no Ray cluster can be reached there ({str(error).splitlines()[0]}); start "
            "one with `ray start --head` and name its host:port, or `auto` on one of its machines; set "
            "RAY_AUTH_MODE=token if it wants a token; leave ray_address out to start a cluster here"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise an OSError if nobody listens at "host:port"; Ray itself takes minutes to find out."""
    host, separator, port = (address or "").rpartition(":")
    if separator and port.isdigit():
        socket.create_connection((host, int(port)), timeout=KNOCK_S).close()


def _rows(ray: Any, errand: Any, records: Sequence[Record]) -> Generator[Row, None, None]:
    paths = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    start = ray.remote(num_cpus=1, runtime_env={"env_vars": {"PYTHONPATH": paths}})(_Worker).remote
    waiting = deque(chunks_of(records, _cores(ray)))
    busy: dict[Any, tuple[Any, list[Record]]] = {}  # reference to the answers -> worker, its chunk
    deaths: Counter[str] = Counter()

    def give(worker: Any) -> None:
        chunk = waiting.popleft()
        busy[worker.answers.remote(chunk)] = worker, chunk

    try:
        while waiting or busy:
            while waiting and len(busy) < _cores(ray):  # nodes come and go
                give(start([errand]))
            done, _ = ray.wait(list(busy))
            worker, chunk = busy.pop(done[0])
            answers = _fetch(ray, done[0])
            if answers is None:  # node or worker died; apart, the records beside one that kills workers are saved
                deaths.update(record.id for record in chunk)
                waiting.extend([record] for record in chunk if deaths[record.id] < MAX_DEATHS)
                yield from (died_row(record) for record in chunk if deaths[record.id] >= MAX_DEATHS)
                continue
            if waiting:
                give(worker)
            else:
                ray.kill(worker)  # its core is free for a worker that still waits for one
            yield from (row_of(answer) for answer in answers)
    finally:
        for worker, _ in busy.values():
            ray.kill(worker)


def _cores(ray: Any) -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _fetch(ray: Any, answer: Any) -> list[Row | Fault] | None:
    """Return the answers of a task, None when its worker died in every try."""
    try:
        return ray.get(answer)
    except ray.exceptions.RaySystemError as error:
        raise UserError(f"the Ray cluster has failed; the same command goes on where it stopped: {error}") from error
    except ray.exceptions.RayError as error:
        # What the work itself raises comes back as an answer: an error of Python means that it never began.
        if isinstance(error, ray.exceptions.RayTaskError) or getattr(error, "actor_init_failed", False):
            raise UserError(
                f"a Ray worker could not start; every node needs {REPOSITORY}, the same Python and the same installed "
                f"requirements: {error}"
            ) from error
        return None


class _Worker:
    """Does chunks of records; a process somewhere in the cluster.

    Args:
        boxed_errand: a reference in a list, which Ray leaves for the worker to fetch.
    """

    def __init__(self, boxed_errand: list[Any]) -> None:
        self._reference = boxed_errand[0]
        self._work: Work | None = None

    def answers(self, records: Sequence[Record]) -> list[Row | Fault]:
        """Return what became of the records, or the one fault that kept the worker from starting."""
        try:
            self._work = self._work or _take_up(_import_ray().get(self._reference))
        except UserError as error:
            return [Fault(error, "")]
        return [attempt(self._work, record) for record in records]


def _take_up(errand: _Errand) -> Work:
    """Return the work, after going where the driver is, so that relative paths mean the same."""
    end_s = time.monotonic() + SHARED_WAIT_S
    while not errand.shown.exists():
        if time.monotonic() > end_s:
            raise UserError(
                f"{errand.shown.parent}: the node {socket.gethostname()} does not see this folder as the others do; "
                "all nodes need one shared file system under the same path"
            )
        time.sleep(0.1)
    try:
        os.chdir(errand.working_directory)
    except OSError as error:
        raise UserError(
            f"{errand.working_directory}: cannot be entered on the node {socket.gethostname()} ({error.strerror}); "
            "all nodes need the repository under the same path, on a shared file system"
        ) from error
    prepare_process()
    return errand.work
