"""Training state on disk: written whole or not at all, read back before it counts, loaded without running code.

The last two states are kept, so that a file that was damaged later costs no more than the way between two of them.
"""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from common.errors import UserError

HEADROOM_BYTES = 1_000_000  # for what is no tensor, and for the log and metrics that are written meanwhile
log = logging.getLogger("occface")


def save_state(path: Path, state: dict[str, Any], *, older: Path | None = None) -> None:
    """Write `state` (tensors, numbers, texts, lists and mappings) such that `path` is always a whole file.

    Free space is checked first. The state is written under a temporary name in the same folder, flushed to the disk,
    read back and renamed.

    Args:
        older: where the state that was at `path` goes.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    needed = tensor_bytes(state) + HEADROOM_BYTES
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise _unwritable(path, f"it needs {needed / 1e6:.0f} MB")
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        _check(partial)
        torch.load(partial, map_location="meta", weights_only=True)
        if older is not None and path.exists():
            path.replace(older)
        partial.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:  # torch tells of a write that failed in its own ways
        partial.unlink(missing_ok=True)
        raise _unwritable(path, getattr(error, "strerror", None) or _first_line(error)) from error


def load_state(path: Path) -> dict[str, Any]:
    """Return the state saved at `path`, on the CPU.

    Raises:
        UserError: the file is damaged or holds something else than plain state.
    """
    try:
        _check(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file; none of them is a fault of ours
        raise UserError(
            f"{path}: is no readable training state ({type(error).__name__}: {_first_line(error)}); "
            "remove it to start from an older checkpoint or from the beginning"
        ) from error
    if not isinstance(state, dict):
        raise UserError(f"{path}: expected a mapping of training state, found {type(state).__name__}")
    return state


def load_last_state(path: Path, *, older: Path) -> dict[str, Any] | None:
    """Return the state at `path`, or the one before where that is damaged or was never renamed; None without any.

    A damaged file is moved aside under the name `damaged_...`, lest it take the place of the older state.

    Raises:
        UserError: `path` is damaged and there is no older state.
    """
    if path.exists():
        try:
            return load_state(path)
        except UserError as error:
            if not older.exists():
                raise
            aside = path.with_name(f"damaged_{path.name}")
            log.warning("%s; it is kept as %s, and the run goes on from %s", error, aside.name, older.name)
            path.replace(aside)
    return load_state(older) if older.exists() else None


def tensor_bytes(content: Any) -> int:
    """Return the bytes of all tensors in nested mappings and lists."""
    if isinstance(content, torch.Tensor):
        return content.numel() * content.element_size()
    if isinstance(content, Mapping):
        content = content.values()
    if isinstance(content, Iterable) and not isinstance(content, str | bytes):
        return sum(tensor_bytes(part) for part in content)
    return 0


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _check(path: Path) -> None:
    """Raise `zipfile.BadZipFile` where the bytes of a member do not fit its checksum."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} does not fit its checksum")


def _sync_folder(folder: Path) -> None:
    """Flush the names in `folder` to the disk, where the system can: a rename outlives a power cut only then."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, reason: str) -> UserError:
    free_mb = shutil.disk_usage(path.parent).free / 1e6
    return UserError(
        f"{path}: cannot be written ({reason}); {free_mb:.0f} MB are free there. The last whole checkpoint is "
        "untouched: make room and run the same command again"
    )
