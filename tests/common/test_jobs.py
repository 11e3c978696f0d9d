from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from common.config import Section
from common.errors import RecordError, UserError
from common.folder_lock import hold_folder
from common.image_io import write_bytes
from common.jobs import CONFIG_NAME, JobReport, claim_folder, run_job, write_report
from common.journal import JOURNAL_NAME, REPORT_NAME
from common.manifest import DIGEST_NAME, FILE_NAME, Row, read_manifest, seal_row, sha256
from common.shards import Shard


@dataclass(frozen=True)
class Number:
    id: str


@dataclass(frozen=True)
class Writer:
    """Writes the id into a file; ids that begin with "bad" fail; every call leaves a trace."""

    folder: Path

    def __call__(self, record: Number) -> Row:
        with (self.folder.parent / "calls.txt").open("a") as stream:
            stream.write(f"{record.id} {os.getpid()}\n")
        if record.id.startswith("bad"):
            raise RecordError(f"{record.id}: is bad", outcome="bad_input")
        write_bytes(self.folder / f"{record.id}.txt", f"I am {record.id}".encode())
        files = {"text": f"{record.id}.txt"}
        return {
            "id": record.id,
            "outcome": "ok",
            "files": files,
            "sha256": {"text": sha256(self.folder / files["text"])},
        }


NUMBERS = [Number(str(number)) for number in range(12)]


def run(folder: Path, records: list[Number] = NUMBERS, **options: object) -> JobReport:
    return run_job(Writer(folder), records, folder=folder, title="test", **options)


