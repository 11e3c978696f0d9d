"""`python -m datasets pack PREPARED OUT`: writes what `datasets.packed` reads. Resumable, and never half seen.

Rows are appended to files under temporary names; every few hundred of them are flushed to the disk and counted in
`progress.json`. A run that was stopped at any point goes on behind the last row counted.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from common.errors import UserError
from common.folder_lock import hold_folder
from common.image_io import image_size, write_bytes
from common.manifest import FILE_NAME, Row, is_whole, read_samples, sha256, write_manifest
from configs.schema import PreparedSet
from datasets.packed import (
    ARRAY_NAMES,
    CHECKSUMS_NAME,
    FORMAT,
    INDEX_NAME,
    PackedArray,
    is_packed,
    read_index,
    row_checksums,
)
from datasets.prepared import FaceRecord, build_face_set

PROGRESS_NAME = "progress.json"
BLOCK_BYTES = 64_000_000  # of images between two flushes, and in memory at a time
READ_BYTES = 1 << 20
Shapes = dict[str, tuple[int, ...]]


def pack(prepared: Path, out: Path, *, threads: int = 1) -> bool:
    """Pack the samples of a prepared folder into `out`; False where that was done before.

    Raises:
        UserError: the images differ in size, a file is damaged, the disk is too small, or `out` holds something else.
    """
    source = sha256(prepared / FILE_NAME) if (prepared / FILE_NAME).is_file() else ""
    if _is_done(out, source):
        return False
    with hold_folder(out, None):
        if not _is_done(out, source):
            _pack(prepared, out, source=source, threads=threads)
    return True


def _is_done(out: Path, source: str) -> bool:
    if is_packed(out) and read_index(out).source_manifest_sha256 != source:
        raise UserError(f"{out}: holds another set, or this one before it was changed; remove it or choose another")
    return is_packed(out)


def _pack(prepared: Path, out: Path, *, source: str, threads: int) -> None:
    rows = read_samples(prepared)
    records = build_face_set({"": PreparedSet(prepared=prepared)}).records
    shapes = array_shapes(rows, image_size(records[0].image))
    done, checksums = _rows_done(out, source=source, shapes=shapes)
    _check_space(out, shapes, done=done)
    with ExitStack() as stack, tqdm(total=len(rows), initial=done, unit="face", desc="pack") as bar:
        files = {name: stack.enter_context(_continue(out, name, shape, done=done)) for name, shape in shapes.items()}
        pool = stack.enter_context(ThreadPoolExecutor(threads))
        for block in _blocks(done, len(rows), shapes):
            chosen = [(prepared, rows[index], records[index], shapes) for index in block]
            for contents in pool.map(lambda job: _read(*job), chosen):
                for name, content in contents.items():
                    files[name].write(content)
                    checksums[name] = zlib.crc32(content, checksums[name])
            written = {"rows": block.stop, "crc32": checksums}
            _flush(out, files, {"source": source, "shapes": _as_lists(shapes), **written})
            bar.update(len(block))
    _finish(out, rows, shapes, source=source)


def array_shapes(rows: Sequence[Row], size: tuple[int, int]) -> Shapes:
    """Return the shape of each array that the rows need, for images of `size` (height, width)."""
    kinds = {kind for row in rows for kind in row["files"]}
    return {
        name: (len(rows), *size, 3) if kind == "image" else (len(rows), *size)
        for kind, name in ARRAY_NAMES.items()
        if kind in kinds
    }


def packed_bytes(shapes: Shapes) -> int:
    """Return the bytes of all arrays together."""
    return sum(int(np.prod(shape)) for shape in shapes.values())


def _read(folder: Path, row: Row, record: FaceRecord, shapes: Shapes) -> dict[str, bytes]:
    """Return the bytes of one row of each array; what the sample does not have is 0, and its manifest row says so."""
    if not is_whole(folder, row):
        raise UserError(
            f"{folder}: the files of {row['id']} are not those of the manifest (SHA-256); run the command that "
            "prepared the folder again"
        )
    stored = record.read()
    if stored.image.shape[:2] != shapes["images"][1:3]:
        raise UserError(
            f"{record.image}: is {stored.image.shape[:2]} (height, width), the first image is "
            f"{shapes['images'][1:3]}; a packed set has one size: align the photos to one"
        )
    contents = zip(ARRAY_NAMES.values(), stored, strict=True)
    return {
        name: bytes(int(np.prod(shapes[name][1:]))) if content is None else content.tobytes()
        for name, content in contents
        if name in shapes
    }


def _blocks(start: int, stop: int, shapes: Shapes) -> Iterator[range]:
    step = max(1, BLOCK_BYTES * stop // packed_bytes(shapes))
    for first in range(start, stop, step):
        yield range(first, min(first + step, stop))


def _rows_done(out: Path, *, source: str, shapes: Shapes) -> tuple[int, dict[str, int]]:
    """Return how many rows a stopped run left behind, and the CRC-32 of those bytes of each array.

    Nothing counts where it packed something else, or where the bytes are no longer those that it wrote.
    """
    nothing = 0, dict.fromkeys(shapes, 0)
    try:
        progress = json.loads((out / PROGRESS_NAME).read_text(encoding="utf-8"))
        if (progress["source"], progress["shapes"]) != (source, _as_lists(shapes)):
            return nothing
        rows = int(progress["rows"])
        found = {name: _checksum(_partial(out, name), shape, rows=rows) for name, shape in shapes.items()}
        return (rows, found) if found == progress["crc32"] else nothing
    except (OSError, ValueError, KeyError, TypeError):
        return nothing


def _checksum(path: Path, shape: tuple[int, ...], *, rows: int) -> int:
    """Return the CRC-32 of the first `rows` rows of an unfinished array."""
    left, checksum = rows * int(np.prod(shape[1:])), 0
    with path.open("rb") as stream:
        stream.seek(_header_bytes(shape))
        while left > 0 and (part := stream.read(min(left, READ_BYTES))):
            checksum, left = zlib.crc32(part, checksum), left - len(part)
    return checksum


def _continue(out: Path, name: str, shape: tuple[int, ...], *, done: int) -> BinaryIO:
    """Return the file of an array, open behind its row `done`."""
    out.mkdir(parents=True, exist_ok=True)
    path = _partial(out, name)
    stream: BinaryIO = path.open("r+b" if done else "w+b")
    if done == 0:
        np.lib.format.write_array_header_1_0(stream, _header(shape))
    stream.seek(_header_bytes(shape) + done * int(np.prod(shape[1:])))
    stream.truncate()
    return stream


def _flush(out: Path, files: dict[str, BinaryIO], progress: dict[str, Any]) -> None:
    for stream in files.values():
        stream.flush()
        os.fsync(stream.fileno())
    write_bytes(out / PROGRESS_NAME, json.dumps(progress).encode())


def _finish(out: Path, rows: Sequence[Row], shapes: Shapes, *, source: str) -> None:
    """Give the arrays their names, the index last."""
    arrays, checksums = {}, []
    for name, shape in shapes.items():
        path = out / f"{name}.npy"
        if _partial(out, name).exists():
            _partial(out, name).replace(path)
        array = PackedArray(path, shape, path.stat().st_size, sha256(path))
        arrays[name] = {
            "file": path.name, "shape": list(shape), "bytes": array.file_bytes, "sha256": array.sha256
        }  # fmt: skip
        checksums.append(row_checksums(array))
    stream = io.BytesIO()
    np.save(stream, np.stack(checksums, axis=1))
    write_bytes(out / CHECKSUMS_NAME, stream.getvalue())
    manifest = write_manifest(out, rows)
    index = {
        "format": FORMAT, "source_manifest_sha256": source, "manifest_sha256": sha256(manifest), "count": len(rows),
        "crop": rows[0]["crop"], "arrays": arrays, "checksums_sha256": sha256(out / CHECKSUMS_NAME),
    }  # fmt: skip
    write_bytes(out / INDEX_NAME, (json.dumps(index, indent=2) + "\n").encode())
    (out / PROGRESS_NAME).unlink(missing_ok=True)


def _check_space(out: Path, shapes: Shapes, *, done: int) -> None:
    there = next(folder for folder in (out, *out.resolve().parents) if folder.exists())
    total = next(iter(shapes.values()))[0]
    needed = packed_bytes(shapes) * (total - done) // total
    free = shutil.disk_usage(there).free
    if free < needed:
        raise UserError(f"{out}: {needed / 1e6:.2f} MB are needed and {free / 1e6:.2f} MB are free; make room")


def _partial(out: Path, name: str) -> Path:
    return out / f".{name}.npy.partial"


def _header(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"descr": "|u1", "fortran_order": False, "shape": shape}


def _header_bytes(shape: tuple[int, ...]) -> int:
    """Return the length of the header that NumPy writes, which is padded to a multiple of 64 bytes."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, _header(shape))
    return stream.tell()


def _as_lists(shapes: Shapes) -> dict[str, list[int]]:
    return {name: list(shape) for name, shape in shapes.items()}
