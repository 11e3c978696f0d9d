from __future__ import annotations

import errno
import multiprocessing
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from common import folder_lock
from common.errors import UserError
from common.folder_lock import LOCK_NAME, hold_folder
from common.shards import Shard

FORK: Any = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_lock, "PATIENCE_S", 0.2)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (None, None, r"process \d+ on "),
        (None, Shard(1, 2), r"process \d+ on "),
        (Shard(1, 2), None, "runs of single shards"),
        (Shard(1, 2), Shard(1, 2), "shard 1/2: another run"),
    ],
)
def test_a_folder_is_held_by_one(tmp_path: Path, first: Shard | None, second: Shard | None, message: str) -> None:
    with (
        hold_folder(tmp_path, first),
        pytest.raises(UserError, match=rf"{re.escape(str(tmp_path))}.*{message}"),
        hold_folder(tmp_path, second),
    ):
        pass
    with hold_folder(tmp_path, second) as alone:
        assert alone == (second is None)


def test_shards_work_beside_each_other(tmp_path: Path) -> None:
    with hold_folder(tmp_path, Shard(1, 2)) as one, hold_folder(tmp_path, Shard(2, 2)) as two:
        assert not one
        assert not two


def test_a_run_leaves_no_lock_behind(tmp_path: Path) -> None:
    with hold_folder(tmp_path, Shard(1, 2)):
        pass
    with hold_folder(tmp_path / "deep" / "er", None), hold_folder(tmp_path, None):
        assert (tmp_path / LOCK_NAME).exists()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def _hold_and_tell(folder: Path, held: Any) -> None:
    with hold_folder(folder, None):
        held.set()
        signal.pause()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    held = FORK.Event()
    holder = FORK.Process(target=_hold_and_tell, args=(tmp_path, held))
    holder.start()
    assert held.wait(10)
    with pytest.raises(UserError, match=f"process {holder.pid} on"), hold_folder(tmp_path, None):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert (tmp_path / LOCK_NAME).exists()  # the file is there, the lock is not
    with hold_folder(tmp_path, None) as alone:
        assert alone


@pytest.mark.parametrize("shard", [None, Shard(1, 2)])
def test_without_locks_a_run_goes_on_and_does_not_count_as_alone(
    tmp_path: Path, shard: Shard | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder_lock.fcntl, "flock", refuse)
    with hold_folder(tmp_path, shard) as alone:
        assert not alone


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, flock = tmp_path / LOCK_NAME, folder_lock.fcntl.flock
    removed = []

    def remove_first(descriptor: int, operation: int) -> None:
        if not removed:
            lock.unlink()  # as its last holder does between another's opening and locking
            removed.append(lock)
        flock(descriptor, operation)

    monkeypatch.setattr(folder_lock.fcntl, "flock", remove_first)
    with hold_folder(tmp_path, None):
        monkeypatch.setattr(folder_lock.fcntl, "flock", flock)
        with pytest.raises(UserError, match="another run"), hold_folder(tmp_path, None):
            pass
