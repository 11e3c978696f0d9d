"""Arrays that all processes of a machine share: one memory-mapped file, filled as it is asked for.

The file lies in `$OCCFACE_CACHE`, or in `occface-{user id}` of the temporary folder. It holds the number of bytes in
use, a table (offset, height, width, channels) and the arrays, and starts as zeros, which is the empty table: two
processes that make it at once make the same. Writers take turns by a lock on the file; readers need none, because an
array is written before its place in the table. The file is sparse, never grows above its budget, and is named by a
hash of all that the arrays are made from, so a changed source has another file. Files that nobody opened for a week
are removed, and the oldest when all take more than four budgets.

Where no such file can be made or written (read-only or full disk, another system), each process keeps arrays for
itself, in an eighth of the budget.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

try:
    import fcntl
except ImportError:  # not a Unix: every process on its own
    fcntl = None  # type: ignore[assignment, unused-ignore]

Image8 = NDArray[np.uint8]
MEMORY_BUDGET_BYTES = 2 * 1024**3
SMALL_BYTES = 64 * 1024**2  # arrays that together cannot grow above this are not worth a file
FOLDER_VARIABLE = "OCCFACE_CACHE"
SUFFIX = ".arrays"
UNUSED_AFTER_S = 7 * 24 * 3600
FOLDER_BYTES = 4 * MEMORY_BUDGET_BYTES
PRIVATE_SHARE = 1 / 8  # of the budget, where sharing fails: several processes then hold the same
PAGE_BYTES = 4096
_FIRST_ROW_BYTES, _ROW_BYTES = 64, 32

_turn = threading.Lock()  # locks on files do not hold between threads


def _renew_turn() -> None:
    global _turn  # a thread that held it does not exist in the child
    _turn = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_turn)


class Arrays(Protocol):
    """Read-only uint8 arrays (h, w, c) by number."""

    def get(self, number: int) -> Image8 | None:
        """Return array `number`, None where it is not kept."""
        ...

    def put(self, number: int, array: Image8) -> Image8:
        """Return `array`, read-only, after keeping it if there is room; nothing is ever thrown out for it."""
        ...


class PrivateArrays:
    """Arrays of this process alone. A copy in another process starts empty."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._kept: dict[int, Image8] = {}
        self._used_bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"budget_bytes": self.budget_bytes, "_kept": {}, "_used_bytes": 0}

    def get(self, number: int) -> Image8 | None:
        """Return array `number`, None where it is not kept."""
        return self._kept.get(number)

    def put(self, number: int, array: Image8) -> Image8:
        """Return `array`, read-only, after keeping it if there is room."""
        array.flags.writeable = False
        if self._used_bytes + array.nbytes <= self.budget_bytes:
            self._kept[number] = array
            self._used_bytes += array.nbytes
        return array


