"""Manifests: the contract between stages on disk.

`manifest.jsonl` holds one JSON object a line and a line for every record that was asked for, in the order of the
records. Rows with `outcome` "ok" name their files in `files`, relative to the manifest's folder, and the SHA-256 of
each in `sha256`; every other row says in `reason` why there is no sample. Nothing in a row depends on time, machine
or worker, so the same run gives the same bytes. `manifest.sha256`, which `sha256sum -c` reads, tells whether the
manifest is still what was written; without it nobody can tell. Rows of unfinished work carry their own checksum.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from common.errors import RecordError, UserError
from common.image_io import FileContent, read_file, write_bytes

FILE_NAME = "manifest.jsonl"
DIGEST_NAME = "manifest.sha256"
SEAL = "crc32"  # key of a sealed row's own checksum
Row = dict[str, Any]


class ManifestError(UserError):
    """A manifest that is missing, damaged, or points outside its folder."""


def encode_row(row: Mapping[str, Any]) -> str:
    r"""Return the row as one line of JSON without line end, keys sorted.

    Bytes of a file name that are no UTF-8 become JSON escapes (\udcXX), which Python reads back as the same name.
    """
    line = json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
    return line.encode(errors="backslashreplace").decode()


def write_manifest(folder: Path, rows: Iterable[Mapping[str, Any]], *, name: str = FILE_NAME) -> Path:
    """Write `manifest.jsonl`, or a sealed part under another name, into `folder`, whole or not at all; return its path.

    Beside the whole manifest goes its SHA-256.
    """
    path = folder / name
    if name != FILE_NAME:
        write_bytes(path, "".join(seal_row(row) + "\n" for row in rows).encode())
        return path
    content = "".join(encode_row(row) + "\n" for row in rows).encode()
    (folder / DIGEST_NAME).unlink(missing_ok=True)  # first: that of an older manifest would tell against this one
    write_bytes(path, content)
    write_bytes(folder / DIGEST_NAME, f"{hashlib.sha256(content).hexdigest()}  {FILE_NAME}\n".encode())
    return path


def is_as_written(folder: Path) -> bool:
    """Return whether the manifest in `folder` has the SHA-256 that was written beside it, or none was."""
    try:
        written = (folder / DIGEST_NAME).read_bytes()
    except FileNotFoundError:
        return True
    return written == f"{sha256(folder / FILE_NAME)}  {FILE_NAME}\n".encode()


def read_manifest(folder: Path) -> list[Row]:
    """Return all rows of the manifest in `folder`, failures included.

    Raises:
        ManifestError: there is no manifest, it is not what was written, a line is damaged, an id stands twice, or a
            file lies outside the folder.
    """
    path = folder / FILE_NAME
    try:
        content = path.read_text(encoding="utf-8").removesuffix("\n")
        as_written = is_as_written(folder)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", error)
        raise ManifestError(
            f"{path}: cannot be read ({reason}); this folder is written by `python -m face_align` or "
            "`python -m occlusion_gen`: run that first, or run it again if it was interrupted"
        ) from error
    if not as_written:
        raise ManifestError(
            f"{path}: is not what was written, by the SHA-256 in {DIGEST_NAME}; run the command that wrote the folder "
            f"again, or remove {DIGEST_NAME} if you changed the manifest yourself"
        )
    # Not `splitlines`: it also splits at line separators that JSON leaves inside texts.
    rows = [_parse(path, number, line) for number, line in enumerate(content.split("\n") if content else [], 1)]
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        if row["id"] in seen:
            raise ManifestError(f"{path}:{number}: the id {row['id']!r} stands twice")
        seen.add(row["id"])
    return rows


def read_samples(folder: Path, *, split: str | None = None, labelled: bool = True) -> list[Row]:
    """Return the rows that hold a sample, of one split or of all.

    Args:
        split: e.g. "train"; None for all.
        labelled: refuse a set with crops that have no label map (aligned from photos alone).

    Raises:
        ManifestError: the manifest cannot be read, no row is left, or a label map is wanted and there is none.
    """
    samples = [row for row in read_manifest(folder) if row["outcome"] == "ok"]
    chosen = [row for row in samples if split is None or row.get("split") == split]
    if not chosen:
        splits = sorted({str(row.get("split")) for row in samples})
        raise ManifestError(
            f"{folder / FILE_NAME}: no sample of split {split!r} among {len(samples)}; splits there: {splits}"
        )
    bare = [row["id"] for row in chosen if "label" not in row.get("files", {})] if labelled else []
    if bare:
        raise ManifestError(
            f"{folder / FILE_NAME}: {len(bare)} of {len(chosen)} crops have no label map, e.g. {bare[:3]}; they can be "
            "predicted on, not trained or scored on: align them again with `source.labels`, or take another set"
        )
    return chosen


def seal_row(row: Mapping[str, Any]) -> str:
    """Return the row as one line with its own checksum, as journals hold it."""
    checksum = zlib.crc32(encode_row(row).encode())
    return encode_row({**row, SEAL: f"{checksum:08x}"})


def unseal_row(line: str) -> Row | None:
    """Return the row that a line of `seal_row` holds, None where it is not what was written."""
    row = decode_row(line)
    if row is None:
        return None
    seal = row.pop(SEAL, None)
    try:
        return row if seal == f"{zlib.crc32(encode_row(row).encode()):08x}" else None
    except ValueError:  # numbers that are none, which no row of ours holds
        return None


def decode_row(line: str) -> Row | None:
    """Return the row that a line of `encode_row` holds, None where it holds something else."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not isinstance(row.get("outcome"), str):
        return None
    mappings = [row.get(key, {}) for key in ("files", "sha256")]
    plain = all(isinstance(found, dict) and all(isinstance(text, str) for text in found.values()) for found in mappings)
    return row if plain else None


def is_inside(name: str) -> bool:
    """Return whether a path of a row stays in the folder of its manifest."""
    return not (Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name)


def is_whole(folder: Path, row: Mapping[str, Any]) -> bool:
    """Return whether every file of a sample row exists in `folder` with the recorded SHA-256."""
    files, digests = row.get("files", {}), row.get("sha256")
    if digests is None or not digests.keys() <= files.keys() or not all(map(is_inside, files.values())):
        return False
    try:
        return all(sha256(folder / files[name]) == digest for name, digest in digests.items())
    except OSError:
        return False


def read_checked(path: Path, digest: str | None) -> FileContent:
    """Return a file with its bytes, read once, unless it is not the one a row tells of.

    Args:
        digest: its SHA-256 by the row; None: the row tells none.

    Raises:
        RecordError: the content has changed (outcome "damaged_file"), or there is no file ("missing_file").
    """
    file = read_file(path)
    if digest is not None and hashlib.sha256(file.content).hexdigest() != digest:
        raise RecordError(
            f"{path}: is not the file that was written, by the SHA-256 in {FILE_NAME}; run the command that wrote the "
            "folder again: it makes anew what has changed",
            outcome="damaged_file",
        )
    return file


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _parse(path: Path, number: int, line: str) -> Row:
    row = decode_row(line)
    if row is None:
        raise ManifestError(
            f"{path}:{number}: expected a JSON object with the texts `id` and `outcome` and texts in `files` and "
            f"`sha256`, found {line[:60]!r}; run the stage that wrote it again"
        )
    for name in row.get("files", {}).values():
        if not is_inside(name):
            raise ManifestError(f"{path}:{number}: {name!r} points outside the manifest's folder; refused")
    return row
