"""Published weights: what is known, where it comes from, and whether a file is the one that it should be."""

from __future__ import annotations

import logging
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated

from pydantic import Field

from common.config import Section, read_yaml, validate
from common.errors import DISK_FULL, UserError
from common.manifest import sha256
from configs.schema.network import ModelSection, Normalisation
from models.card import Card, make_preprocessing
from models.network import build_spec

REGISTRY = Path(__file__).resolve().parent / "registry.yaml"
REPOSITORY_WEIGHTS = REGISTRY.parent.parent / "weights"
FOLDER_VARIABLE, MIRROR_VARIABLE = "OCCFACE_WEIGHTS", "OCCFACE_WEIGHTS_MIRROR"
TIMEOUT_S = 60
BLOCK_BYTES = 1 << 20
log = logging.getLogger("occface")


class Input(Section):
    """How the input of published weights is made."""

    size: int
    method: str
    template: str
    normalisation: Normalisation


class Entry(Section):
    """One published file."""

    about: str
    file: str = Field(description="its name in a weights folder or a mirror")
    bytes: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(description="null: not published")
    url: str | None = Field(description="null: must be fetched by hand from its source")
    source: str
    licence: str
    network: ModelSection
    preprocessing: Input
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5

    def card(self) -> Card:
        """Return the card that the file itself does not carry."""
        made = self.preprocessing
        preprocessing = make_preprocessing(
            made.normalisation, size=made.size, method=made.method, template=made.template
        )
        origin = {"source": self.source, "licence": self.licence, "sha256": self.sha256}
        return Card(build_spec(self.network), preprocessing, self.threshold, origin)


class Registry(Section):
    """All published files by name."""

    entries: dict[str, Entry]


def read_registry(path: Path = REGISTRY) -> dict[str, Entry]:
    """Return the published files by name.

    Raises:
        UserError: the file is no YAML, or has unknown keys or wrong values.
    """
    content = {"entries": read_yaml(path)}
    return validate(content, Registry, source=str(path)).entries


def weights_folder() -> Path:
    """Return the folder that OCCFACE_WEIGHTS names, or weights/ of the repository."""
    return Path(os.environ.get(FOLDER_VARIABLE) or REPOSITORY_WEIGHTS)


def problem_of(path: Path, entry: Entry) -> str | None:
    """Return why the file `path` is not the one of `entry`, None if it is; where no SHA-256 is known, size decides."""
    size = path.stat().st_size
    if size != entry.bytes:
        return f"expected {entry.bytes} bytes, found {size}"
    if entry.sha256 is None:
        log.warning("%s: no SHA-256 of this file is published; its size is right, its content is not verified", path)
        return None
    digest = sha256(path)
    return None if digest == entry.sha256 else f"expected SHA-256 {entry.sha256}, found {digest}"


def identify(path: Path, registry: dict[str, Entry]) -> Entry | None:
    """Return the entry that a file belongs to, by size and SHA-256; None: it is none of them."""
    size = path.stat().st_size
    found = [entry for entry in registry.values() if entry.bytes == size and problem_of(path, entry) is None]
    return found[0] if found else None


def require(name: str, registry: dict[str, Entry]) -> Entry:
    """Return the entry `name`.

    Raises:
        UserError: there is none; the message lists the names.
    """
    if name not in registry:
        raise UserError(f"{name!r} is no known weights file; known: {', '.join(registry)}")
    return registry[name]


def fetch(entry: Entry, folder: Path, *, mirror: str | None = None) -> Path:
    """Return the file of `entry` in `folder`, fetched and verified unless it is there and whole.

    Args:
        mirror: a folder or an address that holds the file under its name, asked instead of its maker.

    Raises:
        UserError: it can be had nowhere, or what came is not the file; nothing is kept then.
    """
    path = folder / entry.file
    if path.is_file():
        problem = problem_of(path, entry)
        if problem is None:
            return path
        log.warning("%s: %s; fetched again", path, problem)
    address = _address(entry, folder, mirror)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{entry.file}.{os.getpid()}.partial"
    try:
        _download(address, partial, entry)
        problem = problem_of(partial, entry)
        if problem is not None:
            raise UserError(f"{address}: {problem}; the file was changed or cut short, and was not kept")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _address(entry: Entry, folder: Path, mirror: str | None) -> str:
    if mirror and "://" in mirror:
        return f"{mirror.rstrip('/')}/{entry.file}"
    if mirror:
        source = Path(mirror).resolve() / entry.file
        if not source.is_file():
            raise UserError(f"{source}: no such file; --mirror names a folder or an address that holds {entry.file}")
        return source.as_uri()
    if entry.url is None:
        raise UserError(
            f"{entry.file} has no address that a program can fetch; get it from {entry.source} and put it into "
            f"{folder}, or give --mirror with a folder that holds it"
        )
    return entry.url


def _download(address: str, partial: Path, entry: Entry) -> None:
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as source, partial.open("wb") as target:
            while block := source.read(BLOCK_BYTES):
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
    except (OSError, ValueError) as error:  # URLError and time-outs are OSErrors
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{address}: cannot be fetched ({reason}); try again, get the file from {entry.source} by hand, or give "
            f"--mirror with a folder that holds {entry.file}"
        ) from error
