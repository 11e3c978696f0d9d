from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.config import Section
from common.errors import RecordError, UserError
from common.image_io import write_bytes
from common.jobs import CONFIG_NAME, JOURNAL_NAME, REPORT_NAME, JobReport, claim_folder, run_job, write_report
from common.manifest import FILE_NAME, Row, read_manifest, sha256


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
    lines = whole.decode().splitlines(keepends=True)
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


def test_a_folder_belongs_to_one_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    claim_folder(folder, Job())
    claim_folder(folder, Job())
    assert (folder / CONFIG_NAME).exists()
    with pytest.raises(UserError, match=r"another configuration[\s\S]*inner\.depth: 1 -> 2[\s\S]*name: a -> b"):
        claim_folder(folder, Job(name="b", inner=Inner(depth=2)))


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
