"""Really occluded, aligned photos: training samples as they are, between synthetic ones.

Each is an RGBA photo whose alpha is the occluder, cut out by hand, and a label file of the face without it. Nobody
knows what is behind the occluder, so the full face is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np

from common.errors import UserError
from common.image_io import list_images, read_label, read_mask, read_rgba
from common.labels import PART_ID, PART_NAMES, FacePolicy, visible_mask
from configs.schema.pasting import RealSection
from occlusion_gen.face import Image8
from occlusion_gen.occluders.groups import Split, one_side


class RealFace(NamedTuple):
    """A really occluded face.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 class ids, with the occluder's own where it hides.
        visible: (H, W) uint8, 255 where the face can be seen, else 0.
        alpha: (H, W) uint8, the occluder's alpha.
    """

    image: Image8
    label: Image8
    visible: Image8
    alpha: Image8


@dataclass(frozen=True)
class RealFaces:
    """Really occluded faces by index.

    Attributes:
        files: (photo, label) of each, sorted.
        labels_hold: what the label files hold, see `configs.schema.RealSection`.
        part: class id of the occluders.
        policy: what counts as face.
        hides_from_alpha: least alpha that hides the face.
        share: share of samples that shall be one of these.
    """

    files: Sequence[tuple[Path, Path]]
    labels_hold: Literal["parts", "mask"]
    part: int
    policy: FacePolicy
    hides_from_alpha: int = 128
    share: float = 0.3

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """Return the file name of a photo, for manifests."""
        return self.files[index][0].name

    def __getitem__(self, index: int) -> RealFace:
        """Return face `index` at its file's size.

        Raises:
            UserError: a file is unreadable, they differ in size, the photo has no alpha or the label unknown classes.
        """
        return self._cover(*self._read(index))

    def at_size(self, index: int, size: tuple[int, int]) -> RealFace:
        """Return face `index` at `size` (height, width): photo by area, label by nearest pixel.

        Raises:
            UserError: as for `real[index]`.
        """
        rgba, label = self._read(index)
        if label.shape != size:
            filter_ = cv2.INTER_AREA if label.shape[0] > size[0] else cv2.INTER_LINEAR
            rgba = cv2.resize(rgba, size[::-1], interpolation=filter_)
            label = cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST)
        return self._cover(rgba, label)

    def _read(self, index: int) -> tuple[Image8, Image8]:
        photo, label_file = self.files[index]
        try:
            rgba, label = read_rgba(photo), self._read_label(label_file)
        except UserError as error:
            raise UserError(str(error)) from error  # not a record's error: no prepared face is at fault
        _check(photo, rgba, label_file, label)
        return rgba, label

    def _cover(self, rgba: Image8, label: Image8) -> RealFace:
        image, alpha = (np.ascontiguousarray(channels) for channels in (rgba[..., :3], rgba[..., 3]))
        hides = alpha >= self.hides_from_alpha
        visible = (visible_mask(label, self.policy) & ~hides).view(np.uint8) * np.uint8(255)
        return RealFace(image, np.where(hides, np.uint8(self.part), label), visible, alpha)

    def _read_label(self, path: Path) -> Image8:
        if self.labels_hold == "parts":
            return read_label(path)
        return read_mask(path).view(np.uint8) * np.uint8(PART_ID["skin"])


def open_real(section: RealSection, *, policy: FacePolicy, split: Split) -> RealFaces:
    """Return one side of the really occluded faces that the configuration describes.

    Raises:
        UserError: a folder is empty, a photo has no label of its stem, or the chosen side is empty.
    """
    photos = list_images(section.images)
    by_stem = {path.stem: path for path in list_images(section.labels)}
    lone = [path.name for path in photos if path.stem not in by_stem]
    if lone:
        raise UserError(f"{section.labels}: {len(lone)} photos have no label of the same stem here, e.g. {lone[:3]}")
    chosen = one_side(section.images, photos, split=split, holdout_share=section.holdout_share)
    return RealFaces(
        files=[(photo, by_stem[photo.stem]) for photo in chosen],
        labels_hold=section.labels_hold,
        part=PART_ID[section.part],
        policy=policy,
        hides_from_alpha=section.hides_from_alpha,
        share=section.share,
    )


def _check(photo: Path, rgba: Image8, label_file: Path, label: Image8) -> None:
    if rgba.shape[:2] != label.shape:
        raise UserError(
            f"{label_file}: label is {label.shape} but its photo is {rgba.shape[:2]} (height, width); "
            "save both at the same size"
        )
    if rgba[..., 3].min() == 255:
        raise UserError(
            f"{photo}: its alpha is 255 everywhere, so that the whole photo would be an occluder; expected RGBA "
            "whose alpha is the occluder alone"
        )
    if label.max(initial=0) >= len(PART_NAMES):
        raise UserError(
            f"{label_file}: holds the class {label.max()}, and the last class is {len(PART_NAMES) - 1}; if it is a "
            "mask, set `labels_hold: mask`"
        )
