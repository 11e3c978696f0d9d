from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from occlusion_gen.occluders import shared_arrays
from occlusion_gen.occluders.shared_arrays import PrivateArrays, SharedArrays, cache_folder

COUNT, SIDE = 40, 30
FILL_BYTES = COUNT * SIDE * SIDE * 4


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(shared_arrays.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def array(number: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 4), number, np.uint8)


def shared(budget_bytes: int = FILL_BYTES) -> SharedArrays:
    return SharedArrays("key", count=COUNT, budget_bytes=budget_bytes)


def fill(arrays: SharedArrays) -> int:
    """Ask for every array, make it where it is missing, and return how many this process made."""
    made = 0
    for number in range(COUNT):
        if arrays.get(number) is None:
            arrays.put(number, array(number))
            made += 1
    return made


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_that_write_at_once_keep_every_array_once(cache: Path, method: str) -> None:
    arrays = shared()
    assert arrays.get(0) is None  # opened before the fork
    with multiprocessing.get_context(method).Pool(4) as pool:
        pool.map(fill, [arrays] * 4, chunksize=1)
    for number in range(COUNT):
        assert_array_equal(arrays.get(number), array(number))
    (path,) = cache.iterdir()
    assert int.from_bytes(path.read_bytes()[:8], "little") == FILL_BYTES  # what fits exactly was written once
    assert fill(shared()) == 0  # whoever comes later finds them
    assert path.stat().st_mode & 0o077 == 0


def test_threads_that_write_at_once_do_not_mix(cache: Path) -> None:
    arrays = shared()
    threads = [threading.Thread(target=fill, args=(arrays,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(COUNT):
        assert_array_equal(arrays.get(number), array(number))


def test_what_does_not_fit_is_not_kept_and_nothing_is_thrown_out() -> None:
    for arrays in (shared(FILL_BYTES // 2), PrivateArrays(FILL_BYTES // 2)):
        for number in range(COUNT):
            assert_array_equal(arrays.put(number, array(number)), array(number))
        kept = [number for number in range(COUNT) if arrays.get(number) is not None]
        assert kept == list(range(COUNT // 2))


@pytest.mark.parametrize("kind", ["shared", "private"])
def test_nobody_can_change_what_others_use(kind: str) -> None:
    arrays = shared() if kind == "shared" else PrivateArrays(FILL_BYTES)
    kept = arrays.put(3, array(3))
    with pytest.raises(ValueError, match="read-only"):
        kept[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        arrays.get(3)[0, 0] = 1  # type: ignore[index]


def test_pickles_are_small_and_open_the_same_arrays() -> None:
    arrays = shared()
    fill(arrays)
    pickled = pickle.dumps(arrays)
    assert len(pickled) < 300
    assert_array_equal(pickle.loads(pickled).get(7), array(7))
    private = PrivateArrays(FILL_BYTES)
    private.put(0, array(0))
    assert len(pickle.dumps(private)) < 300
    assert pickle.loads(pickle.dumps(private)).get(0) is None
    assert private.get(0) is not None


def test_without_a_folder_each_process_keeps_an_eighth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(shared_arrays.FOLDER_VARIABLE, str(tmp_path / "file" / "cache"))
    arrays = shared()
    with pytest.warns(UserWarning, match=r"cannot be shared.*Set OCCFACE_CACHE"):
        assert arrays.get(0) is None
    for number in range(COUNT):
        assert_array_equal(arrays.put(number, array(number)), array(number))
    assert [number for number in range(COUNT) if arrays.get(number) is not None] == list(range(COUNT // 8))


def test_a_full_disk_is_told_once_and_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = shared()
    arrays.put(0, array(0))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        assert_array_equal(arrays.put(1, array(1)), array(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_array_equal(arrays.put(2, array(2)), array(2))
    for number in (1, 2):
        assert_array_equal(arrays.get(number), array(number))


def test_a_writer_that_was_killed_leaves_no_half_array(cache: Path) -> None:
    arrays = shared()
    arrays.put(0, array(0))
    (path,) = cache.iterdir()
    with path.open("r+b") as stream:  # bytes without a place in the table, as after a kill
        stream.seek(arrays._data_start + array(0).nbytes)
        stream.write(b"\x99" * 500)
    later = shared()
    assert later.get(1) is None
    assert_array_equal(later.put(1, array(1)), array(1))
    assert_array_equal(later.get(0), array(0))


def test_places_outside_the_file_are_not_believed(cache: Path) -> None:
    arrays = shared()
    arrays.put(0, array(0))
    (path,) = cache.iterdir()
    with path.open("r+b") as stream:
        stream.seek(64)
        stream.write(np.array([2**40, SIDE, SIDE, 4], np.int64).tobytes())
    assert shared().get(0) is None


def test_files_that_nobody_opens_are_removed_and_open_ones_go_on(cache: Path) -> None:
    old = SharedArrays("old", count=COUNT, budget_bytes=FILL_BYTES)
    old.put(0, array(0))
    path = cache / f"old{shared_arrays.SUFFIX}"
    long_ago_s = path.stat().st_mtime - shared_arrays.UNUSED_AFTER_S - 10
    os.utime(path, (long_ago_s, long_ago_s))
    (cache / "foreign.txt").write_text("stays")
    shared().put(0, array(0))
    assert sorted(entry.name for entry in cache.iterdir()) == ["foreign.txt", f"key{shared_arrays.SUFFIX}"]
    assert_array_equal(old.put(1, array(1)), array(1))
    assert_array_equal(old.get(0), array(0))


def test_the_oldest_of_too_many_files_go(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_arrays, "FOLDER_BYTES", 2.5 * FILL_BYTES)
    for age, name in enumerate("abcd"):
        fill(SharedArrays(name, count=COUNT, budget_bytes=FILL_BYTES))
        path = cache / f"{name}{shared_arrays.SUFFIX}"
        changed_s = path.stat().st_mtime - 1000 + age
        os.utime(path, (changed_s, changed_s))
    assert shared().get(0) is None
    assert sorted(path.stem for path in cache.iterdir()) == ["c", "d", "key"]


def test_the_default_folder_is_this_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(shared_arrays.FOLDER_VARIABLE)
    monkeypatch.setattr(shared_arrays.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = cache_folder()
    assert folder == tmp_path / f"occface-{os.getuid()}"
    assert folder.stat().st_mode & 0o077 == 0
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    (tmp_path / f"occface-{other}").mkdir()
    with pytest.raises(PermissionError, match="belongs to another user"):
        cache_folder()
