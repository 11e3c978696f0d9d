"""Occluders and textures from folders, read once and kept small in memory.

Layouts: a folder of RGBA cut-outs; a folder with `images/` and `masks/` of equal stems; a folder of textures, as
{class}/{name}.jpg (DTD) or {class}_{name}.jpg.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.image_io import list_images, read_image, read_mask, read_rgba

Image8 = NDArray[np.uint8]
Split = Literal["train", "validation"]
MEMORY_BUDGET_BYTES = 2 * 1024**3


@dataclass
class OccluderLibrary:
    """RGBA occluders by index, cut to their masks' boxes and shrunk to at most `max_side_px`.

    Attributes:
        files: (image, mask or None) of each occluder, sorted.
        max_side_px: longest side kept in memory; a crop never needs more.
    """

    files: Sequence[tuple[Path, Path | None]]
    max_side_px: int
    budget_bytes: int = MEMORY_BUDGET_BYTES
    _kept: dict[int, Image8] = field(default_factory=dict, repr=False)
    _kept_bytes: int = 0

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """Return the file name of an occluder, for manifests."""
        return self.files[index][0].name

    def __getitem__(self, index: int) -> Image8:
        """Return occluder `index` as (h, w, 4) uint8 RGBA with straight alpha; its box touches all four edges.

        Pixels that are not opaque carry the colours of the opaque ones beside them.

        Raises:
            UserError: the file is unreadable, its mask empty or of another size.
        """
        if index in self._kept:
            return self._kept[index]
        occluder = _extend_colours(_shrink(_cut_to_box(*self._read(index)), self.max_side_px))
        if self._kept_bytes + occluder.nbytes <= self.budget_bytes:
            self._kept[index] = occluder
            self._kept_bytes += occluder.nbytes
        return occluder

    def _read(self, index: int) -> tuple[Path, Image8]:
        image_path, mask_path = self.files[index]
        if mask_path is None:
            return image_path, read_rgba(image_path)
        image, mask = read_image(image_path), read_mask(mask_path)
        if image.shape[:2] != mask.shape:
            raise UserError(
                f"{mask_path}: mask is {mask.shape} but its image is {image.shape[:2]} (height, width); "
                "save both at the same size"
            )
        return image_path, np.dstack([image, mask.astype(np.uint8) * np.uint8(255)])


def open_occluders(folder: Path, *, split: Split, holdout_share: float, max_side_px: int) -> OccluderLibrary:
    """Return one side of the cut-outs in `folder`; no file is on both sides.

    Args:
        holdout_share: share of the files that belongs to "validation", chosen by a hash of the file name.

    Raises:
        UserError: the folder holds no cut-outs, masks are missing, or the chosen side is empty.
    """
    files: list[tuple[Path, Path | None]]
    if (folder / "images").is_dir():
        masks = {path.stem: path for path in list_images(folder / "masks")}
        images = list_images(folder / "images")
        lone = [path.name for path in images if path.stem not in masks]
        if lone:
            raise UserError(f"{folder}: {len(lone)} images have no mask of the same stem in masks/, e.g. {lone[:3]}")
        files = [(path, masks[path.stem]) for path in images]
    else:
        files = [(path, None) for path in list_images(folder)]
    return OccluderLibrary(_one_side(folder, files, split, holdout_share), max_side_px)


@dataclass
class TextureLibrary:
    """Textures by class and index, as RGB squares.

    Attributes:
        files: class name -> sorted files.
        side_px: side of the square that a texture is resized to.
    """

    files: dict[str, list[Path]]
    side_px: int
    _kept: dict[Path, Image8] = field(default_factory=dict, repr=False)

    @property
    def classes(self) -> list[str]:
        """Class names, sorted."""
        return sorted(self.files)

    def read(self, path: Path) -> Image8:
        """Return the texture as (side, side, 3) uint8 RGB."""
        if path not in self._kept:
            image = read_image(path)
            shrinks = min(image.shape[:2]) > self.side_px
            filter_ = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            texture = cv2.resize(image, (self.side_px, self.side_px), interpolation=filter_)
            if len(self._kept) * texture.nbytes > MEMORY_BUDGET_BYTES:
                return texture
            self._kept[path] = texture
        return self._kept[path]


def open_textures(folder: Path, *, split: Split, holdout_share: float, side_px: int) -> TextureLibrary:
    """Return one side of the textures in `folder`, grouped by class.

    The class is the sub-folder, or what stands before the last underscore of the name.

    Raises:
        UserError: there is no texture on the chosen side.
    """
    files = [(path, None) for path in list_images(folder, recursive=True)]
    classes: dict[str, list[Path]] = {}
    for path, _ in _one_side(folder, files, split, holdout_share):
        name = path.parent.name if path.parent != folder else path.stem.rpartition("_")[0] or path.stem
        classes.setdefault(name, []).append(path)
    return TextureLibrary(classes, side_px)


def held_out(names: Sequence[str], holdout_share: float) -> set[str]:
    """Return the names on the held-out side: told by a hash of the name, at least one if the share is above 0.

    New files therefore do not move old ones between the sides, save where chance would have held out none.
    """
    if holdout_share == 0:
        return set()
    places = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64 for name in names}
    return {name for name, place in places.items() if place < holdout_share} or {min(places, key=places.__getitem__)}


def _one_side(
    folder: Path, files: Sequence[tuple[Path, Path | None]], split: Split, holdout_share: float
) -> list[tuple[Path, Path | None]]:
    if not files:
        raise UserError(f"{folder}: holds no image; expected RGBA cut-outs, images/ + masks/, or textures")
    held = held_out([image.name for image, _ in files], holdout_share)
    chosen = [entry for entry in files if (entry[0].name in held) == (split == "validation")]
    if not chosen:
        raise UserError(
            f"{folder}: none of its {len(files)} files belongs to the {split} side at holdout_share "
            f"{holdout_share:g}; add files or change holdout_share"
        )
    return chosen


def _cut_to_box(path: Path, rgba: Image8) -> Image8:
    mask = rgba[..., 3] > 127
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        raise UserError(f"{path}: nothing in it is opaque; mend its mask or remove the file")
    return np.ascontiguousarray(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _shrink(rgba: Image8, max_side_px: int) -> Image8:
    """Return the cut-out with its long side at most `max_side_px`, colours weighted by alpha (no dark fringe)."""
    ratio = max_side_px / max(rgba.shape[:2])
    if ratio >= 1:
        return rgba
    size = (max(1, round(rgba.shape[1] * ratio)), max(1, round(rgba.shape[0] * ratio)))
    alpha = rgba[..., 3:].astype(np.float32) / 255
    premultiplied = np.dstack([rgba[..., :3] * alpha, alpha])
    small = cv2.resize(premultiplied, size, interpolation=cv2.INTER_AREA)
    colour = small[..., :3] / np.maximum(small[..., 3:], 1e-3)
    return np.rint(np.clip(np.dstack([colour, small[..., 3:] * 255]), 0, 255)).astype(np.uint8)


def _extend_colours(rgba: Image8) -> Image8:
    """Return RGBA in which pixels that are not opaque carry the mean colour of opaque pixels around them."""
    colour, opaque = rgba[..., :3], (rgba[..., 3] > 127).astype(np.float32)
    if opaque.all():
        return rgba
    reach = (9, 9)
    weights = cv2.blur(opaque, reach)
    spread = cv2.blur(colour.astype(np.float32) * opaque[..., None], reach) / np.maximum(weights, 1e-6)[..., None]
    mean = cv2.mean(np.ascontiguousarray(colour), mask=(opaque > 0).astype(np.uint8))[:3]
    outside = np.where((weights > 1e-6)[..., None], spread, np.array(mean, np.float32))
    extended = np.where(opaque[..., None] > 0, colour, np.clip(np.rint(outside), 0, 255)).astype(np.uint8)
    return np.dstack([extended, rgba[..., 3]])
