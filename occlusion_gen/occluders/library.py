"""Occluders from folders: read when first asked for, kept small, shared by all worker processes.

Layouts: a folder of RGBA cut-outs, or a folder with `images/` and `masks/` of equal stems; `python -m occlusion_gen
import` makes them from published data sets. For textures see `occlusion_gen.occluders.textures`.

An occluder is cut to its mask's box and shrunk to what a crop can need, then kept in memory that all processes of the
machine share (see `shared_arrays`) up to a budget. When the budget is used up, what is kept stays and the rest is read
from its file each time: with random access nothing is gained by throwing one out for another.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.image_io import READING_CODE, list_images, read_image, read_mask, read_rgba
from occlusion_gen.occluders import rgba as rgba_module
from occlusion_gen.occluders.groups import Split, digest_of_files, held_out, one_side
from occlusion_gen.occluders.rgba import cut_to_box, extend_colours, shrink, shrink_by_halves
from occlusion_gen.occluders.shared_arrays import MEMORY_BUDGET_BYTES, Arrays, open_arrays
from occlusion_gen.occluders.textures import TextureLibrary, open_textures

__all__ = ["OccluderLibrary", "Split", "TextureLibrary", "held_out", "open_occluders", "open_textures", "read_cutout"]

Image8 = NDArray[np.uint8]
Entry = tuple[Path, Path | None]
SMALLEST_LEVEL_PX = 16


@dataclass
class OccluderLibrary:
    """RGBA occluders by index, cut to their masks' boxes and shrunk to at most `max_side_px`.

    Attributes:
        files: (image, mask or None) of each occluder, sorted.
        max_side_px: longest side kept in memory; a crop never needs more.
        budget_bytes: of all occluders and their smaller levels that are kept in memory.
        rectangles_allowed: take files without any transparency, which float over faces as rectangles.
    """

    files: Sequence[Entry]
    max_side_px: int
    budget_bytes: int = MEMORY_BUDGET_BYTES
    rectangles_allowed: bool = False

    def __len__(self) -> int:
        return len(self.files)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"_arrays": self._arrays}

    def name(self, index: int) -> str:
        """Return the file name of an occluder, for manifests."""
        return self.files[index][0].name

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over names and sizes of the files: equal on every machine that has the same folder."""
        return digest_of_files([path for entry in self.files for path in entry if path is not None])

    def __getitem__(self, index: int) -> Image8:
        """Return occluder `index` as (h, w, 4) uint8 RGBA with straight alpha; its box touches all four edges.

        Pixels that are not opaque carry the colours of the opaque ones around them. The array is read-only: other
        processes use it, too.

        Raises:
            UserError: the file is unreadable, its mask empty, of another size, or a rectangle.
        """
        return self._level(range(len(self.files))[index], 0)

    def level(self, index: int, scale: float) -> tuple[Image8, float]:
        """Return occluder `index` shrunk for pasting at `scale`, and by which factor it was shrunk.

        Shrinking by much more than a half with bilinear interpolation leaves out pixels. The occluder that comes back
        has 1, 1/2, 1/4, ... of the size, never less than `scale`, so at most a half is left to do.

        Args:
            scale: pixels of the crop per pixel of `library[index]`.

        Returns:
            RGBA (h, w, 4) uint8, read-only, and its factor. Its pixel (x, y) has its centre at
            ((x, y) + 0.5) / factor - 0.5 in `library[index]`. Its right and lower edge may be transparent.

        Raises:
            UserError: as for `library[index]`.
        """
        halves = math.floor(math.log2(1 / scale) + 1e-9) if 0 < scale < 1 else 0
        largest = max(self[index].shape[:2])
        halves = max(0, min(halves, int(math.log2(max(largest / SMALLEST_LEVEL_PX, 1)))))
        return self._level(range(len(self.files))[index], halves), 2.0**-halves

    def at_scale(self, index: int, max_side_px: float) -> Image8:
        """Return the smallest level of occluder `index` whose long side is at least `max_side_px`, or all of it."""
        return self.level(index, max_side_px / max(self[index].shape[:2]))[0]

    def check(self) -> list[str]:
        """Return what is wrong with which file, after reading every one of them."""
        problems = []
        for index in range(len(self.files)):
            try:
                self[index]
            except UserError as error:
                problems.append(str(error))
        return problems

    @functools.cached_property
    def _arrays(self) -> Arrays:
        count = len(self.files) * self._levels
        paths = [path for entry in self.files for path in entry if path is not None]
        return open_arrays(
            paths,
            made_by=("occluders", self.max_side_px, self.rectangles_allowed),
            code=[Path(__file__), Path(rgba_module.__file__), *READING_CODE],
            count=count,
            budget_bytes=self.budget_bytes,
            bound_bytes=len(self.files) * 4 * self.max_side_px**2 * 4 // 3,
        )

    @property
    def _levels(self) -> int:
        return 1 + int(math.log2(max(self.max_side_px / SMALLEST_LEVEL_PX, 1)))

    def _level(self, index: int, halves: int) -> Image8:
        number = index * self._levels + halves
        found = self._arrays.get(number)
        if found is not None:
            return found
        if halves:
            return self._arrays.put(number, extend_colours(shrink_by_halves(self._level(index, 0), halves)))
        image, mask = self.files[index]
        cut = read_cutout(image, mask, rectangles_allowed=self.rectangles_allowed)
        return self._arrays.put(number, extend_colours(shrink(cut, self.max_side_px)))


