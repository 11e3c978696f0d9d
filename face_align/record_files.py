"""The files of one record: read once, for the pixels in them and for the checksum of all that a crop is made from."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, Fill, apply_to_image
from common.image_io import FileContent, image_size, read_file
from face_align.celebamask_hq import PhotoRecord, read_parts
from face_align.cofw import CofwFace
from face_align.crop import read_crop
from face_align.landmark_formats import LandmarkRecord
from face_align.sources import AlignRecord


class RecordFiles:
    """Photo and labels of a record, read when they are first asked for.

    Attributes:
        record: whose files.
    """

    def __init__(self, record: AlignRecord) -> None:
        self.record = record

    @functools.cached_property
    def photo(self) -> FileContent | NDArray[np.uint8]:
        """The photo's file, or (H, W, 3) uint8 RGB of a photo that stands with others in one file.

        Raises:
            UnreadableImageError: it cannot be read.
        """
        return self.record.read_photo() if isinstance(self.record, CofwFace) else read_file(self.record.image)

    @functools.cached_property
    def labels(self) -> dict[str, FileContent]:
        """Files of the masks by part, or the one file of masks or ids as "label"; empty where there are none.

        Raises:
            UnreadableImageError: one of them cannot be read.
        """
        if isinstance(self.record, PhotoRecord):
            return {name: read_file(path) for name, path in self.record.parts.items()}
        return {} if self.record.label is None else {"label": read_file(self.record.label)}

    @functools.cached_property
    def photo_size(self) -> tuple[int, int]:
        """(height, width) of the upright photo."""
        return (
            (self.photo.shape[0], self.photo.shape[1]) if isinstance(self.photo, np.ndarray) else image_size(self.photo)
        )

    def crop(self, photo_to_crop: Affine, *, size: int, fill: Fill) -> NDArray[np.uint8]:
        """Return the crop (size, size, 3) uint8 RGB."""
        if isinstance(self.photo, np.ndarray):
            return apply_to_image(photo_to_crop, self.photo, size=(size, size), fill=fill)
        return read_crop(self.photo, photo_to_crop, photo_size=self.photo_size, size=size, fill=fill)

    def label_map(self) -> NDArray[np.uint8] | None:
        """Return the label map (H, W) uint8 of part ids at its own size; None without label.

        Raises:
            RecordError: labels cannot be used.
        """
        if isinstance(self.record, PhotoRecord):
            return read_parts(self.record, self.labels)
        return self.record.read_label(self.labels.get("label"))

    def digest(self, faces: Sequence[LandmarkRecord]) -> str:
        """Return the SHA-256 of photo, labels and landmarks.

        Args:
            faces: all landmarks of the photo.
        """
        digest = hashlib.sha256()
        if isinstance(self.photo, np.ndarray):
            digest.update(repr(self.photo.shape).encode() + self.photo.tobytes())
        else:
            digest.update(self.photo.content)
        for file in self.labels.values():
            digest.update(file.content)
        for face in faces:
            digest.update(face.points.tobytes() + repr((face.scheme, face.image_size, face.box)).encode())
        return digest.hexdigest()
