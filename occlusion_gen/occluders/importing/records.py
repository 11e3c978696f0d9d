"""What the readers of layouts hand on, and the worker that turns it into files.

OUT/{id}.png         RGBA cut to the occluder (textures: {class}/{name}, as they are)
OUT/index.csv        file, source, group, class, licence: the library takes the groups from here
OUT/manifest.jsonl   the same and every failure with its reason
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from common.errors import RecordError, UserError
from common.image_io import read_image, write_bytes, write_rgba
from common.manifest import Row, sha256
from occlusion_gen.occluders.importing.outlines import MaskFile, Outline
from occlusion_gen.occluders.rgba import cut_to_box

Image8 = NDArray[np.uint8]
INDEX_NAME = "index.csv"
INDEX_COLUMNS = ("file", "source", "group", "class", "licence")


class ImportRecord(Protocol):
    """One occluder or texture of a data set. Picklable.

    Attributes:
        id: its name in the output, unique.
        image: the file it comes from.
        group: what it must not be separated from: a subject, a photo, a video.
        category: its class in the data set.
        licence: of the image, empty where the data set says nothing.
    """

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def image(self) -> Path: ...  # noqa: D102
    @property
    def group(self) -> str: ...  # noqa: D102
    @property
    def category(self) -> str: ...  # noqa: D102
    @property
    def licence(self) -> str: ...  # noqa: D102

    def write(self, output: Path) -> str:
        """Write the file below `output` and return its path there.

        Raises:
            RecordError: a source is unreadable or does not fit.
        """
        ...


@dataclass(frozen=True)
class CutoutRecord:
    """An occluder in a photo."""

    id: str
    image: Path
    outline: Outline
    group: str
    category: str
    licence: str = ""

    def write(self, output: Path) -> str:
        """Write {id}.png, cut to the occluder's box, and return its name.

        Raises:
            RecordError: a source is unreadable, or nothing of the occluder lies in the photo.
        """
        rgba = cut_to_box(self.outline.cut(read_image(self.image), name=f"{self.image} ({self.id})"))
        if rgba is None:
            raise RecordError(f"{self.image}: nothing of {self.id} lies in the photo", outcome="nothing_found")
        write_rgba(output / f"{self.id}.png", rgba)
        return f"{self.id}.png"


@dataclass(frozen=True)
class TextureRecord:
    """A texture, copied byte by byte into the folder of its class."""

    id: str
    image: Path
    group: str
    category: str
    licence: str = ""

    def write(self, output: Path) -> str:
        """Copy the file to {class}/{name} and return that.

        Raises:
            RecordError: it is no readable image.
        """
        read_image(self.image)
        name = f"{self.category}/{self.image.name}"
        write_bytes(output / name, self.image.read_bytes())
        return name


@dataclass(frozen=True)
class Importer:
    """Writes a record's file and returns its manifest row. Picklable.

    Attributes:
        source: folder of the data set; sources are named relative to it.
        output: folder to write into.
    """

    source: Path
    output: Path

    def __call__(self, record: ImportRecord) -> Row:
        """Return the row of `record`.

        Raises:
            RecordError: a source is unreadable or does not fit.
        """
        name = record.write(self.output)
        return {
            "id": record.id,
            "outcome": "ok",
            "source": Path(os.path.relpath(record.image, self.source)).as_posix(),
            "source_sha256": source_digest(record),
            "group": record.group,
            "class": record.category,
            "licence": record.licence,
            "files": {"occluder": name},
            "sha256": {"occluder": sha256(self.output / name)},
        }


def source_digest(record: ImportRecord) -> str:
    """Return the SHA-256 of a record's image, and of its mask file where it has one."""
    digest = sha256(record.image)
    outline = getattr(record, "outline", None)
    return f"{digest} {sha256(outline.path)}" if isinstance(outline, MaskFile) else digest


def write_index(output: Path, rows: Iterable[Row]) -> Path:
    """Write `index.csv` of all occluders and return its path."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(INDEX_COLUMNS)
    for row in rows:
        if row["outcome"] == "ok":
            writer.writerow([row["files"]["occluder"], *(row[column] for column in INDEX_COLUMNS[1:])])
    path = output / INDEX_NAME
    write_bytes(path, stream.getvalue().encode(errors="backslashreplace"))
    return path


def require(source: Path, *, layout: str, tree: str, missing: Sequence[str]) -> None:
    """Stop with one message that shows the expected tree, if anything is missing.

    Raises:
        UserError: `missing` is not empty.
    """
    if missing:
        listed = "\n".join(f"  {line}" for line in missing)
        shown = "\n".join(f"  {line}" for line in tree.strip("\n").splitlines())
        raise UserError(f"{source}: is not laid out as {layout}. Missing:\n{listed}\nExpected below it:\n{shown}")
