"""Run a function over records on several processes: resumable, with a progress bar and a report.

While a job runs, finished rows are appended to `journal.jsonl`; at the end they become `manifest.jsonl`, in the order
of the records. A second run takes the rows whose files are whole and whose sources are unchanged (by SHA-256) and
does the rest. A run that is killed leaves half-written files under temporary names only; the next run removes them.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
from tqdm import tqdm

from common.config import Section, differing_keys, load_config, save_config
from common.errors import DISK_FULL, RecordError, UserError, disk_full_message
from common.image_io import write_bytes
from common.manifest import FILE_NAME, Row, encode_row, is_whole, write_manifest

JOURNAL_NAME = "journal.jsonl"
CONFIG_NAME = "config.yaml"
REPORT_NAME = "report.json"
PARENT_CHECK_S = 0.5


class Record(Protocol):
    """Anything with a unique `id` that can be sent to another process."""

    @property
    def id(self) -> str:
        """Name of the record, unique in a job."""
        ...


Work = Callable[[Any], Row]
Digest = Callable[[Any], str]


@dataclass(frozen=True)
class JobReport:
    """What a job left behind.

    Attributes:
        rows: one a record, in the order of the records.
        outcomes: how many records ended in which outcome; "ok" are samples.
        reused: how many whole samples of an earlier run were taken over.
        wall_s: seconds that this run took.
        images_per_s: samples made by this run per second.
    """

    rows: list[Row]
    outcomes: dict[str, int]
    reused: int
    wall_s: float
    images_per_s: float


def claim_folder(folder: Path, config: Section) -> None:
    """Make `folder` the output folder of `config`, or go on in it if it already is.

    Raises:
        UserError: it holds the output of another configuration, or files that no job of ours wrote.
    """
    saved = folder / CONFIG_NAME
    if saved.exists():
        differences = differing_keys(load_config(saved, type(config)), config)
        if differences:
            listed = "\n".join(f"  {line}" for line in differences)
            raise UserError(
                f"{folder}: holds the output of another configuration; choose another output folder or remove it. "
                f"It differs in:\n{listed}"
            )
        return
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: exists and is not the output of this command; choose a new or empty folder")
    save_config(saved, config)


def run_job(
    work: Work,
    records: Sequence[Record],
    *,
    folder: Path,
    title: str,
    processes: int = 1,
    max_failed_share: float = 1.0,
    source_digest: Digest | None = None,
) -> JobReport:
    """Return the rows that `work` made of `records`, after writing manifest and report into `folder`.

    Args:
        work: picklable; returns the row of a record, with `files` relative to `folder`, or raises `RecordError`.
        records: in the order that the manifest shall have; ids are unique.
        title: stands before the progress bar.
        processes: 1 works in this process.
        max_failed_share: stop with an error, after all records were tried, when more than this share failed.
        source_digest: names the bytes that a record is made from; `work` stores it in its row as `source_sha256`.
            A row of an earlier run with another one is made again.

    Raises:
        UserError: there is no record, an id stands twice, too many failed, or the disk is full.
    """
    _check_ids(records)
    start_s = time.monotonic()
    with _full_disk_told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _remove_partials(folder)
        done = _whole_rows(folder, records, source_digest, threads=processes)
        reused = len(done)
        todo = [record for record in records if record.id not in done]
        progress = tqdm(_rows_of(work, todo, processes), desc=title, total=len(records), initial=reused, unit="image")
        done |= _written_down(folder / JOURNAL_NAME, progress)
        rows = [done[record.id] for record in records]
        wall_s = time.monotonic() - start_s
        outcomes = dict(Counter(row["outcome"] for row in rows).most_common())
        report = JobReport(rows, outcomes, reused, wall_s, len(todo) / wall_s if wall_s > 0 else 0.0)
        write_manifest(folder, rows)
        (folder / JOURNAL_NAME).unlink()
        _remove_partials(folder)  # of workers that outlived a killed run by a moment
        write_report(folder, report)  # the caller may add to it; it has to be there when too many failed, too
    _check_failures(report, folder, max_failed_share)
    return report


def _written_down(path: Path, rows: Iterable[Row]) -> dict[str, Row]:
    """Return the rows by id, after appending each to the journal as it comes."""
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    done: dict[str, Row] = {}
    with path.open("a", encoding="utf-8") as journal:
        journal.write("\n" if torn else "")  # a kill may have left half a line, which must not swallow the next
        for row in rows:
            journal.write(encode_row(row) + "\n")
            journal.flush()
            done[row["id"]] = row
    return done


@contextlib.contextmanager
def _full_disk_told(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise UserError(disk_full_message(error, error.filename or folder)) from error


def _remove_partials(folder: Path) -> None:
    for path in folder.rglob(".*.partial"):
        path.unlink(missing_ok=True)


def write_report(folder: Path, report: JobReport, **more: Any) -> Path:
    """Write `report.json` and return its path: counts by outcome, failures with reasons, speed, and `more`."""
    content = {
        "records": len(report.rows),
        "outcomes": report.outcomes,
        "reused": report.reused,
        "wall_s": round(report.wall_s, 3),
        "images_per_s": round(report.images_per_s, 3),
        "failures": [
            {"id": row["id"], "outcome": row["outcome"], "reason": row.get("reason", "")}
            for row in report.rows
            if row["outcome"] != "ok"
        ],
        **more,
    }
    path = folder / REPORT_NAME
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode(errors="backslashreplace"))
    return path


def _check_ids(records: Sequence[Record]) -> None:
    if not records:
        raise UserError("there is nothing to do: the input holds no record")
    repeated = [name for name, count in Counter(record.id for record in records).items() if count > 1]
    if repeated:
        raise UserError(f"these ids stand more than once among the records: {repeated[:5]}")


def _check_failures(report: JobReport, folder: Path, max_failed_share: float) -> None:
    failed = [row for row in report.rows if row["outcome"] != "ok"]
    if len(failed) <= max_failed_share * len(report.rows):
        return
    examples = "\n".join(f"  {row['id']}: {row['reason']}" for row in failed[:3])
    raise UserError(
        f"{len(failed)} of {len(report.rows)} records failed, more than the share of {max_failed_share:g} that is "
        f"allowed; all are listed in {folder / FILE_NAME}. The first:\n{examples}"
    )


def _whole_rows(
    folder: Path, records: Sequence[Record], source_digest: Digest | None, *, threads: int
) -> dict[str, Row]:
    """Return the rows of an earlier run whose files are whole and whose sources are the same; failures go again."""
    by_id = {record.id: record for record in records}
    candidates = _samples_of_earlier_runs(folder, set(by_id))

    def holds(row: Row) -> bool:
        if not is_whole(folder, row):
            return False
        try:
            return source_digest is None or row.get("source_sha256") == source_digest(by_id[row["id"]])
        except OSError:
            return False  # a source is gone; the work will say so

    with ThreadPoolExecutor(max(1, threads)) as pool:  # hashing leaves the interpreter's lock
        return {row["id"]: row for row, whole in zip(candidates, pool.map(holds, candidates), strict=True) if whole}


def _samples_of_earlier_runs(folder: Path, ids: set[str]) -> list[Row]:
    found: dict[str, Row] = {}
    for name in (FILE_NAME, JOURNAL_NAME):
        path = folder / name
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # a journal may end in half a line when the power went; that record is done again
            if isinstance(row, dict) and row.get("id") in ids and row.get("outcome") == "ok":
                found[row["id"]] = row
    return list(found.values())


def _rows_of(work: Work, records: Sequence[Record], processes: int) -> Iterator[Row]:
    if processes <= 1 or len(records) <= 1:
        cv2.setNumThreads(1)
        yield from (_guarded(work, record) for record in records)
        return
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    cv2.setNumThreads(1)  # before forking: OpenCV's thread pool does not survive a fork
    chunk = max(1, min(16, len(records) // (4 * processes)))
    with ProcessPoolExecutor(
        processes, mp_context=multiprocessing.get_context(method), initializer=_start_worker, initargs=(work,)
    ) as pool:
        try:
            yield from pool.map(_work_in_worker, records, chunksize=chunk)
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process was killed, most often for want of memory; run the same command again, which goes "
                "on where it stopped, with fewer `processes`"
            ) from error


_work: Work | None = None


def _start_worker(work: Work) -> None:
    global _work  # the function (with an occluder library, say) travels once a worker, not once a record
    _work = work
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    """Leave when the process that hands out records is gone: a killed one cannot tell its workers to stop."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)


def _work_in_worker(record: Record) -> Row:
    assert _work is not None
    return _guarded(_work, record)


def _guarded(work: Work, record: Record) -> Row:
    try:
        return work(record)
    except RecordError as error:
        return {"id": record.id, "outcome": error.outcome, "reason": str(error)}


def default_processes() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
