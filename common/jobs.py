"""Run a function over records: on several processes or machines, resumable, with a progress bar and a report.

Finished rows are appended to a journal (`common/journal.py`) and at the end become `manifest.jsonl`, in the order of
the records. A second run takes the rows whose files are whole and whose sources are unchanged (by SHA-256) and does
the rest. A run that is killed leaves half-written files under temporary names only; the next run removes them.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.config import Section, differing_keys, load_config, save_config
from common.engines import Engine, LocalEngine, Record, Work
from common.errors import DISK_FULL, UserError, disk_full_message
from common.folder_lock import hold_folder
from common.image_io import write_bytes
from common.journal import (
    JOURNAL_NAME,
    REPORT_NAME,
    Digest,
    append_rows,
    part_name,
    remove_partials,
    remove_parts,
    whole_rows,
)
from common.manifest import FILE_NAME, Row, write_manifest
from common.shards import Shard

CONFIG_NAME = "config.yaml"


@dataclass(frozen=True)
class JobReport:
    """What a job left behind.

    Attributes:
        rows: one a record, in the order of the records.
        outcomes: how many records ended in which outcome; "ok" are samples.
        reused: how many whole samples of an earlier run were taken over.
        wall_s: seconds that this run took.
        images_per_s: samples made by this run per second.
        shard: which part of the records it was about; None for all.
    """

    rows: list[Row]
    outcomes: dict[str, int]
    reused: int
    wall_s: float
    images_per_s: float
    shard: Shard | None = None


def claim_folder(folder: Path, config: Section) -> None:
    """Make `folder` the output folder of `config`, or go on in it if it already is.

    Keys that are declared with `exclude=True` (how a job is run, which changes no byte) do not count.

    Raises:
        UserError: it holds the output of another configuration, or files that no job of ours wrote.
    """
    saved = folder / CONFIG_NAME
    # Looked at before the configuration: another shard may claim the folder this moment, and its first file is that.
    taken = folder.exists() and any(not path.name.endswith(".partial") for path in folder.iterdir())
    if not saved.exists():
        if taken:
            raise UserError(f"{folder}: exists and is not the output of this command; choose a new or empty folder")
        save_config(saved, config)
        return
    differences = differing_keys(load_config(saved, type(config)), config)
    if differences:
        listed = "\n".join(f"  {line}" for line in differences)
        raise UserError(
            f"{folder}: holds the output of another configuration; choose another output folder or remove it. "
            f"It differs in:\n{listed}"
        )


def run_job(
    work: Work,
    records: Sequence[Record],
    *,
    folder: Path,
    title: str,
    processes: int = 1,
    engine: Engine | None = None,
    shard: Shard | None = None,
    max_failed_share: float = 1.0,
    source_digest: Digest | None = None,
) -> JobReport:
    """Return the rows that `work` made of `records`, after writing manifest and report into `folder`.

    With a shard only its part of the records is done and `manifest.3-of-16.jsonl` written; shards may run at once.
    A run without shard then takes their rows over, does what is missing, and writes the manifest.

    Args:
        work: picklable; returns the row of a record, with `files` relative to `folder`, or raises `RecordError`.
        records: in the order that the manifest shall have; ids are unique.
        title: stands before the progress bar.
        processes: threads that check earlier files, and workers where no engine is given; 1 works in this process.
        engine: what does the records; None: `processes` of this machine.
        max_failed_share: stop with an error, after all records were tried, when more than this share failed.
        source_digest: names the bytes that a record is made from; `work` stores it in its row as `source_sha256`.
            A row of an earlier run with another one is made again.

    Raises:
        UserError: there is no record, an id stands twice, another run is at work in the folder, too many failed, or
            the disk is full.
    """
    _check_ids(records)
    start_s = time.monotonic()
    records = records if shard is None else shard.of(records)
    journal = folder / part_name(JOURNAL_NAME, shard)
    with _full_disk_told(folder), hold_folder(folder, shard) as alone:
        if alone:
            remove_partials(folder)
        done = whole_rows(folder, records, source_digest, threads=processes)
        reused = len(done)
        todo = [record for record in records if record.id not in done]
        with contextlib.closing((engine or LocalEngine(processes))(work, todo, folder=folder)) as made:
            progress = tqdm(made, desc=title, total=len(records), initial=reused, unit="image")
            done |= append_rows(journal, progress)
        rows = [done[record.id] for record in records]
        wall_s = time.monotonic() - start_s
        outcomes = dict(Counter(row["outcome"] for row in rows).most_common())
        report = JobReport(rows, outcomes, reused, wall_s, len(todo) / wall_s if wall_s > 0 else 0.0, shard)
        write_manifest(folder, rows, name=part_name(FILE_NAME, shard))
        journal.unlink()
        if shard is None:
            remove_parts(folder)
        if alone:
            remove_partials(folder)  # of workers that outlived a killed run by a moment
        write_report(folder, report)  # the caller may add to it; it has to be there when too many failed, too
    _check_failures(report, folder, max_failed_share)
    return report


@contextlib.contextmanager
def _full_disk_told(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise UserError(disk_full_message(error, error.filename or folder)) from error


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
    path = folder / part_name(REPORT_NAME, report.shard)
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
        f"allowed; all are listed in {folder / part_name(FILE_NAME, report.shard)}. The first:\n{examples}"
    )
