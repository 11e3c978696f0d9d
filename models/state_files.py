"""State dicts of others: read without running code, with the wrappings of common trainers taken off."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from common.errors import UserError

State = dict[str, torch.Tensor]
SAFETENSORS = ".safetensors"
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # where trainers put the state dict in their checkpoints
PARALLEL_PREFIX = "module."  # of networks saved from inside DataParallel


def read_state(path: Path) -> State:
    """Return the tensors of a .safetensors file or of a checkpoint of PyTorch, on the CPU.

    Checkpoints are pickles, which can run code; nothing but tensors and plain containers is let in. A state dict inside
    a mapping is taken out, and the prefix `module.` taken off.

    Raises:
        UserError: the file is missing, cut off, holds objects that would run code, or no state dict.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such weights file; `python -m models list` tells what there is and where from")
    if path.suffix == SAFETENSORS:
        return read_safetensors(path)[0]
    return _strip(_unwrap(path, _read_pickle(path)))


def read_safetensors(path: Path) -> tuple[State, dict[str, str]]:
    """Return the tensors and the metadata of a .safetensors file.

    Raises:
        UserError: the file is cut off or of another format.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            state = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - no mapping
            return state, stream.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: is no whole safetensors file ({error}); copy or train it again") from error


def _read_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        named = re.search(r"GLOBAL ([\w.]+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if named:
            raise UserError(
                f"{path}: holds more than tensors ({named[1]}), which could run any program when it is loaded; "
                "refused, nothing of it was run. Ask its maker for a plain state dict or a .safetensors file"
            ) from error
        raise UserError(
            f"{path}: is no whole checkpoint of PyTorch ({path.stat().st_size} bytes; {_reason(error)}); it may be cut "
            "off: fetch or copy it again"
        ) from error


def _reason(error: Exception) -> str:
    """Return the first line of an error, or of what PyTorch's reader says beneath its advice to trust the file."""
    text = str(error).rsplit("WeightsUnpickler error:", 1)[-1].strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _unwrap(path: Path, content: Any) -> State:
    for _ in range(2):
        inner = [content[key] for key in WRAPPERS if isinstance(content, Mapping) and key in content]
        if inner and isinstance(inner[0], Mapping):
            content = inner[0]
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: expected a state dict, names to tensors, found {type(content).__name__}")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        shown = ", ".join(map(str, list(content)[:5])) or "nothing"
        raise UserError(f"{path}: expected a state dict, names to tensors, found a mapping with {shown}")
    return tensors


def _strip(state: State) -> State:
    if all(name.startswith(PARALLEL_PREFIX) for name in state):
        return {name.removeprefix(PARALLEL_PREFIX): tensor for name, tensor in state.items()}
    return state