def read_cutout(image_path: Path, mask_path: Path | None, *, rectangles_allowed: bool = False) -> Image8:
    """Return the cut-out (h, w, 4) uint8 RGBA of an RGBA file, or of an image and its mask, cut to its box.

    Raises:
        UserError: a file is unreadable, the mask empty or of another size, or nothing is transparent.
    """
    try:
        image = read_rgba(image_path) if mask_path is None else read_image(image_path)
        mask = None if mask_path is None else read_mask(mask_path)
    except UserError as error:
        raise UserError(str(error)) from error  # not a record's error: a bad occluder is no fault of the face
    if mask is not None:
        if image.shape[:2] != mask.shape:
            raise UserError(
                f"{mask_path}: mask is {mask.shape} but its image is {image.shape[:2]} (height, width); "
                "save both at the same size"
            )
        image = np.dstack([image, mask.astype(np.uint8) * np.uint8(255)])
    if image[..., 3].min() == 255 and not rectangles_allowed:
        raise UserError(
            f"{mask_path or image_path}: nothing is transparent, so the whole rectangle would float over faces; save "
            "it with an alpha channel, put masks into masks/ beside images/, cut photos on white out with "
            "`python -m occlusion_gen cutout`, or allow rectangles"
        )
    cut = cut_to_box(image)
    if cut is None:
        raise UserError(f"{mask_path or image_path}: nothing in it is opaque; mend its mask or remove the file")
    return cut


def open_occluders(
    folder: Path,
    *,
    split: Split,
    holdout_share: float,
    max_side_px: int,
    rectangles_allowed: bool = False,
    budget_bytes: int = MEMORY_BUDGET_BYTES,
) -> OccluderLibrary:
    """Return one side of the cut-outs in `folder`; no file, subject or source photo is on both sides.

    Args:
        holdout_share: share of the groups (see `groups`) that belongs to "validation", chosen by a hash.

    Raises:
        UserError: the folder holds no cut-outs, masks are missing, or the chosen side is empty.
    """
    pairs = (folder / "images").is_dir()
    files = _pairs_in(folder) if pairs else [(path, None) for path in list_images(folder)]
    opaque = [path.name for path, mask in files if mask is None and path.suffix.lower() in (".jpg", ".jpeg")]
    if opaque and not rectangles_allowed:
        raise UserError(
            f"{folder}: {len(opaque)} of {len(files)} files are JPEG, which has no transparency, e.g. {opaque[:3]}; "
            "expected RGBA files, or folders images/ and masks/; photos on white are cut out by "
            "`python -m occlusion_gen cutout`"
        )
    images = one_side(folder, [image for image, _ in files], split=split, holdout_share=holdout_share)
    masks = dict(files)
    chosen = [(image, masks[image]) for image in images]
    return OccluderLibrary(chosen, max_side_px, budget_bytes, rectangles_allowed)


def _pairs_in(folder: Path) -> list[Entry]:
    images, masks = list_images(folder / "images"), list_images(folder / "masks")
    for paths in (images, masks):
        repeated = [stem for stem, count in Counter(path.stem for path in paths).items() if count > 1]
        if repeated:
            raise UserError(
                f"{paths[0].parent}: {len(repeated)} stems stand twice, e.g. {repeated[:3]}; images and masks find "
                "each other by their stems, so rename or remove one of each"
            )
    by_stem = {path.stem: path for path in masks}
    lone = [path.name for path in images if path.stem not in by_stem]
    if lone:
        raise UserError(f"{folder}: {len(lone)} images have no mask of the same stem in masks/, e.g. {lone[:3]}")
    return [(path, by_stem[path.stem]) for path in images]
