"""A lock on an output folder, so that two runs do not write into it at once.

It is the operating system's lock, which ends with the processes that hold it, however they end. Runs of single shards
share the folder and lock their shard; a run of the whole job wants the folder for itself.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.shards import Shard

fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None

LOCK_NAME = ".lock"
PATIENCE_S = 3.0  # workers of a killed run hold its lock until they notice, within half a second


_own: set[int] = set()  # locks that end with this very process, whatever its children do


def _drop_own() -> None:
    for lock in _own:
        os.close(lock)
    _own.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_own)


@contextlib.contextmanager
def hold_folder(folder: Path, shard: Shard | None, *, with_children: bool = True) -> Iterator[bool]:
    """Hold the folder, or one shard of it, and yield whether no other run can be at work in it.

    It is made if it is not there, and removed again if it was left empty. On file systems without locks nothing is held
    and the answer is False.

    Args:
        shard: the part that is worked on, None for all.
        with_children: whether processes that are forked meanwhile hold it, too, as those must that write into it.

    Raises:
        UserError: another run holds it.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if shard is None:
        try:
            with _hold(folder / LOCK_NAME, shared=False, told=str(folder), with_children=with_children) as held:
                yield held
        finally:
            if made:
                with contextlib.suppress(OSError):  # it holds something
                    folder.rmdir()
        return
    with (
        _hold(folder / LOCK_NAME, shared=True, told=str(folder)),
        _hold(folder / f"{LOCK_NAME}{shard.suffix}", shared=False, told=f"{folder}, shard {shard}"),
    ):
        yield False


@contextlib.contextmanager
def _hold(path: Path, *, shared: bool, told: str, with_children: bool = True) -> Iterator[bool]:
    lock = _acquire(path, shared=shared, told=told)
    if lock is None:
        yield False
        return
    if not with_children:
        _own.add(lock)
    try:
        if not shared:
            os.ftruncate(lock, 0)
            os.write(lock, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield True
    finally:
        if not shared:
            path.unlink(missing_ok=True)  # while it is held: nobody else can be between opening and locking it
        _own.discard(lock)
        os.close(lock)


def _acquire(path: Path, *, shared: bool, told: str) -> int | None:
    """Return the descriptor of the locked file, None where locks are not supported."""
    if fcntl is None:
        return None
    end_s = time.monotonic() + PATIENCE_S
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            if _is_file(lock, path):
                return lock
            os.close(lock)  # its last holder has removed it meanwhile
        except BlockingIOError:
            holder = os.read(lock, 200).decode(errors="replace") or "runs of single shards"
            os.close(lock)
            if time.monotonic() > end_s:
                raise UserError(
                    f"{told}: another run is at work here ({holder}); wait until it ends, stop it, or choose another "
                    "output folder"
                ) from None
            time.sleep(0.1)
        except OSError:
            os.close(lock)
            return None


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
