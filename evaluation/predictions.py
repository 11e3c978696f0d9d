"""Predictions that other code wrote: a folder with one file an image, named by the image's id.

DIR/{id}.png     8-bit grey of the photo's size: a mask, or probabilities 0..255
DIR/{id}.npy     (H, W) bool or uint8, or float32 / float64 probabilities in 0..1

Sub-folders of the ids are kept. Names, sizes and types of all files are looked at before anything is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.errors import RecordError, UserError
from common.image_io import SUFFIXES, image_size, read_label
from evaluation.probabilities import as_probability

Kind = Literal["mask", "probability"]
Size = tuple[int, int]

PNG, NPY = ".png", ".npy"
GREY_MODES = ("L", "1")
SHOWN = 8  # names a problem; the message counts the rest


class PredictionFolder:
    """A folder of predictions for one test set.

    Args:
        folder: holds a file for each image.
        kind: mask: two values, of which the higher is face; probability: of face.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: Path, *, kind: Kind) -> None:
        if not folder.is_dir():
            found = "a file" if folder.exists() else "nothing"
            raise UserError(f"{folder}: expected a folder of predictions, found {found}")
        self.folder = folder
        self.kind = kind

    def check(self, sizes: Mapping[str, Size]) -> None:
        """Look at the names and headers of all files.

        Args:
            sizes: (height, width) of each photo of the set, by id.

        Raises:
            UserError: lists all predictions that are missing, extra, of another size or of another type.
        """
        files = self._files()
        wanted = {name: path for name in sizes for path in files.get(name, []) if path.suffix.lower() in (PNG, NPY)}
        problems = [
            *_note("images without a prediction NAME.png or NAME.npy", sizes.keys() - files.keys()),
            *_note("predictions of no image of the set", files.keys() - sizes.keys()),
            *_note("images with more than one prediction", (name for name in sizes if len(files.get(name, [])) > 1)),
            *_note(
                "predictions of another type",
                (str(files[name][0]) for name in sizes if name in files and name not in wanted),
            ),
        ]
        unequal, odd = [], []
        for name, path in wanted.items():
            try:
                found = _header(path)
            except RecordError as error:
                odd.append(str(error))
                continue
            if found != sizes[name]:
                unequal.append(f"{path} is {_told(found)}, its photo {_told(sizes[name])}")
        problems += [*_note("predictions of another size (height x width)", unequal), *_note("unusable files", odd)]
        if problems:
            listed = "\n".join(f"  {problem}" for problem in problems)
            raise UserError(
                f"{self.folder}: these predictions do not fit the test set; nothing was scored. Expected one 8-bit "
                f"grey PNG or NumPy file an image, of the photo's size:\n{listed}"
            )

    def read(self, name: str) -> NDArray[np.float32]:
        """Return the prediction for the image `name` as probabilities (H, W) float32; masks become 0 and 1.

        Raises:
            RecordError: the file is damaged, or its values are not of the kind that was named; they are told.
        """
        path = next(path for suffix in (PNG, NPY) if (path := self.folder / f"{name}{suffix}").is_file())
        stored = _read_npy(path) if path.suffix == NPY else read_label(path)
        try:
            return as_probability(_two_valued(stored) if self.kind == "mask" else _not_zero_one(stored))
        except ValueError as error:
            raise RecordError(f"{path}: {error}", outcome="bad_prediction") from error

    def _files(self) -> dict[str, list[Path]]:
        """Return the files by their path in the folder without suffix."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self.folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES | {NPY} and not path.name.startswith("."):
                name = path.relative_to(self.folder).as_posix()
                found.setdefault(name[: -len(path.suffix)], []).append(path)
        return found


def find_predictions(root: Path, set_name: str, *, only_set: bool, kind: Kind) -> PredictionFolder:
    """Return the predictions of one set: `root/{set_name}`, or `root` itself where it is the only set.

    Raises:
        UserError: there is no such folder.
    """
    named = root / set_name
    return PredictionFolder(root if only_set and not named.is_dir() else named, kind=kind)


def _header(path: Path) -> Size:
    """Return (height, width).

    Raises:
        RecordError: it is no grey image of 8 bits and no array of two axes.
    """
    if path.suffix.lower() == NPY:
        return _shape(path, _read_npy(path, mapped=True))
    size = image_size(path)
    with Image.open(path) as image:
        if image.mode not in GREY_MODES:
            raise RecordError(f"{path}: expected 8-bit grey, found mode {image.mode}", outcome="bad_prediction")
    return size


def _read_npy(path: Path, *, mapped: bool = False) -> NDArray:
    try:
        found = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RecordError(f"{path}: cannot be read ({error})", outcome="bad_prediction") from error
    _shape(path, found)
    return found


def _shape(path: Path, found: NDArray) -> Size:
    known = found.dtype in (np.bool_, np.uint8) or np.issubdtype(found.dtype, np.floating)
    if found.ndim != 2 or not known:
        raise RecordError(
            f"{path}: expected (H, W) bool, uint8 or float, found {found.shape} {found.dtype}", outcome="bad_prediction"
        )
    return found.shape[0], found.shape[1]


def _two_valued(stored: NDArray) -> NDArray[np.bool_]:
    """Return where a mask is set.

    Raises:
        ValueError: it has other values than a mask.
    """
    values = np.unique(stored)
    if not (set(values.tolist()) <= {0, 1} or set(values.tolist()) <= {0, 255}):
        raise ValueError(
            f"expected a mask with values {{0, 1}} or {{0, 255}}, found {len(values)} values, "
            f"{values[:8].tolist()} ...; for probabilities set prediction_kind=probability"
        )
    return stored > 0


def _not_zero_one(stored: NDArray) -> NDArray:
    """Return stored probabilities.

    Raises:
        ValueError: they are bytes of 0 and 1, which would all be next to nothing.
    """
    if stored.dtype == np.uint8 and stored.max(initial=0) == 1:
        raise ValueError(
            "expected probabilities 0..255, found the values 0 and 1 alone, as in masks; for masks set "
            "prediction_kind=mask; save true probabilities as NumPy floats"
        )
    return stored


def _note(what: str, names: Iterable[str]) -> list[str]:
    """Return one line for all `names`, or none."""
    ordered = sorted(names)
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return [f"{len(ordered)} {what}: {', '.join(ordered[:SHOWN])}{more}"] if ordered else []


def _told(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
