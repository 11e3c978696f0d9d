"""Textures from folders, shared by all worker processes as occluders are.

Layouts: {class}/{name}.jpg (DTD) or {class}_{name}.jpg.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.image_io import READING_CODE, list_images, read_image
from occlusion_gen.occluders.groups import Split, digest_of_files, one_side
from occlusion_gen.occluders.shared_arrays import MEMORY_BUDGET_BYTES, Arrays, open_arrays

Image8 = NDArray[np.uint8]


@dataclass
class TextureLibrary:
    """Textures by class and index, as RGB squares.

    Attributes:
        files: class name -> sorted files.
        side_px: side of the square that a texture is resized to.
        budget_bytes: of all textures that are kept in memory.
    """

    files: dict[str, list[Path]]
    side_px: int
    budget_bytes: int = MEMORY_BUDGET_BYTES
    _numbers: dict[Path, int] = field(init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"_arrays": self._arrays}

    def __post_init__(self) -> None:
        self._numbers = {path: number for number, path in enumerate(self._paths)}

    @property
    def classes(self) -> list[str]:
        """Class names, sorted."""
        return sorted(self.files)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over names and sizes of the files: equal on every machine that has the same folder."""
        return digest_of_files(self._paths)

    def read(self, path: Path) -> Image8:
        """Return the texture as (side, side, 3) uint8 RGB, read-only.

        Raises:
            UserError: the file is unreadable.
        """
        number = self._numbers[path]
        found = self._arrays.get(number)
        if found is not None:
            return found
        try:
            image = read_image(path)
        except UserError as error:
            raise UserError(str(error)) from error  # not a record's error: a bad texture is no fault of the face
        shrinks = min(image.shape[:2]) > self.side_px
        filter_ = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return self._arrays.put(number, cv2.resize(image, (self.side_px, self.side_px), interpolation=filter_))

    @property
    def _paths(self) -> list[Path]:
        return [path for name in self.classes for path in self.files[name]]

    @functools.cached_property
    def _arrays(self) -> Arrays:
        count = len(self._numbers)
        return open_arrays(
            self._paths,
            made_by=("textures", self.side_px),
            code=[Path(__file__), *READING_CODE],
            count=count,
            budget_bytes=self.budget_bytes,
            bound_bytes=count * 3 * self.side_px**2,
        )


def open_textures(folder: Path, *, split: Split, holdout_share: float, side_px: int) -> TextureLibrary:
    """Return one side of the textures in `folder`, grouped by class.

    The class is the sub-folder, or what stands before the last underscore of the name.

    Raises:
        UserError: there is no texture on the chosen side.
    """
    files = list_images(folder, recursive=True)
    classes: dict[str, list[Path]] = {}
    for path in one_side(folder, files, split=split, holdout_share=holdout_share):
        name = path.parent.name if path.parent != folder else path.stem.rpartition("_")[0] or path.stem
        classes.setdefault(name, []).append(path)
    return TextureLibrary(classes, side_px)