class SharedArrays:
    """Arrays of all processes that opened the same key. Pickles to a name; see the module for how it works.

    Args:
        key: hash of everything that the arrays are made from.
        count: how many numbers there are.
        budget_bytes: of all arrays together.
    """

    def __init__(self, key: str, *, count: int, budget_bytes: int) -> None:
        self.key, self.count, self.budget_bytes = key, count, budget_bytes
        self._views: dict[int, Image8] = {}
        self._private = PrivateArrays(int(budget_bytes * PRIVATE_SHARE))
        self._file: int | None = None
        self._map: mmap.mmap | None = None
        self._failed = False

    def __getstate__(self) -> dict[str, Any]:
        return {"key": self.key, "count": self.count, "budget_bytes": self.budget_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)  # arrays that are still in use keep the mapping

    def get(self, number: int) -> Image8 | None:
        """Return array `number`, None where no process has kept it yet."""
        found = self._views.get(number)
        if found is None and self._open():
            found = self._view(number)
        return self._private.get(number) if found is None else found

    def put(self, number: int, array: Image8) -> Image8:
        """Return `array` or the shared copy of it, read-only; where the budget is used up it is not kept."""
        array.flags.writeable = False
        if not self._open():
            return self._private.put(number, array)
        try:
            self._write(number, array)
        except OSError as error:
            self._give_up(error)
            return self._private.put(number, array)
        kept = self._view(number)
        return array if kept is None else kept

    @property
    def _data_start(self) -> int:
        return -(-(_FIRST_ROW_BYTES + _ROW_BYTES * self.count) // PAGE_BYTES) * PAGE_BYTES

    def _open(self) -> bool:
        """Return whether the shared file can be used."""
        if self._map is None and not self._failed:
            try:
                self._file, self._map = _open_file(self.key, self._data_start + self.budget_bytes)
            except (OSError, ValueError) as error:
                self._give_up(error)
        return not self._failed

    def _give_up(self, error: Exception) -> None:
        self._failed = True
        warnings.warn(
            f"occluders cannot be shared between processes ({error}); each keeps its own, which takes more memory and "
            f"time. Set {FOLDER_VARIABLE} to a folder on a local disk with {self.budget_bytes / 2**30:.1f} GiB free",
            stacklevel=2,
        )

    def _view(self, number: int) -> Image8 | None:
        assert self._map is not None
        offset, *shape = np.frombuffer(self._map, np.int64, 4, _FIRST_ROW_BYTES + _ROW_BYTES * number).tolist()
        size = int(np.prod(shape))
        if offset < self._data_start or size <= 0 or offset + size > len(self._map):
            return None
        self._views[number] = np.frombuffer(self._map, np.uint8, size, offset).reshape(shape)
        return self._views[number]

    def _write(self, number: int, array: Image8) -> None:
        assert self._file is not None
        row = _FIRST_ROW_BYTES + _ROW_BYTES * number
        with _turn, _locked(self._file):
            if self._view(number) is not None:
                return  # another process was faster
            used = int.from_bytes(os.pread(self._file, 8, 0), "little")
            if used + array.nbytes > self.budget_bytes:
                return
            offset = self._data_start + used
            _write_all(self._file, np.ascontiguousarray(array).tobytes(), offset)
            os.pwrite(self._file, (used + array.nbytes).to_bytes(8, "little"), 0)
            os.pwrite(self._file, np.array(array.shape, np.int64).tobytes(), row + 8)
            os.pwrite(self._file, offset.to_bytes(8, "little"), row)


def open_arrays(
    paths: Sequence[Path],
    *,
    made_by: tuple[object, ...],
    code: Sequence[Path],
    count: int,
    budget_bytes: int,
    bound_bytes: int,
) -> Arrays:
    """Return where to keep `count` arrays made from `paths`: shared, unless they are small.

    Args:
        paths: the sources; a change of name, size or time of one starts anew.
        made_by: what else decides the bytes.
        code: files of the program that make the arrays: what older code made is not taken.
        budget_bytes: of all arrays that are kept.
        bound_bytes: they cannot be larger together.
    """
    if bound_bytes <= SMALL_BYTES:
        return PrivateArrays(budget_bytes)
    # The time of change beside that of the content: the latter can be set, and is set when the clock was put back.
    states = [
        (str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        for path in paths
        for stat in (path.stat(),)
    ]
    parts = (
        states,
        made_by,
        count,
        budget_bytes,
        cv2.__version__,
        np.__version__,
        [path.read_bytes() for path in code],
    )
    key = hashlib.sha256(repr(parts).encode(errors="surrogateescape")).hexdigest()
    return SharedArrays(key[:32], count=count, budget_bytes=budget_bytes)


def cache_folder() -> Path:
    """Return the folder of shared files, made for this user alone.

    Raises:
        OSError: it cannot be made, or belongs to somebody else.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"occface-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not named and folder.lstat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    return folder


def _open_file(key: str, size_bytes: int) -> tuple[int, mmap.mmap]:
    if fcntl is None:
        raise OSError("no file locks on this system")
    folder = cache_folder()
    _remove_unused(folder)
    file = os.open(folder / f"{key}{SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(file).st_size != size_bytes:
            os.ftruncate(file, size_bytes)
        os.utime(file)
        return file, mmap.mmap(file, size_bytes, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
    except BaseException:
        os.close(file)
        raise


def _remove_unused(folder: Path) -> None:
    """Remove files that nobody opened for long, and the oldest of too many; who has one open keeps its content."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError):
            state = path.stat()
            found.append((state.st_mtime, state.st_blocks * 512, path))
    kept_bytes = 0
    for opened_s, on_disk_bytes, path in sorted(found, reverse=True):
        kept_bytes += on_disk_bytes
        if time.time() - opened_s > UNUSED_AFTER_S or kept_bytes > FOLDER_BYTES:
            with contextlib.suppress(OSError):
                path.unlink()


@contextlib.contextmanager
def _locked(file: int) -> Iterator[None]:
    fcntl.lockf(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN)


def _write_all(file: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
