"""The files of a photo, each with its SHA-256, by which a later run tells that they are whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.manifest import Row
from common.photo_list import Photo
from inference.faces import PhotoMasks, merge_faces
from inference.mask_folder import told_if_not_writable
from inference.outputs import saved_paths, write_kind
from inference.photo_masks import Image8
from models.predictor import CropModel


class PhotoWriter:
    """Writes the results of a photo.

    Args:
        folder: to write into.
        kinds: of `inference.outputs.KINDS`.
        model: that gave the answers.
        per_face: write masks and cut-out of each face, too.
    """

    def __init__(self, folder: Path, kinds: Sequence[str], *, model: CropModel, per_face: bool = False) -> None:
        self._folder = folder
        self._kinds = tuple(kinds)
        self._model = model
        self._per_face = per_face

    def __call__(self, photo: Photo, image: Image8, masks: PhotoMasks) -> Row:
        """Return what the photo's row says of its files: `files` and `sha256`, both by name.

        Args:
            photo: which it is.
            image: (H, W, 3) uint8 RGB.
            masks: of the photo.

        Raises:
            UserError: the folder cannot be written to.
        """
        paths = saved_paths(photo.name, self._kinds, faces=len(masks.faces) if self._per_face else 0)
        single: dict[str, PhotoMasks] = {"": masks}
        digests: dict[str, str] = {}
        with told_if_not_writable(self._folder):
            for key, relative in paths.items():
                kind, _, index = key.partition("#")
                if index not in single:
                    single = {"": masks, index: self._one_face(masks, int(index))}  # only one is held at once
                digests[key] = write_kind(self._folder / relative, kind, image, single[index])
        return {"files": paths, "sha256": digests}

    def _one_face(self, masks: PhotoMasks, index: int) -> PhotoMasks:
        size = (masks.visible.shape[0], masks.visible.shape[1])
        return merge_faces([masks.faces[index]], size, outputs=self._model.outputs, threshold=self._model.threshold)
