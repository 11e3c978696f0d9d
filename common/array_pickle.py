"""Pickles that hold nothing but arrays of numbers, read without running anything that is written in them."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_array_pickle(path: Path, *, max_bytes: int) -> Any:
    """Return what the pickle holds: arrays of numbers, in lists or dictionaries if at all.

    Args:
        path: of the pickle, of any protocol, written by Python 2 or 3.
        max_bytes: refuse larger files before reading them.

    Raises:
        ValueError: the file is too large, damaged, or asks for anything but arrays.
        OSError: it cannot be read.
    """
    if path.stat().st_size > max_bytes:
        raise ValueError(f"is larger than {max_bytes} bytes")
    content = path.read_bytes()
    try:
        _check_sizes(content)
        return _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"a pickle may hold nothing but NumPy arrays ({type(error).__name__}: {error})") from error


def _check_sizes(content: bytes) -> None:
    """Raise `ValueError` where a pickle asks for more memory than its own length explains, before it gets any."""
    for opcode, argument, _ in pickletools.genops(content):  # refuses texts and bytes that are longer than the file
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise ValueError(f"a list of {argument} objects in {len(content)} bytes")


class _Array:
    """Stands for `numpy.ndarray` in a pickle, and cannot be called."""


def _reconstruct(subtype: object, shape: object, dtype: object) -> NDArray[Any]:
    """Return the empty array that the pickle's state then fills; a shape here could ask for any amount of memory."""
    if subtype is not _Array:
        raise pickle.UnpicklingError("an array of an unknown class")
    return np.empty((0,), np.uint8)


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """Return the bytes that protocols 0 to 2 write as text."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("an unknown encoding of bytes")
    return text.encode("latin1")


def _from_buffer(buffer: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: str) -> NDArray[Any]:
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")


class _ArrayUnpickler(pickle.Unpickler):
    """Reads pickles that hold nothing but arrays of numbers, lists, dictionaries, numbers and text."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name in the pickle stands for; refuse all but the four that arrays need."""
        core = module.removeprefix("numpy._core").removeprefix("numpy.core")
        known: dict[tuple[str, str], type | Callable[..., Any]] = {
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): np.dtype,
            (".multiarray", "_reconstruct"): _reconstruct,
            (".numeric", "_frombuffer"): _from_buffer,
            ("_codecs", "encode"): _encode,
        }
        if (core, name) not in known or (core.startswith(".") and not module.startswith("numpy.")):
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return known[core, name]
