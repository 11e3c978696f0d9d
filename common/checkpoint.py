"""Training state on disk: written whole or not at all, read back before it counts, loaded without running code."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from common.errors import UserError


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, texts, lists and mappings) such that `path` is always a whole file.

    It is written under a temporary name in the same folder, flushed to the disk, read back and renamed.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        torch.load(partial, map_location="meta", weights_only=True)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        free_mb = shutil.disk_usage(path.parent).free / 1e6
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); {free_mb:.0f} MB are free there. The last whole "
            "checkpoint is untouched: make room and run the same command again"
        ) from error


def load_state(path: Path) -> dict[str, Any]:
    """Return the state saved at `path`, on the CPU.

    Raises:
        UserError: the file is damaged or holds something else than plain state.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file; none of them is a fault of ours
        raise UserError(
            f"{path}: is no readable training state ({type(error).__name__}: {str(error).splitlines()[0]}); "
            "remove it to start from an older checkpoint or from the beginning"
        ) from error
    if not isinstance(state, dict):
        raise UserError(f"{path}: expected a mapping of training state, found {type(state).__name__}")
    return state
