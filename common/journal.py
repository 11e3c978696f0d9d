"""What a job has written down so far: rows as they come, and those of earlier runs and of other shards.

While a job runs, finished rows are appended to `journal.jsonl`; at the end they become `manifest.jsonl`. A run of one
shard writes `journal.3-of-16.jsonl`, `manifest.3-of-16.jsonl` and `report.3-of-16.json` instead; the run of the whole
job takes their rows over and removes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common.engines import Record
from common.manifest import FILE_NAME, Row, decode_row, is_as_written, is_whole, seal_row, unseal_row
from common.shards import Shard

JOURNAL_NAME = "journal.jsonl"
REPORT_NAME = "report.json"

Digest = Callable[[Any], str]


def part_name(name: str, shard: Shard | None) -> str:
    """Return the name of a shard's part of a file, e.g. "journal.3-of-16.jsonl"; without a shard `name` itself."""
    path = Path(name)
    return name if shard is None else f"{path.stem}{shard.suffix}{path.suffix}"


def append_rows(path: Path, rows: Iterable[Row]) -> dict[str, Row]:
    """Return the rows by id, after appending each to the journal as it comes."""
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    done: dict[str, Row] = {}
    with path.open("a", encoding="utf-8") as journal:
        journal.write("\n" if torn else "")  # a kill may have left half a line, which must not swallow the next
        journal.flush()
        for row in rows:
            journal.write(seal_row(row) + "\n")
            journal.flush()
            done[row["id"]] = row
    return done


def whole_rows(
    folder: Path, records: Sequence[Record], source_digest: Digest | None, *, threads: int
) -> dict[str, Row]:
    """Return the rows of earlier runs whose files are whole and whose sources are the same; failures go again."""
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
    whole = folder / FILE_NAME
    readers: dict[Path, Callable[[str], Row | None]] = {}
    if whole.exists() and is_as_written(folder):
        readers[whole] = decode_row
    for name in (FILE_NAME, JOURNAL_NAME):
        readers |= dict.fromkeys(_parts(folder, name), unseal_row)
    readers[folder / JOURNAL_NAME] = unseal_row
    for path, read in readers.items():
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []:
            row = read(line)  # a journal may end in half a line when the power went; that record is done again
            if row is not None and row["id"] in ids and row["outcome"] == "ok":
                found[row["id"]] = row
    return list(found.values())


def _parts(folder: Path, name: str) -> list[Path]:
    path = Path(name)
    return sorted(folder.glob(f"{path.stem}.*-of-*{path.suffix}"))


def remove_parts(folder: Path) -> None:
    """Remove journal, manifest and report of every shard."""
    for name in (JOURNAL_NAME, FILE_NAME, REPORT_NAME):
        for path in _parts(folder, name):
            path.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove files that a killed run left half-written, which have temporary names."""
    for path in folder.rglob(".*.partial"):
        path.unlink(missing_ok=True)