def calls(folder: Path) -> list[str]:
    path = folder.parent / "calls.txt"
    done = [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []
    path.unlink(missing_ok=True)
    return done


def test_the_manifest_does_not_depend_on_processes_or_repetition(tmp_path: Path) -> None:
    records = [*NUMBERS, Number("bad1")]
    one, several = tmp_path / "one" / "out", tmp_path / "several" / "out"
    run(one, records)
    run(several, records, processes=3)
    written = (one / FILE_NAME).read_bytes()
    assert (several / FILE_NAME).read_bytes() == written
    assert [row["id"] for row in read_manifest(one)] == [record.id for record in records]
    assert len({line.split()[1] for line in (several.parent / "calls.txt").read_text().splitlines()}) > 1
    calls(one)
    again = run(one, records)
    assert again.reused == 12
    assert (one / FILE_NAME).read_bytes() == written
    assert calls(one) == ["bad1"]  # failures are tried again, whole samples are not
    assert not (one / JOURNAL_NAME).exists()


def test_a_killed_job_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run(folder)
    whole = (folder / FILE_NAME).read_bytes()
    calls(folder)
    lines = [seal_row(row) + "\n" for row in read_manifest(folder)]
    (folder / JOURNAL_NAME).write_text("".join(lines[:5]) + lines[5][:20])  # the power went within a line
    (folder / FILE_NAME).unlink()
    (folder / "7.txt").unlink()
    report = run(folder)
    assert report.reused == 5
    assert calls(folder) == [record.id for record in NUMBERS[5:]]
    assert (folder / FILE_NAME).read_bytes() == whole


def test_a_stop_within_a_job_leaves_a_journal_to_go_on_from(tmp_path: Path) -> None:
    folder = tmp_path / "out"

    class Stopped(Exception):  # noqa: N818 - it stands for a kill
        pass

    def stop_at_4(record: Number) -> Row:
        if record.id == "4":
            raise Stopped
        return Writer(folder)(record)

    with pytest.raises(Stopped):
        run_job(stop_at_4, NUMBERS, folder=folder, title="test")
    assert run(folder).reused == 4


@pytest.mark.parametrize("spoil", ["change", "remove"])
def test_a_damaged_file_is_made_again(tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "out"
    run(folder)
    calls(folder)
    path = folder / "3.txt"
    if spoil == "change":
        path.write_text("something else")
    else:
        path.unlink()
    assert run(folder).reused == 11
    assert calls(folder) == ["3"]
    assert path.read_text() == "I am 3"


def test_failures_are_recorded_counted_and_reported(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    report = run(folder, [Number("1"), Number("bad1"), Number("2"), Number("bad2")], max_failed_share=0.5)
    assert report.outcomes == {"ok": 2, "bad_input": 2}
    row = read_manifest(folder)[1]
    assert (row["id"], row["outcome"], row["reason"]) == ("bad1", "bad_input", "bad1: is bad")
    content = json.loads(write_report(folder, report, more={"a": 1}).read_text())
    assert (folder / REPORT_NAME).exists()
    assert content["records"] == 4
    assert content["outcomes"] == report.outcomes
    assert [failure["id"] for failure in content["failures"]] == ["bad1", "bad2"]
    assert content["more"] == {"a": 1}
    assert content["images_per_s"] > 0


@pytest.mark.parametrize("processes", [1, 2])
def test_too_many_failures_stop_the_job_after_all_were_tried(tmp_path: Path, processes: int) -> None:
    folder = tmp_path / "out"
    records = [Number("bad1"), Number("1"), Number("2"), Number("bad2")]
    with pytest.raises(UserError, match=r"2 of 4 records failed[\s\S]*bad1: is bad"):
        run(folder, records, max_failed_share=0.49, processes=processes)
    assert len(read_manifest(folder)) == 4


@pytest.mark.parametrize("records", [[], [Number("1"), Number("2"), Number("1")]])
def test_no_record_or_a_repeated_id_is_refused(tmp_path: Path, records: list[Number]) -> None:
    with pytest.raises(UserError, match="holds no record" if not records else r"more than once.*\['1'\]"):
        run(tmp_path / "out", records)


def test_a_fault_of_the_program_is_no_failed_record(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run_job(lambda record: {"id": 1 / 0}, NUMBERS, folder=tmp_path, title="test")


def test_an_error_keeps_its_outcome_between_processes(tmp_path: Path) -> None:
    report = run(tmp_path / "out", [Number("bad1"), Number("bad2")], processes=2)
    assert report.outcomes == {"bad_input": 2}


class Inner(Section):
    depth: int = 1


class Job(Section):
    name: str = "a"
    inner: Inner = Inner()
    engine: Literal["local", "ray"] = Field("local", exclude=True)


def test_a_folder_belongs_to_one_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    claim_folder(folder, Job())
    claim_folder(folder, Job())
    assert (folder / CONFIG_NAME).exists()
    with pytest.raises(UserError, match=r"another configuration[\s\S]*inner\.depth: 1 -> 2[\s\S]*name: a -> b"):
        claim_folder(folder, Job(name="b", inner=Inner(depth=2)))


def test_how_a_job_is_run_is_no_part_of_its_configuration(tmp_path: Path) -> None:
    claim_folder(tmp_path / "out", Job())
    claim_folder(tmp_path / "out", Job(engine="ray"))
    assert "engine" not in (tmp_path / "out" / CONFIG_NAME).read_text()


def test_a_folder_that_another_shard_is_claiming_is_ours(tmp_path: Path) -> None:
    (tmp_path / f".{CONFIG_NAME}.12.partial").write_text("name: a")
    claim_folder(tmp_path, Job())
    assert (tmp_path / CONFIG_NAME).exists()


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is not the output of this command"):
        claim_folder(tmp_path, Job())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    empty = tmp_path / "empty"
    empty.mkdir()
    claim_folder(empty, Job())


def test_a_changed_source_is_done_again(tmp_path: Path) -> None:
    folder, source = tmp_path / "out", tmp_path / "sources"
    for number in NUMBERS:
        write_bytes(source / number.id, number.id.encode())

    def digest(record: Number) -> str:
        return sha256(source / record.id)

    def work(record: Number) -> Row:
        return {**Writer(folder)(record), "source_sha256": digest(record)}

    def go() -> JobReport:
        return run_job(work, NUMBERS, folder=folder, title="test", source_digest=digest)

    go()
    calls(folder)
    (source / "4").write_text("another photo")
    assert go().reused == 11
    assert calls(folder) == ["4"]
    (source / "5").unlink()  # gone: the work is asked again, and says what is wrong
    with pytest.raises(FileNotFoundError):
        go()


def test_half_written_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_bytes(folder / "images" / ".7.png.123.partial", b"half")
    run(folder)
    assert not list(folder.rglob("*.partial"))


def test_a_torn_line_of_the_journal_does_not_swallow_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run(folder)
    lines = (folder / FILE_NAME).read_text().splitlines(keepends=True)
    (folder / FILE_NAME).unlink()
    (folder / JOURNAL_NAME).write_text("".join(lines[:3]) + lines[3][:20])

    def stop_at_6(record: Number) -> Row:
        if record.id == "6":
            raise ZeroDivisionError
        return Writer(folder)(record)

    with pytest.raises(ZeroDivisionError):
        run_job(stop_at_6, NUMBERS, folder=folder, title="test")
    assert run(folder).reused == 6


@dataclass(frozen=True)
class FullDisk:
    """Stands for a disk that is full from the fourth record on."""

    folder: Path

    def __call__(self, record: Number) -> Row:
        if int(record.id) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return Writer(self.folder)(record)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_full_disk_is_told_and_gone_on_from(tmp_path: Path, processes: int) -> None:
    folder = tmp_path / "out"
    with pytest.raises(UserError, match=r"the disk is full.*goes on where it stopped"):
        run_job(FullDisk(folder), NUMBERS, folder=folder, title="test", processes=processes)
    assert run(folder).outcomes == {"ok": 12}


def test_other_errors_of_the_system_keep_their_traceback(tmp_path: Path) -> None:
    def work(record: Number) -> Row:
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(PermissionError):
        run_job(work, NUMBERS, folder=tmp_path / "out", title="test")


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files but the report, which holds times."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != REPORT_NAME}


def test_shards_at_once_and_the_whole_job_after_them_leave_what_one_run_leaves(tmp_path: Path) -> None:
    records = [*NUMBERS, Number("bad1"), Number("bad2")]
    single, folder = tmp_path / "single" / "out", tmp_path / "sharded" / "out"
    run(single, records)
    fork: Any = multiprocessing.get_context("fork")
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    jobs = [fork.Process(target=run, args=(folder, records), kwargs={"shard": shard}) for shard in shards]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    assert sorted(calls(folder)) == sorted(record.id for record in records)
    parts = [read_part(folder, shard) for shard in shards]
    assert [row["id"] for row in parts[1]] == [record.id for record in records[1::3]]
    assert sum(map(len, parts)) == len(records)
    assert not (folder / FILE_NAME).exists()
    assert run(folder, records).reused == 12
    assert sorted(calls(folder)) == ["bad1", "bad2"]  # failures are tried again, no file is made again
    assert contents(folder) == contents(single)


def read_part(folder: Path, shard: Shard) -> list[Row]:
    report = json.loads((folder / f"report{shard.suffix}.json").read_text())
    rows = [json.loads(line) for line in (folder / f"manifest{shard.suffix}.jsonl").read_text().splitlines()]
    assert report["records"] == len(rows)
    return rows


def test_a_killed_shard_goes_on_and_other_shards_files_in_the_making_stay(tmp_path: Path) -> None:
    folder, shard = tmp_path / "out", Shard(2, 3)
    lines = [seal_row(Writer(folder)(record)) + "\n" for record in NUMBERS[1::3]]
    (folder / f"journal{shard.suffix}.jsonl").write_text("".join(lines[:2]) + lines[2][:9])
    calls(folder)
    live = folder / ".9.txt.77.partial"
    live.write_text("half")
    assert run(folder, shard=shard).reused == 2
    assert calls(folder) == [record.id for record in NUMBERS[1::3]][2:]
    assert live.exists()
    run(folder)
    assert not live.exists()


def test_a_shard_without_records_is_done_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    report = run(folder, NUMBERS[:2], shard=Shard(3, 3), max_failed_share=0)
    assert report.rows == []
    assert write_report(folder, report) == folder / "report.3-of-3.json"
    assert run(folder, NUMBERS[:2]).reused == 0
    assert sorted(contents(folder)) == ["0.txt", "1.txt", FILE_NAME, DIGEST_NAME]


def test_failures_of_a_shard_are_counted_in_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1 of 2 records failed[\s\S]*manifest\.2-of-2\.jsonl"):
        run(
            tmp_path / "out",
            [Number("1"), Number("bad"), Number("2"), Number("3")],
            shard=Shard(2, 2),
            max_failed_share=0.4,
        )


def test_two_runs_at_once_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.folder_lock.PATIENCE_S", 0.2)
    folder = tmp_path / "out"
    with hold_folder(folder, None), pytest.raises(UserError, match="another run is at work here"):
        run(folder)
    with hold_folder(folder, Shard(1, 2)):
        with pytest.raises(UserError, match="shard 1/2: another run is at work here"):
            run(folder, shard=Shard(1, 2))
        run(folder, shard=Shard(2, 2))
    assert run(folder).reused == 6


@dataclass(frozen=True)
class Mortal:
    """Is killed in the middle of writing a file, for record 7 every time, for record 4 the first time."""

    folder: Path

    def __call__(self, record: Number) -> Row:
        partial = self.folder / f".{record.id}.txt.{os.getpid()}.partial"
        if record.id == "7" or (record.id == "4" and not list(self.folder.glob(".4.txt.*.partial"))):
            partial.write_text("hal")
            os.kill(os.getpid(), signal.SIGKILL)
        return Writer(self.folder)(record)


def test_a_worker_killed_in_the_middle_of_writing(tmp_path: Path) -> None:
    folder, clean = tmp_path / "out", tmp_path / "clean" / "out"
    run(clean)
    report = run_job(Mortal(folder), NUMBERS, folder=folder, title="test", processes=3)
    assert report.outcomes == {"ok": 11, "worker_died": 1}
    assert "fewer workers" in report.rows[7]["reason"]
    assert not list(folder.rglob("*.partial"))
    calls(folder)
    assert run(folder).reused == 11  # the killer goes again in the next run
    assert calls(folder) == ["7"]
    assert contents(folder) == contents(clean)
