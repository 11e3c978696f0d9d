from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.engines import MAX_DEATHS_IN_A_ROW, LocalEngine, chunks_of
from common.errors import RecordError, UserError
from common.manifest import Row

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Number:
    id: str


@dataclass(frozen=True)
class Work:
    """Ids that begin with "deadly" kill their process, "once" the first time only, "bad" fail; each call is traced."""

    folder: Path

    def __call__(self, record: Number) -> Row:
        with (self.folder / "calls.txt").open("a") as stream:
            stream.write(f"{record.id} {os.getpid()}\n")
        died_before = self.folder / f"{record.id}.died"
        if record.id.startswith("deadly") or (record.id.startswith("once") and not died_before.exists()):
            died_before.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if record.id.startswith("bad"):
            raise RecordError("is bad", outcome="bad_input")
        return {"id": record.id, "outcome": "ok", "letters": "x" * 200_000 if record.id.startswith("long") else ""}


def rows(work: object, ids: list[str], *, processes: int, folder: Path) -> dict[str, str]:
    """Return the outcome by id, after checking that each came once."""
    done = list(LocalEngine(processes)(work, [Number(name) for name in ids], folder=folder))
    assert sorted(row["id"] for row in done) == sorted(ids)
    return {row["id"]: row["outcome"] for row in done}


def calls(folder: Path) -> Counter[str]:
    return Counter(line.split()[0] for line in (folder / "calls.txt").read_text().splitlines())


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_every_record_comes_back_once(tmp_path: Path, processes: int) -> None:
    ids = [f"{kind}{number}" for number in range(40) for kind in ("good", "bad", "long")]
    outcomes = rows(Work(tmp_path), ids, processes=processes, folder=tmp_path)
    assert Counter(outcomes.values()) == {"ok": 80, "bad_input": 40}
    assert set(calls(tmp_path).values()) == {1}
    used = {line.split()[1] for line in (tmp_path / "calls.txt").read_text().splitlines()}
    assert (used == {str(os.getpid())}) == (processes == 1)
    assert len(used) <= processes


@pytest.mark.parametrize("processes", [2, 3])
def test_a_killed_worker_costs_the_record_in_its_hand_a_second_try_and_no_other(tmp_path: Path, processes: int) -> None:
    ids = [f"good{number}" for number in range(100)]
    ids[7] = ids[60] = ids[99] = ""
    ids = [name or f"once{number}" for number, name in enumerate(ids)]
    assert set(rows(Work(tmp_path), ids, processes=processes, folder=tmp_path).values()) == {"ok"}
    assert {name for name, count in calls(tmp_path).items() if count > 1} == {"once7", "once60", "once99"}


def test_a_record_that_kills_every_worker_becomes_a_row(tmp_path: Path) -> None:
    ids = [f"good{number}" for number in range(30)] + ["deadly1", "deadly2"]
    outcomes = rows(Work(tmp_path), ids, processes=2, folder=tmp_path)
    assert {name for name, outcome in outcomes.items() if outcome == "worker_died"} == {"deadly1", "deadly2"}
    assert calls(tmp_path)["deadly1"] == 2


def test_workers_that_only_die_end_the_job(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"one after another.*goes on where it stopped"):
        rows(Work(tmp_path), [f"deadly{number}" for number in range(99)], processes=2, folder=tmp_path)
    assert sum(calls(tmp_path).values()) <= MAX_DEATHS_IN_A_ROW + 2


class Odd(Exception):  # noqa: N818 - cannot be pickled
    def __init__(self, one: int, two: int) -> None:
        super().__init__("odd")


def _fail(record: Number) -> Row:
    if record.id == "odd":
        raise Odd(1, 2)
    if record.id == "fault":
        return {"id": 1 / 0}
    return {"id": record.id, "outcome": "ok"}


@pytest.mark.parametrize(("name", "error"), [("fault", ZeroDivisionError), ("odd", RuntimeError)])
def test_a_fault_of_the_program_comes_with_the_workers_traceback(
    tmp_path: Path, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        rows(_fail, ["1", name, "2", "3"], processes=2, folder=tmp_path)
    assert "_fail" in caught.value.__notes__[0]


def test_a_stopped_engine_leaves_no_worker(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Tell:
        def __call__(self, record: Number) -> Row:
            return {"id": record.id, "outcome": "ok", "pid": os.getpid()}

    made = LocalEngine(2)(Tell(), [Number(str(number)) for number in range(1000)], folder=tmp_path)
    pids = {next(made)["pid"] for _ in range(100)}
    made.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_chunks_hold_every_record_in_order() -> None:
    records = [Number(str(number)) for number in range(1003)]
    for workers in (1, 2, 7, 500):
        chunks = list(chunks_of(records, workers))
        assert [record for chunk in chunks for record in chunk] == records
        assert max(map(len, chunks)) <= 16
        assert len(chunks) >= min(4 * workers, 1003)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory by rules of their own")
def test_memory_of_freed_arrays_stays_at_hand() -> None:
    """A process that makes and frees arrays of six MB, as for a photo, gets their pages from the system once."""
    code = (
        "import resource, numpy as np\n"
        "from common.engines import prepare_process\n"
        "prepare_process()\n"
        "def work():\n"
        "    for _ in range(50): [np.ones(1_000_000, np.uint8) for _ in range(6)]\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "work(); before = faults(); work(); print(faults() - before)"
    )
    found = [
        int(subprocess.run([sys.executable, "-c", text], cwd=REPOSITORY, capture_output=True, check=True).stdout)
        for text in (code, code.replace("prepare_process()\n", "", 1))
    ]
    assert found[0] < 0.1 * found[1]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory by rules of their own")
def test_freed_memory_between_arrays_in_use_goes_back() -> None:
    code = (
        "import resource, numpy as np\n"
        "from pathlib import Path\n"
        "from common.engines import return_freed_memory\n"
        "def resident(): return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()\n"
        "arrays = [np.ones(60_000, np.uint8) for _ in range(3000)]\n"
        "del arrays[:-1]\n"  # the last one stands above all of the free memory
        "before = resident(); return_freed_memory(); print(before - resident())"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, check=True).stdout
    assert int(found) > 100_000_000
